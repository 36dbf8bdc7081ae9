"""Dollars of a run that pays for the bytes of its tiers alone, so that their size has a price."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.serving.run import Run
from tierlab.simulator.sizing.dollars import usd_per_h
from tierlab.simulator.sizing.setting import Setting
from tierlab.simulator.sweep.figures import Row


def sized_usd(run: Run, summary: Mapping[str, Any]) -> Row:
    """Return what an hour costs with tiers of exactly these sizes, and a million output tokens.

    As `tierlab.simulator.sizing.dollars` counts it; None where something has no price.
    """
    per_h, output = _usd_per_h(run), summary["tokens"]["output"]
    per_token = per_h * run.simulated_s / 3600 / output if per_h is not None and output else None
    return {
        "sized_usd_per_h": per_h,
        "sized_usd_per_million_output_tokens": None if per_token is None else per_token * 1e6,
    }


def _usd_per_h(run: Run) -> float | None:
    setting = Setting(run.scenario, run.parts)
    try:
        return usd_per_h(setting, setting.existing())
    except BadInput:
        return None
