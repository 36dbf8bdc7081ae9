"""What the times of a run rest on: their model, and a typical prefill and decode step by source."""

from __future__ import annotations

from typing import Any

import numpy as np

from tierlab.simulator.phase import Phase, entry
from tierlab.simulator.planning import decode, prefill, timed
from tierlab.simulator.serving.run import Run

_TOLD = ("seconds", "p10_s", "p90_s", "origins", "outside")
"""Of what a plan says of a phase, what a run does."""


def basis(run: Run) -> dict[str, Any]:
    """Return the name of the time model, how experts are chosen, and how sure the model is.

    ``prefill`` is the prompt of median length, computed whole; ``decode`` a step of as many
    requests as decoded together at the median token, midway through their answers. A profile of
    whole steps has no band, and neither is there without requests.
    """
    parts = run.parts
    if parts.profile is not None:
        return {"model": parts.profile.name, "prefill": None, "decode": None}
    known = {"model": parts.times.name, "expert_routing": parts.model.routing}
    if not run.requests.n:
        return {**known, "prefill": None, "decode": None}
    longest = parts.max_model_len
    prompt = int(np.clip(np.median(run.requests.input_tokens), 1, longest))
    whole = prompt + int(np.median(run.requests.output_tokens)) // 2
    context, batch = min(whole, longest), _batch(run)
    asked = [prefill(parts, run.scenario, prompt), decode(parts, run.scenario, context, batch)]
    (filling, _), (decoding, _) = timed(parts, run.scenario, asked)
    return {
        **known,
        "prefill": {"tokens": prompt, **_told(filling)},
        "decode": {"requests": batch, "context": context, **_told(decoding)},
    }


def _batch(run: Run) -> int:
    """Return how many requests decode together where the median token is made."""
    columns = run.record.columns()
    order = np.argsort(columns["decodes"], kind="stable")
    decodes = columns["decodes"][order]
    tokens = np.cumsum(decodes * columns["steps"][order])
    if not len(tokens) or tokens[-1] <= 0:
        return 1
    return max(1, int(decodes[np.searchsorted(tokens, tokens[-1] / 2)]))


def _told(phase: Phase) -> dict[str, Any]:
    told = entry(phase)
    return {name: told[name] for name in _TOLD}
