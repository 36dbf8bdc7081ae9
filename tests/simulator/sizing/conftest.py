"""Small traces with block ids, and a setting of few KV blocks on a system with all tiers."""

from dataclasses import replace

import numpy as np
import pytest

from tierlab.simulator.scenario.load import validate
from tierlab.simulator.sizing.setting import Setting
from tierlab.traces.schema import Trace

BLOCK = 16


def make_log(prompts, gap_s=10.0, replies=2):
    """Return a trace of one prompt every `gap_s`: lists of ids of 16-token blocks, whole ones.

    A prompt has one token more than its blocks, as an engine computes at least one.
    """
    n = len(prompts)
    sizes = np.array([len(ids) for ids in prompts], np.int64)
    made = Trace(
        name="small",
        arrival_s=np.arange(n) * float(gap_s),
        input_tokens=sizes * BLOCK + 1,
        output_tokens=np.full(n, replies, np.int64),
        session=np.arange(n),
        turn=np.zeros(n, np.int64),
        think_s=np.full(n, np.nan),
        parent=np.full(n, -1),
        adapter=np.full(n, -1),
        block_tokens=BLOCK,
        partial_tail=False,
        run_offsets=np.concatenate([[0], sizes.cumsum()]),
        run_start=np.array([i for ids in prompts for i in ids], np.int64),
        run_count=np.ones(int(sizes.sum()), np.int64),
    )
    made.validate("test")
    return made


def make_prompts(seed, n=60, documents=8, longest=6):
    """Return prompts that are prefixes of a few documents, popular ones more often."""
    rng = np.random.default_rng(seed)
    share = 1.0 / np.arange(1, documents + 1)
    chosen = rng.choice(documents, n, p=share / share.sum())
    sizes = rng.integers(1, longest + 1, n)
    return [[int(d) * 100 + k for k in range(s)] for d, s in zip(chosen, sizes, strict=True)]


@pytest.fixture
def log():
    return make_log


@pytest.fixture
def prompts():
    return make_prompts


@pytest.fixture
def setting():
    """Make a setting: `setting(hbm_blocks, hardware=..., tiers=..., **engine)`."""

    def make(hbm_blocks=10, hardware="h200-tiered", tiers=None, model="SmolLM2-135M", **engine):
        data = {
            "model": model,
            "hardware": hardware,
            "design": "vllm",
            "workload": {"generator": "poisson"},
            "engine": {"num_gpu_blocks": hbm_blocks, "max_model_len": 2048, **engine},
            "tiers": tiers or {},
        }
        return Setting.of(validate(data, "test"))

    return make


@pytest.fixture
def with_prices():
    """Replace prices of a setting."""

    def change(setting, **overrides):
        prices = setting.parts.prices.with_overrides(overrides)
        return replace(setting, parts=replace(setting.parts, prices=prices))

    return change
