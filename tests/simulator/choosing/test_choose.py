import json

import polars as pl
import pytest
from scipy.stats import spearmanr

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.choosing.choose import choose
from tierlab.simulator.choosing.objective import parse_where
from tierlab.simulator.choosing.sensitivity import sensitivity


def points(**columns):
    n = len(next(iter(columns.values())))
    fixed = {
        "point": range(n),
        "status": ["ok"] * n,
        "error": pl.Series([None] * n, dtype=pl.String),
    }
    return pl.DataFrame({**fixed, **columns})


SOME = points(
    a=[1, 1, 2, 2],
    usd_per_million_output_tokens=[4.0, 3.0, 2.0, 1.0],
    ttft_p99_s=[1.0, 2.0, 3.0, 9.0],
    joules_per_output_token=[1.0, 5.0, 5.0, 5.0],
)


def test_the_cheapest_point_that_meets_the_slo():
    choice = choose(SOME, ["a"], ["cost"], [parse_where("ttft_p99_s<=3")])
    assert choice.best(choice.objectives[0])["point"] == 2
    assert choice.points["meets"].to_list() == [True, True, True, False]
    assert choice.points["pareto"].to_list() == [False, False, True, False]


def test_two_objectives_make_a_front_in_the_order_of_the_first():
    choice = choose(SOME, ["a"], ["cost", "energy"])
    assert choice.front["point"].to_list() == [3, 0]


def test_without_an_objective_it_is_cost():
    assert choose(SOME, ["a"]).objectives[0].name == "cost"


def test_a_failed_point_is_never_chosen():
    failed = SOME.with_columns(status=pl.Series(["ok", "ok", "ok", "failed"]))
    assert choose(failed, ["a"], ["cost"]).front["point"].to_list() == [2]


def test_bounds_that_nothing_meets_leave_nothing():
    choice = choose(SOME, ["a"], ["cost"], [parse_where("cost<0")])
    assert choice.best(choice.objectives[0]) is None
    assert len(choice.front) == 0


def test_where_nothing_has_a_price_the_next_objective_stands_in():
    free = SOME.with_columns(
        usd_per_million_output_tokens=pl.lit(None, pl.Float64), output_tokens_per_s=pl.lit(1.0)
    )
    assert choose(free, ["a"]).objectives[0].name == "throughput"
    with pytest.raises(BadInput, match="no point has a figure 'cost'"):
        choose(free, ["a"], ["cost"])


def test_main_effects_of_a_linear_answer():
    rows = [(a, b) for a in (1, 2, 3) for b in ("x", "y")]
    frame = points(
        a=[a for a, _ in rows],
        b=[b for _, b in rows],
        cost=[10.0 * a + (b == "y") for a, b in rows],
    )
    found = sensitivity(frame, ["b", "a"], "cost", False)
    assert found["key"].to_list() == ["a", "b"]
    assert found["effect"].to_list() == [20.0, 1.0]
    assert found["best"].to_list() == ["1", "x"]
    assert sum(found["variance_share"]) == pytest.approx(1.0)
    assert found["rank_correlation"][0] == pytest.approx(
        spearmanr(frame["a"], frame["cost"]).statistic
    )
    assert found["rank_correlation"][1] is None
    assert sensitivity(frame, ["a"], "cost", True)["best"][0] == "3"


def test_many_numbers_are_put_in_groups_of_equal_count():
    frame = points(a=[float(i) for i in range(80)], cost=[float(i) for i in range(80)])
    (row,) = sensitivity(frame, ["a"], "cost", False).to_dicts()
    assert row["levels"] == 8
    assert row["effect"] == 70.0
    assert row["best"] == "0 to 9"
    assert row["rank_correlation"] == pytest.approx(1.0)


def test_rounding_is_no_effect():
    """Three times a tenth is not three tenths: b has no part in the cost."""
    rows = [(a, b) for a in (0.1, 0.2, 0.3) for b in (1.0, 2.0, 3.0)]
    costs = {0.1: 0.1 + 0.2, 0.2: 0.3, 0.3: 0.7}
    frame = points(
        a=[a for a, _ in rows],
        b=[b for _, b in rows],
        cost=[costs[a] + (b - 2.0) * 1e-15 for a, b in rows],
    )
    found = {row["key"]: row for row in sensitivity(frame, ["a", "b"], "cost", False).to_dicts()}
    assert found["b"]["effect"] == found["b"]["variance_share"] == 0.0
    assert found["a"]["effect"] == pytest.approx(0.4)


def test_a_group_of_one_value_has_one_name():
    frame = points(a=[float(i) for i in range(9)], cost=[float(i) for i in range(9)])
    (row,) = sensitivity(frame, ["a"], "cost", True).to_dicts()
    assert row["best"] == "8"


def test_choose_again_without_running(tierlab, tmp_path):
    (tmp_path / "s.toml").write_text(
        'vary = { "engine.max_num_seqs" = [1, 4] }\nchoose = { where = "completed_share>=1" }\n'
        '[scenario]\nmodel = "SmolLM2-135M"\nhardware = "H200"\n'
        'workload = { generator = "poisson", parameters = { requests = 20 } }\n'
    )
    tierlab("sweep", "s.toml", "-o", "out")
    before = (tmp_path / "out" / "points.parquet").read_bytes()
    told = json.loads(
        tierlab(
            "choose", "out", "--objective", "ttft", "--where", "e2e_p99_s<=100", "--json"
        ).stdout
    )
    assert told["where"] == ["e2e_p99_s<=100"]
    assert told["best"]["ttft"]["engine.max_num_seqs"] == 4
    assert json.loads((tmp_path / "out" / "choice.json").read_text()) == told
    chosen = pl.read_parquet(tmp_path / "out" / "chosen.parquet")
    assert chosen.drop("meets", "pareto").equals(
        pl.read_parquet(tmp_path / "out" / "points.parquet")
    )
    assert (tmp_path / "out" / "points.parquet").read_bytes() == before
    shown = tierlab("choose", "out", "--objective", "ttft")
    assert "completed_share>=1" in shown.stdout
    assert "what moved ttft_p99_s" in shown.stdout
