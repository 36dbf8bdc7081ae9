"""What the network tells others: HBM traffic, SMs, bytes by cause, records, estimates."""

import numpy as np
import pytest

from tierlab.kernels.base.errors import BrokenLaw
from tierlab.simulator.network.gpuload import KEPT
from tierlab.simulator.network.transfer import CAUSES

GB = 1e9
LATENCY_S = 1.87e-6
DOWN = ("pcie5-x16[host0-gpu0]", "down")


def test_hbm_traffic_is_what_flows_now_and_its_integral(network) -> None:
    net = network()
    net.submit("host0", "gpu0", GB, cause="hit")
    net.submit("gpu0", "host0", GB, cause="write_back")
    net.env.run(until=1e-6)
    assert net.hbm_bytes_per_s("gpu0") == 0
    net.env.run(until=0.01)
    assert net.hbm_bytes_per_s("gpu0") == pytest.approx(83.2e9)
    assert net.hbm_bytes("gpu0", 0) == pytest.approx((0.01 - LATENCY_S) * 83.2e9)
    assert net.hbm_bytes("gpu0", 0.002, 0.004) == pytest.approx(0.002 * 83.2e9)
    assert net.hbm_bytes("gpu0", 0.01, 0.011) == pytest.approx(0.001 * 83.2e9)
    net.env.run()
    assert net.hbm_bytes_per_s("gpu0") == 0
    assert net.hbm_bytes("gpu0", 0) == pytest.approx(2 * GB, rel=1e-12)


def test_intervals_add_up_to_the_whole(network) -> None:
    net = network("h200-8x")
    rng = np.random.default_rng(0)
    for _ in range(200):
        a, b = rng.permutation([*net.system.gpus(), "host0"])[:2]
        net.submit(str(a), str(b), float(rng.integers(1, 10**8)), cause="collectives")
    net.env.run()
    rows = net.records.columns()
    cuts = np.linspace(0, net.env.now, 50)
    for gpu in net.system.gpus():
        parts = [net.hbm_bytes(gpu, a, b) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]
        mine = (rows["source"] == gpu) | (rows["destination"] == gpu)
        assert sum(parts) == pytest.approx(rows["bytes"][mine].sum(), rel=1e-9)


def test_only_the_last_changes_are_kept(network) -> None:
    net = network()
    for _ in range(KEPT):
        net.submit("host0", "gpu0", 1e4, cause="hit")
    net.env.run()
    recent = net.env.now - 0.01
    assert 0 < net.hbm_bytes("gpu0", recent) < 0.01 * 55.6e9
    with pytest.raises(ValueError, match="oldest change kept"):
        net.hbm_bytes("gpu0", 0)


def test_a_kernel_takes_sms_while_it_copies_and_an_engine_none(network) -> None:
    """SGLang's copy kernels run two blocks (sgl-project/sglang #37635)."""
    net = network()
    kernel = net.submit("host0", "gpu0", GB, cause="hit", mechanism="kernel")
    net.submit("gpu0", "host0", 0.1 * GB, cause="write_back")
    net.env.run(until=0.005)
    assert net.sm_share("gpu0") == 2 / 132
    assert net.sm_seconds("gpu0", 0.001, 0.003) == pytest.approx(0.002 * 2 / 132)
    net.env.run()
    assert net.sm_share("gpu0") == 0
    assert net.sm_seconds("gpu0", 0) == pytest.approx(kernel.end_s * 2 / 132)
    waiting = [net.submit("host0", "gpu0", GB, cause="hit", mechanism="kernel") for _ in range(2)]
    waiting[1].cancel()
    assert net.sm_share("gpu0") == 2 / 132
    waiting[0].cancel()
    assert net.sm_share("gpu0") == 0


def test_bytes_by_cause_are_exact_logical_beside_physical(network) -> None:
    net = network()
    for i, cause in enumerate(CAUSES):
        for _ in range(3):
            net.submit("host0", "gpu0", 10**9 + i, cause=cause, logical_bytes=4 * 10**9 + i)
    net.env.run()
    moved = net.moved()
    for i, cause in enumerate(CAUSES):
        assert moved[(*DOWN, cause)] == (3 * (10**9 + i), 3 * (4 * 10**9 + i), 3)
    carried = net.carried_bytes()[DOWN]
    assert carried == pytest.approx(sum(row.bytes for row in moved.values()), rel=1e-9)
    assert net.carried_bytes()[DOWN[0], "up"] == 0


def test_unfinished_copies_count_what_they_moved(network) -> None:
    net = network()
    net.submit("host0", "gpu0", GB, cause="hit", logical_bytes=2 * GB)
    net.env.run(until=0.01)
    expected = (0.01 - LATENCY_S) * 55.6e9
    row = net.moved()[(*DOWN, "hit")]
    assert row == (pytest.approx(expected), pytest.approx(2 * expected), 0)
    assert net.busy_s()[DOWN] == pytest.approx(0.01 - LATENCY_S)
    net.check()


def test_a_byte_too_many_breaks_the_law(network) -> None:
    net = network()
    transfer = net.submit("host0", "gpu0", GB, cause="hit")
    net.env.run()
    net.check()
    transfer.moved_bytes = 2e3
    net.ledger.add(transfer)
    with pytest.raises(BrokenLaw, match="its causes sum to"):
        net.check()


def test_tiny_copies_late_in_a_long_run_stay_within_the_law(network) -> None:
    net = network()
    net.env.run(until=1e7)
    for _ in range(1000):
        net.submit("host0", "gpu0", 4096, cause="hit")
    net.env.run()
    net.check()
    assert net.env.now - 1e7 == pytest.approx(1000 * (LATENCY_S + 6.5e-6), rel=1e-2)


def test_records_name_the_way(network) -> None:
    net = network("h200-tiered")
    net.submit("ssd1", "gpu0", 1e6, pieces=3, cause="promotion", priority=2, logical_bytes=5e6)
    net.env.run()
    row = {name: column[0] for name, column in net.records.columns().items()}
    assert row["path"] == "pcie5-x4[host0-ssd1] > pcie5-x16[host0-gpu0]"
    texts = ("source", "destination", "mechanism", "stream", "cause")
    assert [row[name] for name in texts] == ["ssd1", "gpu0", "batched", "ssd1:out", "promotion"]
    numbers = ("bytes", "logical_bytes", "moved_bytes", "pieces", "priority", "queued_s", "start_s")
    assert [row[name] for name in numbers] == [1e6, 5e6, 1e6, 3, 2, 0, 0]
    assert row["end_s"] == net.env.now
    assert network(keep_records=False).records is None


def test_no_records_are_columns_too(network) -> None:
    assert {len(column) for column in network().records.columns().values()} == {0}


def test_an_estimate_counts_the_queue_and_what_others_leave(network) -> None:
    net = network()
    alone = net.estimate("host0", "gpu0", GB)
    net.submit("host0", "gpu0", GB, cause="hit")
    for priority in (1, 3):
        net.submit("host0", "gpu0", GB, cause="hit", priority=priority)
    net.env.run(until=0.01)
    head_s = alone - 0.01
    assert net.estimate("host0", "gpu0", GB, queued=False) == alone
    assert net.estimate("host0", "gpu0", GB, priority=0) == pytest.approx(head_s + alone)
    assert net.estimate("host0", "gpu0", GB, priority=1) == pytest.approx(head_s + 2 * alone)
    assert net.estimate("host0", "gpu0", GB, priority=3) == pytest.approx(head_s + 3 * alone)
    half_s = LATENCY_S + GB / (55.6e9 / 2)
    assert net.estimate("host0", "gpu0", GB, stream="own") == pytest.approx(half_s)
    up_s = LATENCY_S + GB / 41.6e9
    assert net.estimate("gpu0", "host0", GB) == pytest.approx(up_s)


def test_an_estimate_of_a_queue_is_what_happens(network) -> None:
    net = network()
    for size in (1e8, 3e8, 2e8):
        net.submit("host0", "gpu0", size, cause="hit")
    net.env.run(until=0.001)
    expected = net.estimate("host0", "gpu0", GB, pieces=7)
    transfer = net.submit("host0", "gpu0", GB, pieces=7, cause="hit")
    net.env.run()
    assert transfer.end_s - 0.001 == pytest.approx(expected, rel=1e-12)
