"""Kernels of few groups: what their folds left out, bands and trees hold for as well."""

import re
from dataclasses import replace

import numpy as np
import pytest

from tierlab.hwmodels.time.silicon import calibration
from tierlab.hwmodels.time.silicon.few import few, judged
from tierlab.hwmodels.time.silicon.fit import fit
from tierlab.kernels.base.errors import BadInput


def of_groups(data, keep):
    """32 heads 128 wide: groups by how many share a KV head alone."""
    ops, share = data.ops, data.ops["heads"] / data.ops["kv_heads"]
    return data.take((ops["head_dim"] == 128) & (ops["heads"] == 32) & np.isin(share, keep))


def test_ranges_reach_as_far_as_folds_lay_beyond_the_others():
    at = {"group": np.array([0.0, 0.0, 1.0, 3.0]), "batch": np.array([0.0, 5.0, 5.0, 0.0])}
    assert judged(at, np.array([0, 0, 1, 2])) == {"group": (-1.0, 5.0)}
    assert judged(at, np.zeros(4, int)) == {}


def test_twelve_groups_are_not_few():
    assert few(np.arange(11))
    assert not few(np.arange(12))


@pytest.fixture(scope="module")
def fitted(synthetic, machine):
    return fit(of_groups(synthetic("decode_attention"), (1, 4)), machine)


def test_one_step_beyond_is_judged_and_said_to_be_beyond(synthetic, machine, fitted):
    data = synthetic("decode_attention")
    group = fitted.judged["group"]
    assert group == (-4.0, 8.0)
    near = fitted.predict(of_groups(data, (8,)).ops, machine)
    assert near.beyond.all()
    strict = replace(fitted, judged={}).predict(of_groups(data, (8,)).ops, machine)
    assert (np.log(strict.p90 / strict.p10) > 3.9 * np.log(near.p90 / near.p10)).all()


def test_within_what_was_measured_nothing_changes(synthetic, machine, fitted):
    inside = of_groups(synthetic("decode_attention"), (1, 4)).ops
    for a, b in zip(
        fitted.predict(inside, machine),
        replace(fitted, judged={}).predict(inside, machine),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_a_file_keeps_what_was_judged(synthetic, machine, fitted, tmp_path):
    file = tmp_path / "few.json"
    file.write_text(calibration.dump(calibration.Calibration(machine.name, "test", (fitted,), "")))
    (back,) = calibration.load(file, "test").kernels
    assert back.judged == fitted.judged
    file.write_text(re.sub(r'"judged": *{"', '"judged": {"un', file.read_text()))
    with pytest.raises(BadInput, match="judged"):
        calibration.load(file, "test")
