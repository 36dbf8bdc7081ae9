"""The requests of a run directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.comparison.served import Served, per_output_token
from tierlab.simulator.results.folder import MARK

ACCEPTED = "a folder that `tierlab run -o` wrote"


def read_run(folder: Path, queued: bool = False) -> Served:
    """Return the answered requests of a run.

    Parameters
    ----------
    queued
        Count TTFT and E2E from when the engine first saw a request, as vLLM's own log does.

    Raises
    ------
    BadInput
        It is no run directory, or nothing in it was answered.
    """
    import polars as pl

    path = folder / "requests.parquet"
    if not (folder / MARK).is_file() or not path.is_file():
        raise BadInput(str(folder), "no run directory", ACCEPTED)
    try:
        frame = pl.read_parquet(path).filter(pl.col("status") == "completed")
        columns = {name: frame[name].to_numpy() for name in frame.columns}
        return _served(str(folder), columns, queued)
    except (pl.exceptions.PolarsError, OSError, KeyError) as error:
        what = str(error).splitlines()[0]
        raise BadInput(str(path), f"cannot be read: {what}", ACCEPTED) from None


def _served(name: str, c: dict[str, Any], queued: bool) -> Served:
    if not len(c["arrival_s"]):
        raise BadInput(name, "no request was answered", "a run with answers")
    order = np.lexsort((c["request"], c["arrival_s"]))
    c = {key: column[order] for key, column in c.items()}
    begin = c["queued_s"] if queued else c["arrival_s"]
    first, last = c["first_token_s"], c["last_token_s"]
    latencies = {
        "ttft_s": first - begin,
        "tpot_s": per_output_token(first, last, c["generated_tokens"]),
        "e2e_s": last - begin,
        "queue_s": c["scheduled_s"] - begin,
        "service_s": first - c["scheduled_s"],
    }
    start = c["arrival_s"][0]
    tokens = c["input_tokens"], c["generated_tokens"]
    return Served(name, c["arrival_s"] - start, *tokens, latencies, last - start, queued=queued)
