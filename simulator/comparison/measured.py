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
    input_tokens, output = (
        _numbers(where, key, data[key]) for key in ("input_lens", "output_lens")
    )
    ttft, itls = _numbers(where, "ttfts", data["ttfts"]), data["itls"]
    if (
        not isinstance(itls, list)
        or len({len(input_tokens), len(output), len(ttft), len(itls)}) > 1
    ):
        raise BadInput(where, f"{', '.join(BENCH)} differ in length", "one entry a request each")
    gaps = [_numbers(where, f"itls[{i}]", each) for i, each in enumerate(itls)]
    decode_s = np.array([each.sum() for each in gaps])
    start = data.get("start_times")
    arrival = np.zeros(len(ttft)) if start is None else _numbers(where, "start_times", start)
    if len(arrival) != len(ttft):
        raise BadInput(where, "start_times differs in length", "one entry a request")
    answered = output > 0
    order = np.flatnonzero(answered)[np.argsort(arrival[answered], kind="stable")]
    _check_any(where, order)
    begin = arrival[order] - arrival[order[0]]
    e2e = (ttft + decode_s)[order]
    counts = output[order].astype(np.int64)
    latencies = {
        "ttft_s": ttft[order],
        "tpot_s": per_output_token(np.zeros(len(order)), decode_s[order], counts),
        "e2e_s": e2e,
    }
    ends = None if start is None else begin + e2e
    together = np.concatenate([gaps[i] for i in order]) if len(order) else np.zeros(0)
    tokens = input_tokens[order].astype(np.int64), counts
    return Served(where, begin, *tokens, latencies, ends, together)


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
    # The first request meets an idle engine, so its arrival is when it was queued.
    ends = last - queued[0]
    tokens = c["input_toks"].astype(np.int64), output
    return Served(str(path), arrival, *tokens, latencies, ends, queued=True)


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
