"""Names of blocks against the trace's ids, written out one by one."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.serving.engine.naming import OWN, name_blocks
from tierlab.simulator.serving.engine.new import new_names


def named(names, row, first, end):
    name_blocks(names, row, first, end)
    return names.scratch[: end - first].tolist()


def expected(ids, block_tokens, size, tokens, row, blocks):
    """Return the names of the first blocks: by the ids that cover them, else one's own."""
    out = []
    for i in range(blocks):
        last = ((i + 1) * size - 1) // block_tokens
        covered = (i + 1) * size <= min(tokens, len(ids) * block_tokens)
        parts = max(block_tokens // size, 1)
        out.append((ids[last] + 1) * parts + i % parts if covered else -(row * OWN + i + 1))
    return out


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.lists(st.integers(0, 50), max_size=6, unique=True), min_size=1, max_size=3),
    st.sampled_from([(16, 16), (64, 16), (16, 64), (48, 16)]),
    st.integers(0, 15),
    st.integers(0, 12),
)
def test_names_are_the_traces_ids_at_the_engines_block_size(trace, ids, sizes, more, first):
    theirs, ours = sizes
    tokens = [max(len(each) * theirs + more, 1) for each in ids]
    made = trace([0.0] * len(ids), tokens, [50] * len(ids), block_tokens=theirs, ids=ids)
    names = new_names(made, ours, 2000, 0.0)
    for row, each in enumerate(ids):
        end = first + 9
        want = expected(each, theirs, ours, tokens[row], row, end)
        assert named(names, row, first, end) == want[first:]


def talk(trace, share):
    one, two = list(range(4)), list(range(20))
    made = trace([0.0, 500.0], [70, 320], [80, 2], session=[0, 0], block_tokens=16, ids=[one, two])
    return new_names(made, 16, 1000, share)


def test_a_reply_has_the_names_of_the_next_prompt(trace):
    plain, replies = talk(trace, 0.0), talk(trace, 1.0)
    assert named(replies, 0, 0, 4) == named(plain, 0, 0, 4)
    assert named(replies, 0, 4, 9) == named(plain, 1, 4, 9)
    assert named(replies, 0, 2, 7) == named(plain, 1, 2, 7)
    assert named(replies, 1, 0, 21) == named(plain, 1, 0, 21)


def test_sizes_that_do_not_divide_are_refused(trace):
    made = trace([0.0], [100], [1], block_tokens=24, ids=[[1, 2, 3, 4]])
    with pytest.raises(BadInput, match="24 tokens"):
        new_names(made, 16, 1000, 0.0)
