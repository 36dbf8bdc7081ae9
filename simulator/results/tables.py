"""The tables of a run as Polars frames; every column is documented here.

`REQUESTS` has one row a request in order of the trace, `STEPS` one row for consecutive steps of one
replica with the same batch, in order of their start, `TIERS` one row a moment and tier where there
are tiers below HBM; a tier that all replicas share stands under each. Times are simulated seconds
from the first arrival of the trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tierlab.simulator.serving.requests import DONE, REASONS, REJECTED
from tierlab.simulator.serving.run import Run

if TYPE_CHECKING:
    import polars as pl

REQUESTS = {
    "request": "row of the trace",
    "session": "session of the trace",
    "turn": "turn within the session",
    "status": "completed, rejected or in_flight",
    "reason": "why it was rejected; null otherwise",
    "replica": "the replica that served it, from 0; null where it was rejected",
    "arrival_s": "arrival; in a closed loop, a think time after the answer before it",
    "queued_s": "when the engine first saw it, as it fixed a batch (vLLM's QUEUED event)",
    "scheduled_s": "start of the first step that worked on it",
    "first_token_s": "end of the step that emitted its first output token",
    "last_token_s": "end of the step that emitted its last output token",
    "input_tokens": "prompt tokens",
    "output_tokens": "output tokens asked for",
    "generated_tokens": "output tokens emitted",
    "computed_tokens": "prompt tokens computed for the first time",
    "reused_tokens": "prompt tokens whose KV another request had left",
    "recomputed_tokens": "tokens computed again after a preemption",
    "preemptions": "times it lost its KV and waited again",
}
STEPS = {
    "start_s": "start of the first step",
    "end_s": "end of the last step",
    "replica": "the replica that ran them, from 0",
    "steps": "consecutive steps of this batch",
    "decodes": "requests that computed one token a step",
    "prefills": "requests that computed a prefill chunk",
    "prefill_tokens": "tokens of those chunks",
    "running": "requests admitted",
    "waiting": "requests queued",
    "kv_bytes": "KV bytes held on one GPU after the last step",
    "preemptions": "requests of this replica that lost their KV so far",
}
TIERS = {
    "time_s": "when; at most 512 moments of each replica, evenly spread, and the end",
    "replica": "the replica whose tiers these are, from 0",
    "tier": "hbm, dram, cxl, ssd or remote",
    "held_bytes": "bytes held, copies on their way too; null of HBM, which `STEPS` tells",
    "reused_tokens": "prompt tokens that it has served so far, as the summary counts them",
}


def requests_frame(run: Run) -> pl.DataFrame:
    """Return one row a request, with the columns of `REQUESTS`."""
    import polars as pl

    r = run.requests
    status = np.where(r.status == DONE, "completed", "in_flight")
    status = np.where(r.status == REJECTED, "rejected", status)
    reason = [REASONS[i] or None for i in r.reason]
    columns = {
        "request": np.arange(r.n),
        "session": run.trace.session,
        "turn": run.trace.turn,
        "status": status,
        "reason": pl.Series(reason, dtype=pl.String),
        "replica": pl.Series(r.replica, dtype=pl.Int64).replace(-1, None),
        "arrival_s": r.arrival_s,
        "queued_s": r.queued_s,
        "scheduled_s": r.scheduled_s,
        "first_token_s": r.first_token_s,
        "last_token_s": r.last_token_s,
        "input_tokens": r.input_tokens,
        "output_tokens": r.output_tokens,
        "generated_tokens": r.generated,
        "computed_tokens": np.minimum(r.furthest, r.input_tokens) - r.reused,
        "reused_tokens": r.reused,
        "recomputed_tokens": r.recomputed,
        "preemptions": r.preemptions,
    }
    frame = pl.DataFrame({name: columns[name] for name in REQUESTS})
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None))


def steps_frame(run: Run) -> pl.DataFrame:
    """Return one row for consecutive steps of one batch, with the columns of `STEPS`."""
    import polars as pl

    columns = run.record.columns()
    counts = [name for name in STEPS if not name.endswith(("_s", "_bytes"))]
    frame = pl.DataFrame({name: columns[name] for name in STEPS})
    return frame.with_columns(pl.col(counts).cast(pl.Int64))


def tiers_frame(run: Run) -> pl.DataFrame:
    """Return the tiers over time, with the columns of `TIERS`; empty where there is HBM alone."""
    import polars as pl

    rows = [
        (sample.time_s, replica, tier, sample.held_bytes.get(tier), tokens)
        for replica, tiering in enumerate(run.tierings)
        for sample in tiering.samples(run.simulated_s)
        for tier, tokens in sample.reused_tokens.items()
    ]
    kinds = (pl.Float64, pl.Int64, pl.String, pl.Float64, pl.Int64)
    schema = dict(zip(TIERS, kinds, strict=True))
    return pl.DataFrame(rows, schema=schema, orient="row")
