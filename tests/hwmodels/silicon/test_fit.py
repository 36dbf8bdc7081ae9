"""Fits find what made the data, on shapes that they did not see."""

import numpy as np
import pytest

from tierlab.hwmodels.time.silicon.fit import Options, draw, fit
from tierlab.hwmodels.time.silicon.holdout import ask, score, split
from tierlab.hwmodels.time.silicon.spread import bands
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.ops.table import OpTable

CHANGED = {
    "decode_attention": {"launch_us": 12.0, "hbm_eff": 0.7, "l2_share": 0.5, "tile128": 9000.0},
    "prefill_attention": {"launch_us": 15.0, "peak128": 0.45, "append": 6.0},
    "gemm": {"launch_us": 5.0, "peak": 0.5, "hbm_eff": 0.6, "tile_kc": 6.0},
    "elementwise": {"launch_us": 4.0, "hbm_eff": 0.6, "l2_speed": 3.0},
}


@pytest.mark.parametrize("op", sorted(CHANGED))
def test_known_parameters_are_found(op, synthetic, machine):
    seen, unseen = split(synthetic(op, **CHANGED[op]))
    model = fit(seen, machine, Options(trees=False))
    predicted, _ = model.seconds(unseen.ops, machine)
    error = np.abs(predicted / unseen.seconds - 1.0)
    assert np.median(error) < 0.02
    assert np.quantile(error, 0.9) < 0.06


@pytest.mark.parametrize("op", ["decode_attention"])
@pytest.mark.parametrize("schedule", ["none", "flash3"])
def test_the_schedule_that_ran_is_chosen(op, schedule, synthetic, machine):
    assert fit(synthetic(op, schedule), machine, Options(trees=False)).schedule == schedule


def test_trees_take_what_the_formula_cannot(synthetic, machine):
    data = synthetic("decode_attention")
    bent = data.seconds * np.exp(0.1 * np.sin(np.log2(data.ops["kv_len"])))
    data = type(data)(data.key, data.source, data.ops, bent)
    errors = []
    for trees in (False, True):
        model = fit(data, machine, Options(trees=trees))
        errors.append(np.median(np.abs(model.seconds(data.ops, machine)[0] / bent - 1.0)))
    assert errors[1] < 0.6 * errors[0]


def test_held_out_bands_cover_four_fifths(synthetic, machine):
    seen, unseen = split(synthetic("gemm", peak=0.6), seed=2)
    model = fit(seen, machine)
    rows = score(ask(model, unseen, machine), unseen, machine, model.points)
    assert rows == [] or all(0.5 < r.coverage <= 1.0 for r in rows)
    model = fit(seen, machine)
    _, low, high, _ = model.predict(seen.ops, machine)
    assert ((seen.seconds > low) & (seen.seconds < high)).mean() > 0.7


def test_bands_are_wider_where_measurements_scatter_more(synthetic, machine):
    data = synthetic("decode_attention")
    data = data.take(np.tile(np.arange(len(data)), 4))
    noise = np.random.default_rng(0).normal(size=len(data))
    rough = data.ops["head_dim"] == 64
    scattered = data.seconds * np.exp(noise * np.where(rough, 0.1, 0.02))
    data = type(data)(data.key, data.source, data.ops, scattered)
    found = []
    for seed in range(3):
        seen, unseen = split(data, seed)
        _, low, high, _ = fit(seen, machine).predict(unseen.ops, machine)
        within = (unseen.seconds > low) & (unseen.seconds < high)
        found.append(np.stack([unseen.ops["head_dim"] == 64, np.log(high / low), within]))
    of_rough, widths, within = np.concatenate(found, axis=1)
    rough = of_rough > 0
    assert np.median(widths[rough]) > 1.7 * np.median(widths[~rough])
    assert all(0.65 < within[part].mean() < 0.93 for part in (rough, ~rough))


def test_bands_are_quantiles_of_residuals():
    residuals = np.random.default_rng(0).normal(0.02, 0.05, 3000)
    found = bands(residuals, np.full(3000, 50e-6))
    low, high = np.exp(0.02 - 1.2816 * 0.05), np.exp(0.02 + 1.2816 * 0.05)
    assert found.p10[1] == pytest.approx(low, abs=0.006)
    assert found.p90[1] == pytest.approx(high, abs=0.006)


def test_strata_are_drawn_alike():
    seconds = np.concatenate([np.full(9000, 5e-6), np.full(900, 50e-6), np.full(100, 5e-4)])
    rows = draw(seconds, 600, seed=1)
    counts = [int((seconds[rows] == s).sum()) for s in (5e-6, 50e-6, 5e-4)]
    assert counts == [250, 250, 100]


def test_too_few_measurements_are_refused(synthetic, machine):
    with pytest.raises(BadInput, match="only 3 measurements"):
        fit(synthetic("gemm").take(np.arange(3)), machine)


def test_a_narrower_band_is_narrower_in_logarithms():
    residuals = np.random.default_rng(0).normal(0.0, 0.05, 3000)
    wide, narrow = (bands(residuals, np.full(3000, 5e-4), share) for share in (1.0, 0.5))
    assert np.log(narrow.p90[2]) == pytest.approx(0.5 * np.log(wide.p90[2]))


def test_far_outside_the_range_the_formula_stands_alone(synthetic, machine):
    data = synthetic("gemm")
    model = fit(type(data)(data.key, data.source, data.ops, data.seconds * 1.3), machine)
    ops = OpTable.build("gemm", "bf16", "bf16", m=[8192, 2.0**26], n=16384, k=14336)
    seconds, beyond = model.seconds(ops, machine)
    np.testing.assert_allclose(seconds[1], model.formula_s(ops, machine)[1], rtol=1e-3)
    assert beyond.tolist() == [False, True]
