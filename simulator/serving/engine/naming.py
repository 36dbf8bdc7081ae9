"""What a request's KV blocks can be hit by: the trace's prefix ids at the engine's block size.

Ids are chained: equal ids mean equal prefixes. So an engine block inside a trace block is named by
the trace block and its place in it, and an engine block over several trace blocks by the last of
them. Blocks that the trace does not name (replies, and what lies beyond the ids) get names that no
other request has: only a preempted request finds them again.

A log has ids for prompts, none for replies. The KV of a reply shows only in the session's next
prompt, whose blocks beyond those that it shares with this prompt are this reply and what was said
to it. So where replies are reused, the first floor(share x output / block) of them name the reply's
blocks, and are found like any others.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
OWN = 1 << 40
"""Distance between the names of two requests' own blocks."""


class Names(NamedTuple):
    """Where the names of n requests' blocks come from.

    Attributes
    ----------
    offsets, start, length
        int64, the trace's runs of ids, in CSR form.
    covered
        int64[n], full engine blocks of each prompt that the trace has ids for.
    parts, merge
        int64[1]: engine blocks in a trace block, and trace blocks in an engine block; one is 1.
    following
        int64[n], the session's next request, or -1; length 0 where replies are not reused.
    reply
        int64[n], blocks of the reply that the next prompt holds.
    parted
        int64[n], where the next prompt parts from this one, in blocks; -1: not looked at yet.
    prompt
        int64[n], full blocks of the prompt.
    scratch
        int64[longest], names that were asked for.
    mine, theirs
        int64[longest], to compare two prompts in.
    """

    offsets: Ints
    start: Ints
    length: Ints
    covered: Ints
    parts: Ints
    merge: Ints
    following: Ints
    reply: Ints
    parted: Ints
    prompt: Ints
    scratch: Ints
    mine: Ints
    theirs: Ints


def name_blocks(names: Names, row: int, first: int, end: int) -> None:
    """Write the names of a request's blocks `first` to `end` to `scratch`."""
    shared = min(end, names.covered[row])
    _shared(names, row, first, shared, names.scratch)
    for i in range(max(first, shared), end):
        names.scratch[i - first] = -(row * OWN + i + 1)
    if len(names.following) and end > names.prompt[row]:
        _name_reply(names, row, first, end)


def _shared(names: Names, row: int, first: int, end: int, out: Any) -> None:
    """Write the trace's names of blocks `first` to `end`."""
    parts, merge = names.parts[0], names.merge[0]
    run, before = names.offsets[row], 0
    for i in range(first, end):
        at = (i + 1) * merge - 1 if merge > 1 else i // parts
        while at - before >= names.length[run]:
            before += names.length[run]
            run += 1
        content = names.start[run] + at - before + 1
        out[i - first] = content * parts + i % parts


def _name_reply(names: Names, row: int, first: int, end: int) -> None:
    """Put the next prompt's names where this request's reply begins."""
    following, prompt = names.following[row], names.prompt[row]
    if following < 0:
        return
    if names.parted[row] < 0:
        names.parted[row] = _part(names, row, following)
    start = names.parted[row]
    number = min(names.reply[row], names.covered[following] - start, end - prompt)
    skip = max(first - prompt, 0)
    if number > skip:
        _shared(names, following, start + skip, start + number, names.theirs)
        for i in range(skip, number):
            names.scratch[prompt + i - first] = names.theirs[i - skip]


def _part(names: Names, row: int, following: int) -> int:
    """Return how many leading blocks two prompts have in common."""
    both = min(names.covered[row], names.covered[following])
    _shared(names, row, 0, both, names.mine)
    _shared(names, following, 0, both, names.theirs)
    for i in range(both):
        if names.mine[i] != names.theirs[i]:
            return i
    return both
