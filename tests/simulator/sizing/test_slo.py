from contextlib import nullcontext

import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.sizing.outcome import Bench
from tierlab.simulator.sizing.sizes import Reaches
from tierlab.simulator.sizing.slo import Target, parse_target, size_for


@pytest.fixture
def bench(setting, log, prompts):
    """Make a bench whose prompts are long enough that hits show in TTFT."""

    def make(**tiers):
        few = setting(
            hbm_blocks=1200, model="Llama-3.1-8B", max_model_len=16_384, tiers=tiers or None
        )
        bases = prompts(11, n=60, documents=6, longest=6)
        long = [[b * 100 + k for b in ids for k in range(96)] for ids in bases]
        trace = log(long, gap_s=1.0)
        return Bench(few, trace, lambda label, unit: nullcontext())

    return make


@pytest.fixture
def reach(bench):
    made = bench()
    return Reaches(made.setting, made.trace).tier("dram")


def mean_ttft(bench, nbytes):
    return bench.at({"dram": nbytes}).summary["ttft_s"]["mean"]


def test_the_size_meets_the_target_and_the_one_below_does_not(bench, reach):
    made = bench()
    without = mean_ttft(made, 0)
    best = mean_ttft(made, reach.every_block * reach.block_bytes)
    target = Target("ttft", "mean", (without + best) / 2)
    assert best < 0.9 * without
    row = size_for(made, target, "dram", reach, 0.1)
    assert row["needed"]
    assert mean_ttft(made, row["bytes"]) <= target.most_s < mean_ttft(made, row["fails_at_bytes"])
    assert row["fails_at_bytes"] < row["bytes"] <= 1.1 * row["fails_at_bytes"]
    assert row["monotone"]
    assert made.runs <= len(row["tried"]) + 2


def test_it_is_the_first_of_a_grid_of_simulated_sizes(bench, reach):
    made = bench()
    most = reach.every_block * reach.block_bytes
    least = made.setting.hbm_bytes / 16
    grid = [least * (most / least) ** (k / 24) for k in range(25)]
    values = [mean_ttft(made, size) for size in grid]
    target = Target("ttft", "mean", 0.3 * values[0] + 0.7 * values[-1])
    row = size_for(made, target, "dram", reach, 0.02)
    first = next(k for k, value in enumerate(values) if value <= target.most_s)
    assert grid[first - 1] < row["bytes"] <= grid[first] * 1.02


def test_nothing_is_needed_where_hbm_alone_meets_it(bench, reach):
    made = bench()
    row = size_for(made, Target("ttft", "p99", 100.0), "dram", reach)
    assert not row["needed"]
    assert row["bytes"] == 0
    assert made.runs == 1


def test_what_no_size_meets_is_refused_with_what_is_reached(bench, reach):
    with pytest.raises(BadInput, match=r"ttft_p50_s=1e-06 is not met by dram of .*at best") as told:
        size_for(bench(), Target("ttft", "p50", 1e-6), "dram", reach)
    offered = parse_target(told.value.accepted.split()[1])
    made = bench()
    assert size_for(made, offered, "dram", reach)["value_s"] <= offered.most_s


def test_other_tiers_stay_as_the_scenario_has_them(bench, reach):
    made = bench(ssd={"capacity": "40 GB"})
    row = size_for(made, Target("ttft", "p99", 100.0), "dram", reach)
    assert row["outcome"]["sizes_bytes"] == {"ssd": 40e9}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ttft_p99_s", "not FIGURE=SECONDS"),
        ("ttft_p98_s=1", "did you mean ttft_p9"),
        ("ttft_p99_s=soon", "no bound"),
        ("ttft_p99_s=-1", "no bound"),
        ("ttft_p99_s=nan", "no bound"),
        ("=2", "unknown figure"),
    ],
)
def test_bad_targets(text, told):
    with pytest.raises(BadInput, match="--slo") as error:
        parse_target(text)
    assert told in error.value.line()


def test_targets():
    assert parse_target(" tpot_mean_s = 0.05 ") == Target("tpot", "mean", 0.05)
    assert parse_target("e2e_p90_s=3").text == "e2e_p90_s=3"
