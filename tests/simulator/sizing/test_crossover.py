import pytest

from tierlab.hwmodels.time.times import MECHANISMS
from tierlab.hwmodels.time.transfer import copy_costs
from tierlab.simulator.network.route import Route
from tierlab.simulator.sizing.crossover import (
    Recompute,
    Way,
    contexts_up_to,
    crossover,
    ways_of,
    wins,
)

GRID = (512, 1024, 2048, 4096, 8192)


class Lone:
    """A network of one way, with a law of its own."""

    def __init__(self, latency_s=1e-6, once_s=0.0, piece_s=6e-6, bytes_per_s=50e9):
        law = ((once_s, piece_s),)
        none = ((), (), (), (), (), ())
        ends, way = ("host0", "gpu0", "loop"), ((), latency_s, law, (), 1, bytes_per_s)
        self._route = Route(*ends, *way, *none, "gpu0:in", "")

    def route(self, source, destination, mechanism):
        return self._route


def way(block=16, pieces=64, token_bytes=131_072.0, **law):
    return Way(Lone(**law), "dram", ("host0",), "gpu0", "loop", block, pieces, token_bytes)


def test_the_time_of_a_load_is_the_closed_form():
    tokens = 1000
    blocks = 63
    slow = 1e-6 + max(6e-6 * 64 * blocks, blocks * 16 * 131_072 / 50e9)
    assert way().seconds(tokens) == pytest.approx(slow, rel=1e-12)
    assert way().bound(tokens) == "issue"
    assert way(block=256, pieces=1).bound(tokens) == "bandwidth"
    assert way(pieces=1, token_bytes=1.0, piece_s=0.0, latency_s=1.0).bound(16) == "latency"


def test_where_both_grow_in_proportion_the_crossing_is_the_closed_form():
    token_s, fixed_s = 1e-6, 1e-3
    line = way(
        block=16, pieces=1, piece_s=0.0, token_bytes=1e4, latency_s=fixed_s, bytes_per_s=1e11
    )
    # fixed + c * 1e4 / 1e11 < c * 1e-6  <=>  c > fixed / 0.9e-6 = 1111.1: 70 blocks of 16
    assert wins(line, lambda c: c * token_s, GRID) == (1120, 1120)
    assert wins(line, lambda c: c * 1e-8, GRID) == (None, None)
    assert wins(line, lambda c: 1.0 + c * token_s, GRID) == (16, 16)


def test_a_quadratic_recompute_crosses_an_issue_bound_load():
    slow = way(latency_s=0.0)
    per_token = 6e-6 * 64 / 16
    # 24 us a token loaded; 12 us + c * 2 ns computed: loading wins above 6,000 tokens
    found = wins(slow, lambda c: c * (12e-6 + 2e-9 * c), GRID)
    assert per_token == pytest.approx(24e-6)
    assert found == (6016, 6016)


def test_loading_may_win_at_both_ends_only():
    slow = way(latency_s=0.0)
    first, always = wins(slow, lambda c: 1e-3 + c * (12e-6 + 2e-9 * c), GRID)
    assert first == 16
    lost = [c for c in range(16, 8192, 16) if slow.seconds(c) >= 1e-3 + c * (12e-6 + 2e-9 * c)]
    assert always == lost[-1] + 16


@pytest.mark.parametrize("fixed", [1e-4, 1e-3, 5e-3])
@pytest.mark.parametrize("token", [1e-5, 2e-5, 3e-5])
def test_halving_finds_what_trying_every_block_finds(fixed, token):
    slow = way(latency_s=fixed)

    def again(c):
        return c * token + c * c * 1e-9

    every = [c for c in range(16, 8193, 16) if slow.seconds(c) < again(c)]
    first, always = wins(slow, again, GRID)
    assert first == (every[0] if every else None)
    assert always == (every[0] if every else None)


def test_mechanisms_and_blocks_on_pcie5(setting):
    system = setting(hbm_blocks=20_000, model="Llama-3.1-8B", max_model_len=131_072)
    found = {(w.mechanism, w.block_tokens): w for w in ways_of(system, ["dram"], (16, 64, 256))}
    tokens = 8192
    rate = {key: tokens * 131_072 / w.seconds(tokens) for key, w in found.items()}
    assert found["loop", 16].token_bytes * 16 / 64 == 32_768
    assert 4.5e9 < rate["loop", 16] < 6e9
    link = system.parts.system.path("host0", "gpu0")[0].link
    reach = dict(zip(MECHANISMS, copy_costs(link), strict=True))["batched"].outward_bytes_per_s
    assert 0.97 * reach < rate["batched", 16] <= reach
    for mechanism in MECHANISMS:
        assert rate[mechanism, 16] <= rate[mechanism, 64] <= rate[mechanism, 256]


def test_the_table_is_the_network_and_the_step_times(setting):
    import simpy

    from tierlab.simulator.network.network import Network

    system = setting(hbm_blocks=20_000, model="Llama-3.1-8B", max_model_len=16_384)
    contexts = contexts_up_to(8192)
    assert contexts == [512, 1024, 2048, 4096, 8192]
    found = crossover(system, ["dram", "ssd"], contexts, (16, 64))
    network = Network(simpy.Environment(), system.parts.system)
    for row in found["ways"]:
        source = {"dram": "host0", "ssd": "ssd0"}[row["tier"]]
        for load in row["load"]:
            pieces = load["context"] // row["block_tokens"] * 64 / len(row["nodes"])
            size = load["context"] * 131_072 / len(row["nodes"])
            alone = network.estimate(
                source, "gpu0", size, pieces=pieces, mechanism=row["mechanism"]
            )
            assert load["seconds"] == pytest.approx(alone, rel=1e-9)
        better = [
            load["seconds"] < again["seconds"]
            for load, again in zip(row["load"], found["recompute"], strict=True)
        ]
        for c, good in zip(contexts, better, strict=True):
            if row["always_from_tokens"] is not None and c >= row["always_from_tokens"]:
                assert good
            if row["first_tokens"] is None or c < row["first_tokens"]:
                assert not good
    again = [row["seconds"] for row in found["recompute"]]
    assert again == sorted(again)


def test_computing_a_prefix_again_is_what_its_tokens_add(setting):
    system = setting(hbm_blocks=20_000, model="Llama-3.1-8B", max_model_len=16_384)
    one, many = Recompute(system, 512), Recompute(system, 4096)
    assert one.seconds(8192) < many.seconds(8192) * 1.2
    assert one.longest == 16_384 - 512
    assert one.bound(8192) == "compute"


def test_a_faster_link_a_cheaper_piece_and_a_larger_block_never_cross_later():
    def again(c):
        return c * 15e-6 + c * c * 2e-9

    base = wins(way(), again, GRID)[0]
    assert base is not None
    for better in (way(piece_s=3e-6), way(bytes_per_s=100e9), way(latency_s=0.0), way(pieces=32)):
        found = wins(better, again, GRID)[0]
        assert found is not None
        assert found <= base
    assert way(bytes_per_s=1e9).seconds(1024) > way().seconds(1024)


def test_two_drives_send_in_parallel_and_modules_one_after_the_other(setting):
    system = setting(hbm_blocks=20_000, model="Llama-3.1-8B", max_model_len=16_384)
    found = {w.tier: w for w in ways_of(system, ["cxl", "ssd"], (256,)) if w.mechanism == "batched"}
    tokens = 8192
    size = tokens * 131_072
    assert found["ssd"].nodes == ("ssd0", "ssd1")
    assert len(found["cxl"].nodes) == 4
    drive = system.parts.system.nodes["ssd0"]
    assert found["ssd"].seconds(tokens) == pytest.approx(
        size / (2 * drive.read_bytes_per_s), rel=0.01
    )
    module = system.parts.system.nodes["cxl0"]
    assert found["cxl"].seconds(tokens) == pytest.approx(size / module.read_bytes_per_s, rel=0.01)


def test_measured_mechanisms_are_tried_and_no_others(setting, transfers):
    def row(way, how, size, pieces, piece_s):
        src, dst = ("host", "gpu") if way == "in" else ("gpu", "host")
        return {
            "op": "copy",
            "src": src,
            "dst": dst,
            "mechanism": how,
            "host_memory": "pinned",
            "bytes": size * pieces,
            "piece_bytes": size,
            "pieces": pieces,
            "streams": 1,
            "load": "idle",
            "seconds": 10e-6 + pieces * max(piece_s, size / 50e9),
        }

    made = [
        row(way, how, size, pieces, piece_s)
        for way in ("in", "out")
        for how, piece_s in (("loop", 8e-6), ("batched", 0.4e-6))
        for size, pieces in ((4096, 1), (4096, 1024), (32768, 1024), (2**19, 64))
    ]
    path = transfers("h200.json", made, "H200")
    hardware = {"name": "h200-tiered", "transfers": str(path)}
    system = setting(
        hbm_blocks=20_000, model="Llama-3.1-8B", max_model_len=16_384, hardware=hardware
    )
    found = {w.mechanism: w for w in ways_of(system, ["dram"], (16,))}
    assert set(found) == {"loop", "batched"}
    pieces = 4096 // 16 * 64
    loop, batched = (found[how].seconds(4096) for how in ("loop", "batched"))
    assert loop == pytest.approx(10e-6 + pieces * 8e-6, rel=1e-6)
    assert batched == pytest.approx(10e-6 + pieces * 32768 / 50e9, rel=1e-6)
    assert (found["loop"].bound(4096), found["batched"].bound(4096)) == ("issue", "bandwidth")
    (told, *_) = crossover(system, ["dram"], [4096], (16,))["ways"]
    assert told["times"] == "measured"
