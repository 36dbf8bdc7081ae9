"""Order within streams, cancelling, waiting, and what a caller may get wrong."""

import math

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from tierlab.kernels.base.errors import BadInput

GB = 1e9


def test_a_stream_is_first_in_first_out_within_a_priority(network) -> None:
    net = network()
    order: list[str] = []

    def submit(name: str, priority: int) -> None:
        net.submit(
            "host0", "gpu0", 1e6, cause="hit", priority=priority, then=lambda _: order.append(name)
        )

    for name, priority in (("head", 5), ("b1", 1), ("c", 2), ("a1", 0), ("b2", 1), ("a2", 0)):
        submit(name, priority)
    net.env.run()
    assert order == ["head", "a1", "a2", "b1", "b2", "c"]


def test_directions_and_devices_have_streams_of_their_own(network) -> None:
    net = network("h200-tiered")
    ways = {
        ("host0", "gpu0"): "gpu0:in",
        ("gpu0", "host0"): "gpu0:out",
        ("cxl1", "gpu0"): "gpu0:in",
        ("host0", "cxl1"): "cxl1:in",
        ("ssd1", "gpu0"): "ssd1:out",
        ("gpu0", "ssd0"): "ssd0:in",
        ("ssd0", "ssd1"): "ssd0:peer",
    }
    assert {ends: net.route(*ends).stream for ends in ways} == ways
    assert net.route("host0", "gpu0", "kernel").stream == "gpu0:in:kernel"


def test_cancelling_the_head_frees_its_stream_at_once(network) -> None:
    net = network()
    first = net.submit("host0", "gpu0", GB, cause="hit", logical_bytes=4 * GB)
    second = net.submit("host0", "gpu0", GB, cause="prefetch")
    net.env.run(until=0.01)
    assert first.cancel()
    assert first.cancelled
    assert second.start_s == 0.01
    assert first.moved_bytes == pytest.approx((0.01 - 1.87e-6) * 55.6e9, rel=1e-12)
    assert not first.cancel()
    net.env.run()
    assert second.end_s == pytest.approx(0.01 + second.cost.alone_s, rel=1e-12)
    moved = net.moved()["pcie5-x16[host0-gpu0]", "down", "hit"]
    assert moved.bytes == first.moved_bytes
    assert moved.logical_bytes == pytest.approx(4 * first.moved_bytes)
    net.check()


def test_cancelling_a_head_in_its_latency_moves_nothing(network) -> None:
    net = network()
    first, second = (net.submit("host0", "gpu0", GB, cause="hit") for _ in range(2))
    net.env.run(until=1e-6)
    assert first.cancel()
    assert first.moved_bytes == 0
    net.env.run()
    assert second.end_s == pytest.approx(1e-6 + second.cost.alone_s, rel=1e-12)
    net.check()


def test_cancelling_one_that_shares_gives_its_part_to_the_other(network) -> None:
    net = network()
    kept, gone = (net.submit("host0", "gpu0", GB, cause="hit", stream=name) for name in "ab")
    net.env.run(until=0.01)
    gone.cancel()
    net.env.run()
    left = GB - (0.01 - 1.87e-6) * 55.6e9 / 2
    assert kept.end_s == pytest.approx(0.01 + left / 55.6e9, rel=1e-12)


def test_cancelling_one_that_waits_leaves_no_trace_but_its_record(network) -> None:
    net = network()
    transfers = [net.submit("host0", "gpu0", GB, cause="hit") for _ in range(3)]
    assert transfers[1].cancel()
    assert net.waiting("gpu0:in") == 1
    net.env.run()
    alone = transfers[0].cost.alone_s
    assert transfers[2].end_s == pytest.approx(2 * alone, rel=1e-12)
    rows = net.records.columns()
    assert rows["transfer"].tolist() == [1, 0, 2]
    assert rows["cancelled"].tolist() == [True, False, False]
    assert math.isnan(rows["start_s"][0])
    assert net.moved()["pcie5-x16[host0-gpu0]", "down", "hit"].bytes == 2 * GB


def test_processes_wait_for_copies_also_for_those_that_ended(network) -> None:
    net = network()
    seen: list[float] = []

    def waiter():
        first = net.submit("host0", "gpu0", GB, cause="hit")
        second = net.submit("gpu0", "host0", GB, cause="write_back")
        yield first.done & second.done
        seen.append(net.env.now)
        assert (yield first.done) is first
        third = net.submit("host0", "gpu0", GB, cause="hit")
        yield simpy.Timeout(net.env, 1.0)
        assert (yield third.done) is third
        seen.append(net.env.now)

    net.env.run(net.env.process(waiter()))
    assert seen[0] == pytest.approx(1.87e-6 + GB / 41.6e9)
    assert seen[1] == pytest.approx(seen[0] + 1.0)


def test_a_waiter_of_a_cancelled_copy_is_released(network) -> None:
    net = network()
    transfer = net.submit("host0", "gpu0", GB, cause="hit")
    done = transfer.done
    net.env.run(until=0.001)
    transfer.cancel()
    assert net.env.run(done) is transfer
    assert net.env.now == 0.001


def test_what_is_submitted_and_cancelled_when_another_ends_starts_then(network) -> None:
    net = network()
    started = []

    def go_on(transfer) -> None:
        other.cancel()
        started.append(net.submit("host0", "gpu0", GB, cause="hit"))

    first = net.submit("host0", "gpu0", GB, cause="hit", then=go_on)
    other = net.submit("gpu0", "host0", 9 * GB, cause="write_back")
    net.env.run()
    assert other.end_s == started[0].start_s == first.end_s
    assert started[0].end_s == pytest.approx(first.end_s + first.cost.alone_s, rel=1e-12)
    net.check()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": "gpu9"}, "no node 'gpu9'"),
        ({"destination": "nvswitch0"}, "nvswitch0 stores nothing"),
        ({"destination": "host0"}, "crosses no link"),
        ({"nbytes": -1}, "-1 bytes"),
        ({"nbytes": math.nan}, "nan bytes"),
        ({"nbytes": math.inf}, "inf bytes"),
        ({"pieces": 0}, "0 pieces"),
        ({"mechanism": "batchd"}, "did you mean batched"),
        ({"cause": "hits"}, "did you mean hit"),
    ],
)
def test_bad_input_is_named(network, change, words) -> None:
    net = network("h200-8x")
    good = {"source": "host0", "destination": "gpu0", "nbytes": 1.0, "cause": "hit"}
    with pytest.raises(BadInput, match=words):
        net.submit(**(good | change))
    net.env.run()
    assert len(net.records) == 0


def test_a_way_that_does_not_exist_and_a_kernel_without_a_gpu_are_refused(network) -> None:
    from dataclasses import replace

    net = network("h200-tiered")
    with pytest.raises(BadInput, match="neither is a GPU"):
        net.submit("host0", "cxl0", 1.0, cause="hit", mechanism="kernel")
    apart = network(replace(net.system, edges=net.system.edges[1:], _routes={}))
    with pytest.raises(BadInput, match="nothing connects host0 and gpu0"):
        apart.submit("host0", "gpu0", 1.0, cause="hit")
    with pytest.raises(BadInput, match="no GPU 'gpu9'"):
        net.hbm_bytes_per_s("gpu9")


PLANS = st.lists(
    st.tuples(
        st.sampled_from([("host0", "gpu0"), ("gpu0", "host0"), ("ssd0", "gpu0"), ("cxl0", "gpu0")]),
        st.sampled_from(["loop", "batched"]),
        st.integers(0, 10**8),
        st.integers(1, 3000),
        st.integers(0, 2),
        st.floats(0, 0.01),
        st.none() | st.floats(0, 0.02),
    ),
    max_size=25,
)


def play(net, plan) -> list[tuple[float, float, float]]:
    """Submit, and perhaps cancel, each copy of a plan at its own time."""
    transfers = []

    def one(ends, how, size, pieces, priority, at_s, stop_s):
        yield net.env.timeout(at_s)
        stream = "extra" if pieces % 3 == 0 else None
        transfer = net.submit(
            *ends, size, pieces=pieces, mechanism=how, priority=priority, cause="hit", stream=stream
        )
        transfers.append(transfer)
        if stop_s is not None:
            yield net.env.timeout(stop_s)
            transfer.cancel()

    for each in plan:
        net.env.process(one(*each))
    net.env.run()
    return [(t.start_s, t.end_s, t.moved_bytes) for t in transfers]


@settings(max_examples=60, deadline=None)
@given(PLANS)
def test_any_plan_ends_in_order_conserves_bytes_and_repeats(network, plan) -> None:
    net = network("h200-tiered")
    ends = play(net, plan)
    net.check()
    assert len(net.records) == len(plan)
    assert str(play(network("h200-tiered"), plan)) == str(ends)
    rows = net.records.columns()
    assert (rows["end_s"] >= rows["queued_s"]).all()
    assert (rows["end_s"][:-1] <= rows["end_s"][1:]).all()
    whole = ~rows["cancelled"]
    assert (rows["moved_bytes"][whole] == rows["bytes"][whole]).all()
    for stream in set(rows["stream"]):
        mine = (rows["stream"] == stream) & ~np.isnan(rows["start_s"])
        starts, stops = rows["start_s"][mine], rows["end_s"][mine]
        assert (starts[1:] >= stops[:-1]).all()


@settings(max_examples=100, deadline=None)
@given(
    st.floats(1.0, 100.0),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
    st.integers(0, 10**9),
    st.integers(1, 10**5),
    st.sampled_from(["loop", "batched", "kernel"]),
)
def test_a_better_link_never_slows_a_lone_copy(
    network, system, faster, latency, issue, size, pieces, how
) -> None:
    def took(**link) -> float:
        net = network(system(**link))
        transfer = net.submit("host0", "gpu0", size, pieces=pieces, mechanism=how, cause="hit")
        net.env.run()
        return transfer.end_s

    ways = {f"{way}_bytes_per_s": faster * 55.6e9 for way in ("down", "up", "both")}
    before = took()
    for better in (
        ways,
        {"latency_s": latency * 1.87e-6},
        {"issue_cost_s": issue * 6e-6},
    ):
        assert took(**better) <= before * (1 + 1e-12)
