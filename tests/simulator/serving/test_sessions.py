"""Closed-loop sessions, with a step of 1 s: an answer takes as many seconds as its tokens."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.serving.requests import DONE, REJECTED

NAN = float("nan")


def closed(served, requests, **workload):
    return served(requests, arrivals="closed", workload=workload).requests


def test_sessions_start_as_logged_where_the_log_says_when(trace, served):
    requests = trace([0.0, 3.0, 7.0], [10, 10, 10], [1, 1, 1])
    assert closed(served, requests).arrival_s.tolist() == [0.0, 3.0, 7.0]


def test_no_session_starts_before_its_time(trace, served):
    """1.13 + (9.58837269416278 - 1.13) is less than 9.58837269416278."""
    starts = [0.0, 1.13, 9.58837269416278]
    requests = trace(starts, [10] * 3, [1] * 3)
    assert (closed(served, requests, session_starts="trace").arrival_s >= starts).all()


def test_sessions_that_the_log_starts_at_once_start_by_a_poisson_process(trace, served):
    n = 400
    found = closed(served, trace([0.0] * n, [1] * n, [1] * n), sessions_per_s=0.05)
    gaps = np.diff(found.arrival_s)
    assert found.arrival_s[0] == 0.0
    assert gaps.mean() == pytest.approx(20.0, rel=4 / np.sqrt(n))
    assert gaps.std() == pytest.approx(gaps.mean(), rel=4 * np.sqrt(2 / n))


def test_the_default_is_a_session_every_ten_seconds(trace, served):
    n = 400
    found = closed(served, trace([0.0] * n, [1] * n, [1] * n))
    assert np.diff(found.arrival_s).mean() == pytest.approx(10.0, rel=4 / np.sqrt(n))


def test_session_starts_can_be_chosen(trace, served):
    requests = trace([0.0, 0.0, 0.0], [10, 10, 10], [1, 1, 1])
    assert closed(served, requests, session_starts="trace").arrival_s.tolist() == [0.0, 0.0, 0.0]
    spread = trace([0.0, 1e6, 2e6], [10, 10, 10], [1, 1, 1])
    assert closed(served, spread, session_starts="poisson").arrival_s[2] < 1e6


def test_a_session_waits_until_another_closes(trace, served):
    requests = trace(
        [0.0, 1.0, 2.0, 30.0], [10] * 4, [5, 5, 5, 5], session=[0, 1, 2, 0], think_s=[NAN] * 3 + [4]
    )
    found = closed(served, requests, max_open_sessions=1)
    first, second = 0.0, 5.0 + 4.0
    assert found.arrival_s.tolist() == pytest.approx([first, second + 5, second + 10, second])


def test_64_sessions_are_open_by_default(trace, served):
    requests = trace([0.0] * 80, [1] * 80, [10] * 80)
    found = closed(served, requests, session_starts="trace")
    assert found.arrival_s[:64].tolist() == [0.0] * 64
    assert found.arrival_s[64:].tolist() == pytest.approx([10.0] * 16)


def family(trace, think_s):
    """A parent of two turns; its first spawns two subagents, of two turns and of one."""
    return trace(
        [0.0, 1.0, 1.0, 2.0, 9.0],
        [10] * 5,
        [5, 3, 20, 4, 5],
        session=[0, 1, 2, 1, 0],
        parent=[-1, 0, 0, -1, -1],
        think_s=[NAN, NAN, 2.0, 1.0, think_s],
    )


def test_subagents_start_when_their_parent_is_answered_and_it_waits_for_them(trace, served):
    found = closed(served, family(trace, 0.5))
    assert found.arrival_s[:4].tolist() == pytest.approx([0.0, 5.0, 7.0, 5 + 3 + 1])
    assert found.arrival_s[4] == pytest.approx(found.last_token_s[2]) == pytest.approx(27.0)


def test_a_think_time_longer_than_the_subagents_is_kept(trace, served):
    assert closed(served, family(trace, 100.0)).arrival_s[4] == pytest.approx(5.0 + 100.0)


def test_subagents_take_no_place_and_their_family_keeps_its_own(trace, served):
    """The last turn of the first session spawns a subagent; the second session waits for it."""
    requests = trace([0.0, 1.0, 2.0], [10] * 3, [5, 7, 5], session=[0, 1, 2], parent=[-1, 0, -1])
    found = closed(served, requests, max_open_sessions=1)
    assert found.arrival_s.tolist() == pytest.approx([0.0, 5.0, 12.0])


def test_a_rejected_turn_ends_its_session_and_what_it_would_have_spawned(trace, served):
    requests = trace(
        [0.0, 1.0, 2.0, 3.0, 4.0],
        [10, 9000, 10, 10, 10],
        [5, 5, 5, 5, 5],
        session=[0, 0, 1, 0, 2],
        parent=[-1, -1, 1, -1, -1],
        think_s=[NAN, 1.0, NAN, 1.0, NAN],
    )
    found = closed(served, requests, max_open_sessions=1)
    assert found.status.tolist() == [DONE, REJECTED, REJECTED, REJECTED, DONE]
    assert found.reason.tolist() == [0, 1, 3, 3, 0]
    assert found.arrival_s[4] == pytest.approx(6.0)


def test_a_parent_goes_on_when_a_subagent_is_rejected(trace, served):
    requests = trace(
        [0.0, 1.0, 2.0],
        [10, 9000, 10],
        [5, 5, 5],
        session=[0, 1, 0],
        parent=[-1, 0, -1],
        think_s=[NAN, NAN, 2.0],
    )
    found = closed(served, requests)
    assert found.status.tolist() == [DONE, REJECTED, DONE]
    assert found.arrival_s[2] == pytest.approx(7.0)


def test_subagents_have_subagents(trace, served):
    requests = trace(
        [0.0, 1.0, 2.0, 3.0],
        [10] * 4,
        [1, 2, 3, 1],
        session=[0, 1, 2, 0],
        parent=[-1, 0, 1, -1],
        think_s=[NAN, NAN, NAN, 0.0],
    )
    found = closed(served, requests)
    assert found.arrival_s.tolist() == pytest.approx([0.0, 1.0, 3.0, 6.0])


def test_sessions_that_spawn_each_other_are_refused(trace, served):
    requests = trace([0.0, 1.0, 2.0], [10] * 3, [1] * 3, parent=[-1, 2, 1])
    with pytest.raises(BadInput, match="descends from itself"):
        closed(served, requests)


def test_parents_mean_nothing_in_an_open_loop(trace, served):
    found = served(family(trace, 100.0)).requests
    assert found.arrival_s.tolist() == [0.0, 1.0, 1.0, 2.0, 9.0]


@st.composite
def families(draw):
    """Sessions that spawn others; a prompt of 9000 tokens is rejected."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=7))
    session = [s for s, size in enumerate(sizes) for _ in range(size)]
    parent = [-1] * len(session)
    for s in range(1, len(sizes)):
        earlier = [row for row, of in enumerate(session) if of < s]
        parent[session.index(s)] = draw(st.sampled_from([-1, *earlier]))
    n = len(session)
    prompts = draw(st.lists(st.sampled_from([10, 40, 10, 9000]), min_size=n, max_size=n))
    outputs = draw(st.lists(st.integers(1, 9), min_size=n, max_size=n))
    think_s = draw(st.lists(st.sampled_from([NAN, 0.0, 0.5, 12.0]), min_size=n, max_size=n))
    return prompts, outputs, session, think_s, parent


class Oracle:
    """What the arrivals must have been, from the answers that were given."""

    def __init__(self, rows, found):
        _, _, self.session, self.think_s, self.parent = rows
        self.r = found

    def turns(self, session):
        return [row for row, of in enumerate(self.session) if of == session]

    def children_end(self, row):
        spawned = [self.session[child] for child, p in enumerate(self.parent) if p == row]
        return max((self.end(session) for session in spawned), default=0.0)

    def end(self, session):
        for row in self.turns(session):
            if self.r.status[row] == REJECTED:
                return self.r.arrival_s[row]
        last = self.turns(session)[-1]
        return max(self.r.last_token_s[last], self.children_end(last))

    def due(self, row):
        """Return when a later turn or a subagent must arrive; None for a root."""
        turns = self.turns(self.session[row])
        before = turns[turns.index(row) - 1] if row != turns[0] else self.parent[row]
        if before < 0 or self.r.status[before] == REJECTED:
            return None
        at = self.r.last_token_s[before] + np.nan_to_num(self.think_s[row])
        return at if row == turns[0] else max(at, self.children_end(before))


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(families(), st.integers(1, 3), st.sampled_from(["trace", "poisson"]), st.integers(1, 3))
def test_any_family_arrives_as_its_answers_say(trace, served, rows, most, starts, replicas):
    prompts, outputs, session, think_s, parent = rows
    at = np.arange(len(session)) * 1.3
    made = trace(at.tolist(), prompts, outputs, session, think_s, parent)
    found = served(
        made,
        arrivals="closed",
        workload={"max_open_sessions": most, "session_starts": starts},
        replicas=replicas,
        max_num_seqs=2,
    ).requests
    oracle = Oracle(rows, found)
    for row in range(len(session)):
        due = oracle.due(row)
        assert due is None or found.arrival_s[row] == pytest.approx(due)
    roots = [session.index(s) for s in set(session) if parent[session.index(s)] < 0]
    spans = [(found.arrival_s[row], oracle.end(session[row])) for row in roots]
    for start, _ in spans:
        assert sum(a <= start < b - 1e-9 for a, b in spans) <= most
