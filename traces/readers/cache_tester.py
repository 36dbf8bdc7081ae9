"""Sessions of kv-cache-tester, also called Weka traces (github.com/callanjfox/kv-cache-tester).

One conversation with a coding agent a line, or a JSON document; `docs/trace_replay_tester.md`
there has the fields: ``requests[]`` with ``t`` (s from the conversation's start), ``in``, ``out``,
``think_time`` (s from the previous answer) and ``hash_ids``, or ``hash_runs`` = [[first, count],
...]: floor(in / block_size) blocks, an id for a block and all before it. An entry of type
``subagent`` holds requests of its own whose ``t`` restarts at 0 at the entry's ``t``.

A subagent is a session of its own, whose first request has the request before the entry as its
parent. Ids of scope ``local`` (the default) are of one conversation, its subagents included, and
are kept apart from all others; ``global`` ones stand as they are. Conversations start together at
0: the log does not say when they did.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.traces.log import Log
from tierlab.traces.readers import documents
from tierlab.traces.readers.clock import Clock
from tierlab.traces.readers.fields import Fields
from tierlab.traces.readers.jsonl import LARGEST
from tierlab.traces.readers.numbering import in_runs
from tierlab.traces.readers.protocol import Chunk, Options, Reader
from tierlab.traces.readers.rows import Blocks, Row, gathered

_COLUMNS = ("session", "think_s", "parent")
_FIELDS = {
    "arrival_s": "t",
    "input_tokens": "in",
    "output_tokens": "out",
    "think_s": "think_time",
    "block_ids": "block ids",
}
_DEEPEST = 50  # subagents within subagents; what is deeper is no log


class CacheTester(Reader):
    """Reader of kv-cache-tester sessions."""

    name = "kv-cache-tester"
    summary = "agent sessions (Weka): nested subagents, think times, block ids local to a session"
    extensions = (".jsonl", ".json")

    def detect(self, head: bytes, path: Path) -> bool:
        """Look for a conversation's keys and a request's short ones."""
        keys = (b'"requests"', b'"block_size"', b'"in"', b'"out"', b'"t"')
        ids = b'"hash_ids"' in head or b'"hash_runs"' in head
        return head.lstrip()[:1] in (b"{", b"[") and ids and all(key in head for key in keys)

    def read(self, log: Log, options: Options) -> Iterator[Chunk]:
        """Yield chunks, conversation by conversation; memory holds one of them at a time."""
        blocks = Blocks()
        rows = _conversations(log, blocks)
        yield from gathered(log, rows, Clock("s", 0.0), _FIELDS, _COLUMNS, blocks)


@dataclass(slots=True)
class _Walk:
    """Where the walk through the conversations has come.

    Attributes
    ----------
    rows, sessions
        Yielded so far.
    base, end
        First block id of this conversation, and the first that no block has.
    scope
        Of all conversations of the log; empty before the first.
    """

    blocks: Blocks
    rows: int = 0
    sessions: int = 0
    base: int = 0
    end: int = 0
    scope: str = ""


@dataclass(slots=True)
class _Agent:
    """The agent, or subagent, whose requests are walked through."""

    session: int
    start_s: float
    spawned_by: int
    depth: int
    last_row: int = -1
    last_t: float = -math.inf
    entries: list[Any] = field(default_factory=list)
    path: str = ""


def _conversations(log: Log, blocks: Blocks) -> Iterator[Row]:
    walk = _Walk(blocks)
    for line, record in documents.objects(log):
        conversation = Fields(log, line, record)
        try:
            entries = _opened(conversation, walk)
        except BadInput as error:
            log.tally.skip(error, max(1, _requests(record.get("requests"))))
            continue
        yield from _walked(conversation, _agent(walk, 0.0, -1, 0, entries), walk)
        walk.base = walk.end


def _opened(conversation: Fields, walk: _Walk) -> list[Any]:
    """Check a conversation's own fields and return its entries."""
    entries = conversation.items("requests")
    size = conversation.integer("block_size", 1, 2**31)
    scope = conversation.row.get("hash_id_scope", "local")
    if scope not in ("local", "global"):
        raise conversation.fault("hash_id_scope", "'local' or 'global'")
    if walk.blocks.block_tokens not in (0, size):
        raise conversation.fault("block_size", f"{walk.blocks.block_tokens}, as before")
    if walk.scope not in ("", scope):
        raise conversation.fault("hash_id_scope", f"{walk.scope!r}, as before")
    walk.blocks.block_tokens, walk.scope = size, scope
    return entries


def _agent(
    walk: _Walk, start_s: float, parent: int, depth: int, entries: list[Any], path: str = ""
) -> _Agent:
    walk.sessions += 1
    return _Agent(walk.sessions - 1, start_s, parent, depth, entries=entries, path=path)


def _walked(conversation: Fields, agent: _Agent, walk: _Walk) -> Iterator[Row]:
    for place, entry in enumerate(agent.entries):
        path = f"{agent.path}requests[{place}]"
        try:
            found = _entry(conversation, entry, path, agent, walk)
        except BadInput as error:
            conversation.log.tally.skip(error, max(1, _requests([entry])))
            continue
        if isinstance(found, _Agent):
            yield from _walked(conversation, found, walk)
        else:
            agent.last_row = walk.rows
            walk.rows += 1
            yield found


def _entry(conversation: Fields, entry: Any, path: str, agent: _Agent, walk: _Walk) -> Row | _Agent:
    log, line = conversation.log, conversation.line
    if not isinstance(entry, dict):
        raise log.fault(line, path, entry, "an object")
    record = Fields(log, line, entry, f"{path}.")
    t = record.number("t")
    if t < agent.last_t:
        raise record.fault("t", f"{agent.last_t:.9g} or more: requests stand in order of arrival")
    found: Row | _Agent
    if "requests" in entry:
        found = _spawned(record, t, agent, walk)
    else:
        found = _request(record, t, agent, walk)
    agent.last_t = t
    return found


def _spawned(record: Fields, t: float, agent: _Agent, walk: _Walk) -> _Agent:
    if agent.depth >= _DEEPEST:
        what = f"subagents nested over {_DEEPEST} deep"
        raise BadInput(record.log.place(record.line), what, "fewer")
    parent = agent.spawned_by if agent.last_row < 0 else agent.last_row
    entries = record.items("requests")
    return _agent(walk, agent.start_s + t, parent, agent.depth + 1, entries, record.path)


def _request(record: Fields, t: float, agent: _Agent, walk: _Walk) -> Row:
    first = agent.last_row < 0
    tokens, output = record.integer("in", 1), record.integer("out", 0)
    start, count = _runs(record, tokens, walk)
    return Row(
        record.line,
        agent.start_s + t,
        tokens,
        output,
        session=agent.session,
        think_s=math.nan if first else _think_s(record),
        parent=agent.spawned_by if first else -1,
        start=start,
        count=count,
    )


def _think_s(record: Fields) -> float:
    if not record.has("think_time"):
        return math.nan
    value = record.number("think_time")
    if value < 0:
        raise record.fault("think_time", "seconds of 0 or more")
    return value


def _runs(record: Fields, tokens: int, walk: _Walk) -> tuple[list[int], list[int]]:
    name = "hash_runs" if "hash_runs" in record.row else "hash_ids"
    start, count = (
        run_pairs(record, name) if name == "hash_runs" else in_runs(record.ids("hash_ids"))
    )
    size = walk.blocks.block_tokens
    record.blocks(name, sum(count), tokens, size, tail=False)
    base = walk.base if walk.scope == "local" else 0
    end = base + max((one + many for one, many in zip(start, count, strict=True)), default=0)
    if end > LARGEST:
        raise record.fault(name, f"ids that span less than {LARGEST:.1e} over all sessions")
    walk.end = max(walk.end, end)
    return [one + base for one in start], count


def run_pairs(record: Fields, name: str) -> tuple[list[int], list[int]]:
    """Return first ids and lengths from a list of [first id, count]."""
    start, count = [], []
    for pair in record.items(name):
        whole = isinstance(pair, list) and len(pair) == 2 and all(type(one) is int for one in pair)
        if not whole or not (0 <= pair[0] < LARGEST and 1 <= pair[1] < LARGEST):
            accepted = "[start, count], a start of 0 or more and a count of 1 or more"
            raise record.log.fault(record.line, record.path + name, pair, accepted)
        start.append(pair[0])
        count.append(pair[1])
    return start, count


def _requests(entries: Any) -> int:
    """Count the requests below a list of entries, as far as they can be told apart."""
    found, left = 0, [entries]
    while left:
        for entry in _list(left.pop()):
            if isinstance(entry, dict) and "requests" in entry:
                left.append(entry["requests"])
            else:
                found += 1
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


READER = CacheTester()
