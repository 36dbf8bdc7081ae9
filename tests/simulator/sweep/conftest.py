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


@pytest.fixture
def deadly_sweep(tmp_path):
    """Six points, of which the third and fourth kill their process."""
    (tmp_path / "deadly.py").write_text(
        "import os, signal\nfrom dataclasses import dataclass\n\n@dataclass\nclass Router:\n"
        "    def choose(self, request, replicas):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n\nROUTER = Router\n"
    )
    file = tmp_path / "deadly.toml"
    file.write_text(
        'vary = { "engine.routing" = ["round_robin", "deadly.py", "least_loaded"], seed = [1, 2] }\n'
        '[scenario]\nmodel = "SmolLM2-135M"\nhardware = "2xH200"\nengine = { replicas = 2 }\n'
        'workload = { generator = "poisson", parameters = { requests = 4 } }\n'
    )
    return file
