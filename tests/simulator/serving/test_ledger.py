import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tierlab.kernels.base.errors import BrokenLaw
from tierlab.simulator.serving.ledger import Census, Ledger
from tierlab.simulator.serving.requests import DONE, REJECTED
from tierlab.simulator.serving.run import census

HONEST = Census(
    arrived=3, finished=2, rejected=1, in_flight=0, input_tokens=30, recomputed=4, output=9
)


def entered() -> Ledger:
    ledger = Ledger(computed=20, recomputed=4, output=9)
    ledger.reused["dram"] = 10
    return ledger


def test_entries_that_agree_pass():
    entered().close(HONEST)


@pytest.mark.parametrize(
    ("field", "named"),
    [("computed", "prompt"), ("recomputed", "recomputed"), ("output", "output")],
)
def test_a_token_without_a_cause_is_found(field, named):
    ledger = entered()
    setattr(ledger, field, getattr(ledger, field) + 1)
    with pytest.raises(BrokenLaw, match=named):
        ledger.close(HONEST)


def test_a_lost_request_is_found():
    lost = Census(
        arrived=4, finished=2, rejected=1, in_flight=0, input_tokens=30, recomputed=4, output=9
    )
    with pytest.raises(BrokenLaw, match="requests"):
        entered().close(lost)


def test_occupancy_beyond_the_capacity_is_refused():
    with pytest.raises(BrokenLaw, match="hbm"):
        Ledger().occupy("hbm", 101.0, 100.0)


def test_time_does_not_run_backwards():
    ledger = Ledger()
    ledger.tick(2.0)
    with pytest.raises(BrokenLaw, match="backwards"):
        ledger.tick(1.0)


request = st.tuples(st.floats(0, 50, allow_nan=False), st.integers(1, 900), st.integers(0, 120))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(request, min_size=1, max_size=25),
    st.integers(1, 120),
    st.integers(1, 12),
    st.integers(1, 500),
)
def test_any_scenario_obeys_the_laws_and_ends(trace, served, requests, blocks, seqs, budget):
    rows = sorted(requests)
    made = trace(*(list(column) for column in zip(*rows, strict=True)))
    run = served(
        made, blocks=blocks, max_num_seqs=seqs, max_num_batched_tokens=budget, token_s=0.001
    )
    r = run.requests
    count = census(r)
    assert count.finished + count.rejected == len(made)
    done = r.status == DONE
    assert (r.generated[done] == r.output_tokens[done]).all()
    assert (r.generated[r.status == REJECTED] == 0).all()
    assert run.ledger.computed == r.input_tokens[done].sum()
    assert (r.first_token_s[done] >= r.arrival_s[done]).all()
    assert (r.last_token_s[done] >= r.first_token_s[done]).all()
    steps = run.record.columns()
    assert (steps["decodes"] + steps["prefill_tokens"] <= budget).all()
    assert (steps["running"] <= seqs).all()
    assert steps["kv_bytes"].max(initial=0) <= run.parts.pool.capacity_bytes
    gaps, weights = run.record.token_gaps()
    assert (gaps >= 0).all()
    assert weights.sum() == (r.generated[done] - 1).sum()
