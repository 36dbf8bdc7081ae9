"""Traces of every shape, and files of every kind."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from tierlab.kernels.base.errors import BadInput
from tierlab.traces import runs
from tierlab.traces.read import read_trace
from tierlab.traces.schema import Trace


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Draw a valid trace: any sessions, parents, adapters, and runs of block ids or none."""
    n = draw(st.integers(1, 12))
    block = draw(st.sampled_from([0, 1, 7, 64]))
    tail = draw(st.booleans()) if block else False
    tokens = np.array(draw(st.lists(st.integers(1, 300), min_size=n, max_size=n)), np.int64)
    gaps = draw(st.lists(st.floats(0, 1e6), min_size=n, max_size=n))
    session = np.array(draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)), np.int64)
    blocks = runs.expected_blocks(tokens, block, tail) if block else np.zeros(n, np.int64)
    total = int(blocks.sum())
    flat = np.array(draw(st.lists(st.integers(0, 40), min_size=total, max_size=total)), np.int64)
    offsets, start, count = runs.compress(flat, blocks)
    parent = [draw(st.sampled_from([-1, *(r for r in range(n) if r != row)])) for row in range(n)]
    think = draw(st.lists(st.just(float("nan")) | st.floats(0, 1e9), min_size=n, max_size=n))
    return Trace(
        name=draw(st.text(min_size=1, max_size=8)),
        arrival_s=np.cumsum(np.array(gaps, np.float64)),
        input_tokens=tokens,
        output_tokens=np.array(draw(st.lists(st.integers(0, 99), min_size=n, max_size=n))),
        session=np.unique(session, return_inverse=True)[1].astype(np.int64),
        turn=np.array(draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))),
        think_s=np.array(think, np.float64),
        parent=np.array(parent, np.int64),
        adapter=np.array(draw(st.lists(st.integers(-1, 3), min_size=n, max_size=n))),
        block_tokens=block,
        partial_tail=tail,
        run_offsets=offsets,
        run_start=start,
        run_count=count,
    )


def differences(one: Trace, other: Trace) -> list[str]:
    """Return the fields in which two traces differ, `source_sha256` aside."""
    names = [name for name in Trace.__dataclass_fields__ if name != "source_sha256"]
    return [name for name in names if not _same(getattr(one, name), getattr(other, name))]


def _same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and one.tobytes() == other.tobytes()
    return one == other


def refused(path: str, **options: str) -> str:
    """Return the line with which a log is refused."""
    with pytest.raises(BadInput) as caught:
        read_trace(path, **options)
    return caught.value.line()


def with_changed(row: Any, path: tuple[Any, ...], value: object) -> Any:
    """Return a copy of a row with one field set, or taken away where `value` is ``...``."""
    row = copy.deepcopy(row)
    *above, last = path
    owner = row
    for step in above:
        owner = owner[step]
    if value is ...:
        del owner[last]
    else:
        owner[last] = value
    return row


@pytest.fixture(scope="session")
def refusal() -> Callable[..., str]:
    return refused


@pytest.fixture(scope="session")
def changed() -> Callable[..., Any]:
    return with_changed


@pytest.fixture(scope="session")
def any_trace() -> Callable[[], st.SearchStrategy[Trace]]:
    return traces


@pytest.fixture(scope="session")
def trace_differences() -> Callable[[Trace, Trace], list[str]]:
    return differences


@pytest.fixture
def mooncake(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes a Mooncake log and returns its path.

    Each row overrides fields of a valid request; a field set to ``...`` is left out; text is
    written as it stands.
    """

    def write(*rows: dict[str, object] | str, name: str = "log.jsonl") -> str:
        lines = []
        for row in rows:
            valid = {"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [1, 2]}
            whole = row if isinstance(row, str) else valid | row
            if isinstance(whole, dict):
                whole = json.dumps({k: v for k, v in whole.items() if v is not ...})
            lines.append(whole + "\n")
        (tmp_path / name).write_text("".join(lines))
        return str(tmp_path / name)

    return write
