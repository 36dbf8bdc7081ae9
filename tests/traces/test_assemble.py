"""What the driver does for every format: order, sessions, parents, disjoint ids."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tierlab.kernels.base.errors import BadInput
from tierlab.traces.assemble import assemble
from tierlab.traces.log import Log
from tierlab.traces.readers.protocol import Chunk, Options, Reader
from tierlab.traces.runs import Runs, compress


@dataclass
class Given(Reader):
    """A reader that yields what it was given."""

    chunks: list[Chunk] = field(default_factory=list)
    name: str = "given"
    summary: str = "chunks of a test"
    extensions: tuple[str, ...] = ()
    ordered: bool = False

    def read(self, log: Log, options: Options) -> Iterator[Chunk]:
        yield from self.chunks


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Log:
    path = tmp_path_factory.mktemp("log") / "given.txt"
    path.write_text("x")
    return Log(str(path), "TRACE")


def chunk(arrival_s: list[float], line: int = 1, **columns: object) -> Chunk:
    n = len(arrival_s)
    whole = {
        "line": np.arange(line, line + n),
        "arrival_s": np.array(arrival_s, np.float64),
        "input_tokens": np.full(n, 10),
        "output_tokens": np.ones(n, np.int64),
    }
    return Chunk(**(whole | columns))


def test_late_rows_are_sorted_and_time_starts_at_zero(log):
    trace = assemble(log, Given([chunk([0.0, -5.0]), chunk([3.0, -1.0], 3)]), Options())
    assert trace.arrival_s.tolist() == [0.0, 4.0, 5.0, 8.0]


def test_a_backward_clock_is_refused_where_the_format_is_in_order(log):
    given = Given([chunk([0.0, 5.0]), chunk([6.0, 4.0], 3)], ordered=True)
    with pytest.raises(BadInput, match=r"given.txt:4: arrival_s is 4 s after .* accepted: 6 s"):
        assemble(log, given, Options())
    with pytest.raises(BadInput, match=r"given.txt:3: arrival_s is 4 s"):
        assemble(log, Given([chunk([0.0, 5.0]), chunk([4.0], 3)], ordered=True), Options())


def test_sessions_are_numbered_by_first_arrival_and_turns_counted(log):
    given = Given([chunk([5.0, 1.0, 2.0, 3.0, 0.0], session=["b", "a", None, "a", None])])
    trace = assemble(log, given, Options())
    assert trace.session.tolist() == [0, 1, 2, 1, 3]
    assert trace.turn.tolist() == [0, 0, 0, 1, 0]


def test_without_sessions_each_request_is_its_own(log):
    trace = assemble(log, Given([chunk([0.0, 1.0, 2.0])]), Options())
    assert trace.session.tolist() == [0, 1, 2]
    assert trace.turn.tolist() == [0, 0, 0]


def test_parents_follow_their_rows(log):
    given = Given([chunk([5.0, 1.0]), chunk([2.0], 3, parent=np.array([0]))])
    given.chunks[0] = chunk([5.0, 1.0], parent=np.array([-1, 0]))
    trace = assemble(log, given, Options())
    assert trace.parent.tolist() == [2, 2, -1]


def test_adapters_are_numbered_and_none_is_minus_one(log):
    trace = assemble(log, Given([chunk([0.0, 1.0, 2.0], adapter=["x", None, "y"])]), Options())
    assert trace.adapter.tolist() == [0, -1, 1]


def test_a_parent_outside_the_log(log):
    with pytest.raises(BadInput, match=r"parent = 7"):
        assemble(log, Given([chunk([0.0], parent=np.array([7]))]), Options())


def test_two_block_sizes_in_a_log(log):
    def blocks(size: int) -> Runs:
        return Runs(size, False, *compress(np.arange(10 // size), np.array([10 // size])))

    given = Given([chunk([0.0], blocks=blocks(5)), chunk([1.0], 2, blocks=blocks(2))])
    with pytest.raises(BadInput, match=r"block ids of several kinds"):
        assemble(log, given, Options())


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(0, 9), min_size=5, max_size=5))))
def test_session_local_ids_are_never_pooled(log, requests):
    """Two rows share a global id exactly where they share session and local id."""
    if not requests:
        return
    ids = np.array([one for _, local in requests for one in local], np.int64)
    blocks = Runs(2, False, *compress(ids, np.full(len(requests), 5)), local=True)
    arrival_s = [float(-i) for i in range(len(requests))]
    keys = [session for session, _ in requests]
    trace = assemble(log, Given([chunk(arrival_s, session=keys, blocks=blocks)]), Options())
    seen: dict[int, tuple[int, int]] = {}
    for row, (session, local) in enumerate(reversed(requests)):
        for one, own in zip(trace.blocks(row).tolist(), local, strict=True):
            assert seen.setdefault(one, (session, own)) == (session, own)
    assert len(seen) == len(set(seen.values()))


def test_no_requests(log):
    with pytest.raises(BadInput, match=r"no requests"):
        assemble(log, Given([]), Options())


def test_columns_that_a_log_lacks_take_no_memory(log):
    trace = assemble(log, Given([chunk([0.0, 1.0]), chunk([2.0], 3)]), Options())
    lacking = (trace.turn, trace.think_s, trace.parent, trace.adapter, trace.run_offsets)
    assert [one.strides for one in lacking] == [(0,)] * 5
    assert [one.tolist() for one in (trace.turn, trace.parent)] == [[0] * 3, [-1] * 3]


def test_a_column_of_another_type_is_refused(log):
    with pytest.raises(TypeError, match="safe"):
        assemble(log, Given([chunk([0.0], input_tokens=np.array([1.5]))]), Options())
