"""A sweep of small simulations in the test's own folder."""

import pytest

SWEEP = """
title = "batch and block size"

[scenario]
model = "SmolLM2-135M"
hardware = "H200"
slo = { ttft_s = 1.0 }
workload = { generator = "poisson", parameters = { requests = 40 } }

[vary]
engine.max_num_seqs = [2, 8]
"engine.block_size" = { from = 16, to = 64, steps = 3, log = true }
"""


@pytest.fixture
def sweep_file(tmp_path):
    file = tmp_path / "sweep.toml"
    file.write_text(SWEEP)
    return file
