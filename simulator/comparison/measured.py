"""Per-request measurements of a server: vLLM's benchmark, or its engine's own timestamps.

- ``vllm bench serve --save-detailed``: one JSON object with ``input_lens``, ``output_lens``,
  ``ttfts``, ``itls`` and, in newer versions, ``start_times`` (s). Seen by the client.
- JSON lines with ``input_toks``, ``output_toks``, ``arrival_time``, ``queued_ts``,
  ``scheduled_ts``, ``first_token_ts``, ``last_token_ts`` (s). The arrival is on another clock than
  the rest, so only differences within one clock are used: TTFT and E2E count from ``queued_ts``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import read_text
from tierlab.simulator.comparison.served import Floats, Served, per_output_token
from tierlab.simulator.metrics.quantiles import spread

ACCEPTED = "vLLM bench JSON with --save-detailed, or JSON lines with queued_ts, first_token_ts, ..."
BENCH = ("input_lens", "output_lens", "ttfts", "itls")
STAMPS = ("queued_ts", "scheduled_ts", "first_token_ts", "last_token_ts")
LINES = ("input_toks", "output_toks", "arrival_time", *STAMPS)


def read_measured(path: Path) -> Served:
    """Return the requests that a server answered.

    Raises
    ------
    BadInput
        The file is none of the accepted ones, or a value in it is no measurement.
    """
    text = read_text(path, "--measured")
    head = text.lstrip()[:1]
    if head != "{":
        raise BadInput(str(path), "neither a JSON object nor JSON lines", ACCEPTED)
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return _from_lines(path, text)
    if set(BENCH) <= set(data):
        return _from_bench(path, data)
    return _from_lines(path, text)


def _from_bench(path: Path, data: dict[str, Any]) -> Served:
    where = str(path)
    columns = [_numbers(where, key, data[key]) for key in BENCH[:3]]
    gaps = _gaps(where, data["itls"])
    start = data.get("start_times")
    columns.append(np.zeros(len(gaps)) if start is None else _numbers(where, "start_times", start))
    if {len(column) for column in columns} != {len(gaps)}:
        named = ", ".join(BENCH if start is None else (*BENCH, "start_times"))
        raise BadInput(where, f"{named} differ in length", "one entry a request each")
    answered = np.flatnonzero(columns[1] > 0)
    order = answered[np.argsort(columns[3][answered], kind="stable")]
    _check_any(where, order)
    inputs, outputs, ttft, arrival = (column[order] for column in columns)
    counts, decode_s = outputs.astype(np.int64), np.array([gaps[i].sum() for i in order])
    latencies = {
        "ttft_s": ttft,
        "tpot_s": per_output_token(np.zeros(len(order)), decode_s, counts),
        "e2e_s": ttft + decode_s,
    }
    begin = arrival - arrival[0]
    known = start is not None
    return Served(
        where,
        begin,
        inputs.astype(np.int64),
        counts,
        latencies,
        entered_s=begin if known else None,
        ends_s=begin + latencies["e2e_s"] if known else None,
        itl=spread(np.concatenate([gaps[i] for i in order])),
    )


def _gaps(where: str, itls: Any) -> list[Floats]:
    if not isinstance(itls, list):
        raise BadInput(f"{where}: itls", type(itls).__name__, "a list of lists of numbers")
    return [_numbers(where, f"itls[{i}]", each) for i, each in enumerate(itls)]


def _from_lines(path: Path, text: str) -> Served:
    rows = [
        _row(f"{path}:{n}", line) for n, line in enumerate(text.splitlines(), 1) if line.strip()
    ]
    _check_any(str(path), np.arange(len(rows)))
    table = np.array(rows)
    table = table[np.argsort(table[:, LINES.index("arrival_time")], kind="stable")]
    c = dict(zip(LINES, table.T, strict=True))
    first, last, queued = c["first_token_ts"], c["last_token_ts"], c["queued_ts"]
    output = c["output_toks"].astype(np.int64)
    latencies = {
        "ttft_s": first - queued,
        "tpot_s": per_output_token(first, last, output),
        "e2e_s": last - queued,
        "queue_s": c["scheduled_ts"] - queued,
        "service_s": first - c["scheduled_ts"],
    }
    arrival = c["arrival_time"] - c["arrival_time"][0]
    tokens = c["input_toks"].astype(np.int64), output
    clock = queued - queued.min(), last - queued.min()
    return Served(str(path), arrival, *tokens, latencies, *clock, queued=True)


def _row(where: str, line: str) -> list[float]:
    try:
        data = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        raise BadInput(where, "broken JSON", ACCEPTED) from None
    if not isinstance(data, dict):
        raise BadInput(where, f"a JSON {type(data).__name__}", ACCEPTED)
    values = []
    for key in LINES:
        if key not in data:
            raise BadInput(where, f"no {key}", ACCEPTED)
        values.append(_number(where, key, data[key]))
    stamps = [values[LINES.index(key)] for key in STAMPS]
    if stamps != sorted(stamps):
        raise BadInput(where, "its timestamps run backwards", " <= ".join(STAMPS))
    return values


def _numbers(where: str, key: str, values: Any) -> Floats:
    if not isinstance(values, list):
        raise BadInput(f"{where}: {key}", f"{type(values).__name__}", "a list of numbers")
    return np.array([_number(where, f"{key}[{i}]", v) for i, v in enumerate(values)], np.float64)


def _number(where: str, key: str, value: Any) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not np.isfinite(value) or value < 0:
        raise BadInput(f"{where}: {key}", f"{value!r}"[:40], "a number from 0 on")
    return float(value)


def _check_any(where: str, rows: Any) -> None:
    if not len(rows):
        raise BadInput(where, "no answered request", ACCEPTED)
