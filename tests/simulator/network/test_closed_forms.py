"""Durations against formulas: alone, one after the other, and sharing."""

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_link
from tierlab.hwmodels.time.times import MECHANISMS, TransferTable
from tierlab.hwmodels.time.transfer import LinkTransfer, copy_costs

GB = 1e9
LATENCY_S = 1.87e-6
KIB = 1024.0


def lone_s(network, *args, **kwargs) -> float:
    transfer = network.submit(*args, cause="hit", **kwargs)
    network.env.run()
    assert transfer.state == "done"
    return transfer.end_s - transfer.start_s


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("size", [0.0, 1.0, 32 * KIB, 1e6, 3.7e9])
@pytest.mark.parametrize("pieces", [1, 7, 5000])
@pytest.mark.parametrize("outward", [True, False])
@pytest.mark.parametrize("link", ["pcie3-x16", "pcie4-x16", "pcie5-x16"])
def test_a_lone_copy_takes_what_the_time_model_says(
    system, network, link, outward, pieces, size, mechanism
) -> None:
    wire = load_link(link, "test")
    keys = ("raw", "down", "up", "both")
    parts = {f"{k}_bytes_per_s": getattr(wire, f"{k}_bytes_per_s") for k in keys}
    net = network(system(**parts, latency_s=wire.latency_s, issue_cost_s=wire.issue_cost_s))
    table = TransferTable(
        np.array([size]),
        np.array([float(pieces)]),
        np.array([MECHANISMS.index(mechanism)], np.uint8),
        np.array([outward]),
    )
    expected = float(LinkTransfer(wire).predict(table).seconds[0])
    ends = ("host0", "gpu0") if outward else ("gpu0", "host0")
    assert net.estimate(*ends, size, pieces=pieces, mechanism=mechanism) == expected
    took = lone_s(net, *ends, size, pieces=pieces, mechanism=mechanism)
    assert took == pytest.approx(expected, rel=1e-12)
    net.check()


def test_two_equal_loads_of_one_stream_end_at_t_and_2t(network) -> None:
    net = network()
    first, second = (net.submit("host0", "gpu0", GB, cause="hit") for _ in range(2))
    net.env.run()
    t = LATENCY_S + GB / 55.6e9
    assert first.end_s == pytest.approx(t, rel=1e-12)
    assert second.start_s == first.end_s
    assert second.end_s == pytest.approx(2 * t, rel=1e-12)


def test_two_equal_loads_of_two_streams_of_one_link_both_end_at_2t(network) -> None:
    net = network()
    loads = [net.submit("host0", "gpu0", GB, cause="hit", stream=name) for name in "ab"]
    net.env.run()
    for load in loads:
        assert load.end_s == pytest.approx(LATENCY_S + 2 * GB / 55.6e9, rel=1e-12)


def test_links_that_share_nothing_that_binds_do_not_slow_each_other(system, network) -> None:
    net = network(system(gpus=2))
    loads = [net.submit("host0", f"gpu{i}", GB, cause="hit") for i in range(2)]
    net.env.run()
    for load in loads:
        assert load.end_s == pytest.approx(LATENCY_S + GB / 55.6e9, rel=1e-12)


def test_many_links_are_held_by_the_hosts_memory(system, network) -> None:
    """16 GPUs x 55.6 GB/s = 889.6 GB/s of a host that reads 614.4."""
    net = network(system(gpus=16))
    loads = [net.submit("host0", f"gpu{i}", GB, cause="weights") for i in range(16)]
    net.env.run()
    for load in loads:
        assert load.end_s == pytest.approx(LATENCY_S + 16 * GB / 614.4e9, rel=1e-9)


def test_both_directions_at_once_are_held_by_the_platform(network) -> None:
    """Until both end, each moves at half of the 83.2 GB/s that the two reach together."""
    net = network()
    copies = [
        net.submit("host0", "gpu0", GB, cause="hit"),
        net.submit("gpu0", "host0", GB, cause="write_back"),
    ]
    net.env.run()
    for copy in copies:
        assert copy.end_s == pytest.approx(LATENCY_S + GB / 41.6e9, rel=1e-12)


def test_a_late_arrival_takes_half_from_then_on(network) -> None:
    net = network()
    first = net.submit("host0", "gpu0", GB, cause="hit")
    net.env.run(until=0.01)
    second = net.submit("host0", "gpu0", GB, cause="prefetch", stream="other")
    net.env.run()
    rate = 55.6e9
    shared_from = 0.01 + LATENCY_S
    left = GB - rate * (shared_from - LATENCY_S)
    assert first.end_s == pytest.approx(shared_from + 2 * left / rate, rel=1e-12)
    assert second.end_s == pytest.approx(LATENCY_S + 2 * GB / rate, rel=1e-12)


def test_pieces_one_by_one_reach_5_gb_per_s_and_batched_the_link(network) -> None:
    """32 KiB pieces at 6 us each (vLLM #33398)."""
    size = 1000 * 32 * KIB
    loop_s = lone_s(network(), "host0", "gpu0", size, pieces=1000, mechanism="loop")
    batched_s = lone_s(network(), "host0", "gpu0", size, pieces=1000)
    assert loop_s == pytest.approx(LATENCY_S + 1000 * 6e-6, rel=1e-12)
    assert size / loop_s / GB == pytest.approx(5.46, abs=0.01)
    assert size / batched_s / GB == pytest.approx(55.6, rel=0.01)


def test_an_issue_bound_copy_leaves_the_rest_of_the_link_to_another(network) -> None:
    """A loop of 32 KiB pieces moves at 5.46 GB/s; a large batch beside it gets all the rest."""
    net = network()
    small = 1000 * 32 * KIB
    loop = net.submit("host0", "gpu0", small, pieces=1000, mechanism="loop", cause="hit")
    large = net.submit("host0", "gpu0", 0.1 * GB, cause="weights", stream="weights")
    net.env.run()
    rate = small / 6e-3
    assert loop.end_s == pytest.approx(LATENCY_S + 6e-3, rel=1e-12)
    assert large.end_s == pytest.approx(LATENCY_S + 0.1 * GB / (55.6e9 - rate), rel=1e-9)


def test_infinite_bandwidth_leaves_latency_and_issue(system, network) -> None:
    ways = ("down_bytes_per_s", "up_bytes_per_s", "both_bytes_per_s")
    net = network(system(**dict.fromkeys(ways, float("inf"))))
    took = lone_s(net, "host0", "gpu0", 1e6, pieces=1000, mechanism="loop")
    assert took == pytest.approx(LATENCY_S + 1000 * 6e-6, rel=1e-12)


def test_nothing_to_move_still_costs_latency_and_issue_and_holds_its_stream(network) -> None:
    net = network()
    nothing = net.submit("host0", "gpu0", 0, cause="hit")
    after = net.submit("host0", "gpu0", GB, cause="hit")
    net.env.run()
    assert nothing.end_s == pytest.approx(LATENCY_S + 6e-6 + 0.5e-6, rel=1e-12)
    assert after.start_s == nothing.end_s
    net.check()


def test_a_copy_from_a_drive_is_cut_through_at_its_narrowest(network) -> None:
    """Drive, its link, the GPU's link and twice the DRAM at one rate: the drive's 13 GB/s."""
    net = network("h200-tiered")
    drive = net.system.ssds()["ssd0"]
    size = 1000 * 1024 * KIB
    took = lone_s(net, "ssd0", "gpu0", size, pieces=1000)
    latency = drive.read_latency_s + 0.5e-6 + LATENCY_S
    rate = min(drive.read_bytes_per_s, 14.8e9)
    assert took == pytest.approx(latency + size / rate, rel=1e-12)
    moved = net.moved()
    for link, way in (("pcie5-x4[host0-ssd0]", "up"), ("pcie5-x16[host0-gpu0]", "down")):
        assert moved[link, way, "hit"].bytes == size


@pytest.mark.parametrize(("piece", "commands_bind"), [(1000, True), (65_537, False)])
def test_pieces_take_commands_and_whole_pages_of_a_drive(network, piece, commands_bind) -> None:
    net = network("h200-tiered")
    drive = net.system.ssds()["ssd0"]
    pieces = 100_000
    took = lone_s(net, "host0", "ssd0", piece * pieces, pieces=pieces)
    pages_s = -(-piece // 4096) * 4096 * pieces / drive.write_bytes_per_s
    commands_s = pieces / drive.random_write_per_s
    assert (commands_s > pages_s) == commands_bind
    latency = drive.write_latency_s + 0.5e-6
    assert took == pytest.approx(latency + max(pages_s, commands_s), rel=1e-9)


def test_a_staged_copy_takes_the_hosts_memory_twice(network) -> None:
    staged, direct = (network("h200-tiered", gpudirect=way) for way in (False, True))
    for net in (staged, direct):
        names = list(net._rules.index)
        route = net.route("ssd0", "gpu0")
        taken = dict(zip((names[r] for r in route.at), route.weights, strict=True))
        assert taken.get("host0:dram", 0.0) == (2.0 if net is staged else 0.0)


def test_a_gpu_is_held_to_what_it_reaches_through_a_switch_on_all_streams(network) -> None:
    """Beluga: 26 GB/s through the root complex, however many streams ask."""
    net = network("h200-cxl-switched")
    copies = [net.submit(f"cxl{i}", "gpu0", GB, cause="hit", stream=f"s{i}") for i in range(2)]
    net.env.run()
    assert max(c.end_s for c in copies) == pytest.approx(2 * GB / 26e9, rel=1e-4)
    assert lone_s(network("h200-cxl-switched"), "cxl0", "host0", GB) < 2 * GB / 26e9


@pytest.mark.parametrize("mechanism", ["loop", "batched"])
def test_gpus_reach_each_other_over_two_hops_of_nvlink(network, mechanism) -> None:
    net = network("h200-8x")
    cost = copy_costs(load_link("nvlink4", "test"))[MECHANISMS.index(mechanism)]
    took = lone_s(net, "gpu0", "gpu1", GB, mechanism=mechanism)
    assert took == pytest.approx(2 * 0.935e-6 + GB / cost.outward_bytes_per_s, rel=1e-12)
