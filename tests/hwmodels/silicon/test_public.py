"""The public tables, where the package is installed (extra `silicon`)."""

import numpy as np
import pytest

from tierlab.hwmodels.time.silicon.fit import Options, draw
from tierlab.hwmodels.time.silicon.holdout import hold_out
from tierlab.kernels.base.errors import BadInput

pytest.importorskip("aiconfigurator_core", reason="needs aiconfigurator-core, an extra")

from tierlab.hwmodels.time.silicon.aiconfigurator import read_system


def test_h200_decode_is_within_a_few_percent_on_held_out_heads(machine):
    parts = read_system("h200_sxm", "vllm")
    full = next(p for p in parts if p.key.op == "decode_attention" and not p.key.windowed)
    part = full.take(draw(full.seconds, 6000, seed=1))
    rows = hold_out(part, machine, Options(points=6000))
    assert np.median([r.median for r in rows]) < 0.02
    assert all(0.6 < r.coverage < 0.95 for r in rows)


@pytest.mark.parametrize(("system", "framework"), [("h20_sxm", "vllm"), ("h200_sxm", "vlm")])
def test_unknown_names_are_refused(system, framework):
    with pytest.raises(BadInput, match="did you mean|no tables"):
        read_system(system, framework)
