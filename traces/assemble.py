"""Chunks of a log to one valid trace: checks, order, sessions, block ids."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.traces import checks, jitter, keys
from tierlab.traces.log import Log
from tierlab.traces.parts import Parts
from tierlab.traces.readers.protocol import Options, Reader
from tierlab.traces.schema import Trace

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def assemble(log: Log, reader: Reader, options: Options) -> Trace:
    """Read a log to its end.

    Raises
    ------
    BadInput
        At the first line that breaks a rule, unless bad ones are to be skipped (`log.tally` then
        counts them); or where the log holds no request.
    """
    numbered = keys.Keys()
    gather = checks.sifted if log.tally.skip_bad else checks.checked
    parts = Parts(gather(numbered.numbered(reader.read(log, options)), log, reader.ordered))
    log.tally.read = parts.rows
    if not parts.rows:
        raise BadInput(str(log.path), _emptiness(log), "a log of 1 request or more")
    trace = _trace(log, parts, numbered, reader.ticked and options.jitter, options.seed)
    trace.validate(str(log.path))
    return trace


def _trace(log: Log, parts: Parts, numbered: keys.Keys, spread: bool, seed: int) -> Trace:
    arrival_s, order = _arrivals(parts)
    if spread:
        arrival_s = jitter.spread(arrival_s, seed)
    session = _sessions(parts, order, numbered, log)
    alone = session is None
    session = np.arange(parts.rows) if session is None else session
    return Trace(
        name=parts.name or log.name,
        arrival_s=arrival_s,
        input_tokens=_required(parts, "input_tokens", order),
        output_tokens=_required(parts, "output_tokens", order),
        session=session,
        turn=_turns(parts, order, session, alone),
        think_s=_or_all(parts.join("think_s", order), parts.rows, np.float64(np.nan)),
        parent=_parents(parts, order),
        adapter=_adapters(parts, order, numbered),
        source_sha256=log.sha256(),
        **_blocks(parts, order, session, log),
    )


def _emptiness(log: Log) -> str:
    """Say why nothing is left: what was excluded and skipped, and the first malformed record."""
    tally = log.tally
    counts = [f"{count} excluded: {reason}" for reason, count in tally.excluded.most_common()]
    if tally.skipped:
        counts.append(f"{tally.skipped} malformed, the first: {tally.told[0]}")
    return "; ".join(
        [f"no requests in {tally.records} records" if counts else "no requests", *counts]
    )


def _arrivals(parts: Parts) -> tuple[Floats, Ints | None]:
    """Return sorted times from 0 on, and the order of the rows; None: they stood in order."""
    arrival_s = _required(parts, "arrival_s", None)
    order = None
    if (arrival_s[1:] < arrival_s[:-1]).any():
        order = np.argsort(arrival_s, kind="stable")
        arrival_s = arrival_s[order]
    return (arrival_s - arrival_s[0] if arrival_s[0] < 0 else arrival_s), order


def _required(parts: Parts, name: str, order: Ints | None) -> NDArray[Any]:
    found = parts.join(name, order)
    if found is None:
        raise ValueError(f"chunks without {name}")
    return found


def _or_all(values: NDArray[Any] | None, rows: int, one: np.generic) -> NDArray[Any]:
    """Return `values`, or `one` for every row: a view that takes no memory."""
    return np.broadcast_to(one, rows) if values is None else values


def _sessions(parts: Parts, order: Ints | None, numbered: keys.Keys, log: Log) -> Ints | None:
    """Return dense session numbers by first arrival; a request without one gets its own.

    Numbers that a reader gave are final: they stay, but for gaps that skipped rows leave.
    """
    session = parts.join("session", order)
    if session is None:
        return None
    if numbered.sessions_given:
        return np.unique(session, return_inverse=True)[1] if log.tally.skipped else session
    return keys.separate(session)


def _turns(parts: Parts, order: Ints | None, session: Ints, alone: bool) -> Ints:
    given = parts.join("turn", order)
    if given is None and not alone:
        return _counted(session)
    return _or_all(given, parts.rows, np.int64(0))


def _counted(session: Ints) -> Ints:
    """Count the requests of each session in the order of arrival."""
    order = np.argsort(session, kind="stable")
    grouped = session[order]
    place = np.arange(len(session))
    starts = np.maximum.accumulate(np.where(np.diff(grouped, prepend=-1) != 0, place, 0))
    turn = np.empty(len(session), np.int64)
    turn[order] = place - starts
    return turn


def _parents(parts: Parts, order: Ints | None) -> Ints:
    parent = parts.join("parent", order)
    if parent is None or order is None:
        return _or_all(parent, parts.rows, np.int64(-1))
    place = np.full(len(order) + 1, -1, np.int64)  # the last entry answers parent = -1
    place[order] = np.arange(len(order))
    if ((parent < -1) | (parent >= len(order))).any():
        return parent  # for `Trace.validate` to refuse
    moved: Ints = place[parent]
    return moved


def _adapters(parts: Parts, order: Ints | None, numbered: keys.Keys) -> Ints:
    adapter = parts.join("adapter")  # in the log's order, by which its names are numbered
    if adapter is None:
        return _or_all(None, parts.rows, np.int64(-1))
    found = adapter if numbered.adapters_given else keys.dense(adapter)
    return found if order is None else found[order]


def _blocks(parts: Parts, order: Ints | None, session: Ints, log: Log) -> dict[str, Any]:
    """Return the fields of a trace that tell its block ids, in the order of arrival."""
    ids = parts.join_blocks(order, str(log.path))
    if ids is None:
        none = np.zeros(0, np.int64)
        offsets = _or_all(None, parts.rows + 1, np.int64(0))
        return _block_fields(0, False, offsets, none, none)
    start = ids.start
    if ids.local:
        start = apart(start, ids.count, np.repeat(session, np.diff(ids.offsets)), str(log.path))
    return _block_fields(ids.block_tokens, ids.partial_tail, ids.offsets, start, ids.count)


def _block_fields(
    block_tokens: int, partial_tail: bool, offsets: Ints, start: Ints, count: Ints
) -> dict[str, Any]:
    return {
        "block_tokens": block_tokens,
        "partial_tail": partial_tail,
        "run_offsets": offsets,
        "run_start": start,
        "run_count": count,
    }


def apart(start: Ints, count: Ints, session: Ints, where: str) -> Ints:
    """Move session-local ids into ranges that no two sessions share.

    Parameters
    ----------
    start, count, session
        int64[m], runs and the session of each.

    Returns
    -------
    int64[m]
        First ids of the runs, unique in the trace.
    """
    size = np.zeros(int(session.max(initial=-1)) + 1, np.int64)
    np.maximum.at(size, session, start + count)
    if size.astype(np.float64).sum() > 2.0**62:
        raise BadInput(where, "session-local block ids span more than 2**62", "ids counted from 0")
    base: Ints = np.cumsum(size) - size
    moved: Ints = start + base[session]
    return moved
