"""The requests of a run directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import read_text
from tierlab.simulator.comparison.served import Served, per_output_token
from tierlab.simulator.metrics.quantiles import Spread
from tierlab.simulator.results.folder import MARK

if TYPE_CHECKING:
    import polars as pl

ACCEPTED = "a folder that `tierlab run -o` wrote"
COLUMNS = (
    "request",
    "arrival_s",
    "queued_s",
    "scheduled_s",
    "first_token_s",
    "last_token_s",
    "input_tokens",
    "generated_tokens",
)


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

    frame = read_table(folder, "requests.parquet")
    try:
        frame = frame.filter(pl.col("status") == "completed")
        columns = {name: frame[name].to_numpy() for name in COLUMNS}
    except pl.exceptions.PolarsError as error:
        raise _unreadable(folder / "requests.parquet", error) from None
    return _served(str(folder), columns, queued, read_summary(folder).get("itl_s"))


def read_table(folder: Path, name: str, accepted: str = ACCEPTED) -> pl.DataFrame:
    """Return a table of a run directory, or of another folder that bears the same mark.

    Raises
    ------
    BadInput
        It is no run directory, or the table is broken.
    """
    import polars as pl

    path = folder / name
    if not (folder / MARK).is_file() or not path.is_file():
        raise BadInput(str(folder), "no run directory", accepted)
    try:
        return pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(path, error, accepted) from None


def _unreadable(path: Path, error: Exception, accepted: str = ACCEPTED) -> BadInput:
    return BadInput(str(path), f"cannot be read: {str(error).splitlines()[0]}", accepted)


def read_summary(folder: Path) -> dict[str, Any]:
    """Return the summary of a run directory.

    Raises
    ------
    BadInput
        There is none, or it is broken.
    """
    return read_object(folder / "summary.json")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a run directory.

    Raises
    ------
    BadInput
        There is none, or it is broken.
    """
    return read_object(folder / MARK)


def read_object(path: Path, accepted: str = ACCEPTED) -> dict[str, Any]:
    """Return the object of a JSON file that tierlab wrote.

    Raises
    ------
    BadInput
        There is none, or it is broken.
    """
    try:
        found = json.loads(read_text(path, str(path.parent)))
    except (json.JSONDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadInput(str(path), "broken JSON", accepted)
    return found


def _served(name: str, c: dict[str, Any], queued: bool, itl: Spread | None) -> Served:
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
    arrival = c["arrival_s"] - c["arrival_s"][0]
    tokens = c["input_tokens"], c["generated_tokens"]
    clock = begin - begin.min(), last - begin.min()
    return Served(name, arrival, *tokens, latencies, *clock, itl, queued, c["request"])
