"""What designs buy in a plan follows from their bytes."""

import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.planning import plan
from tierlab.simulator.scenario.load import validate

CONTEXT = 32_768


def planned(design, batch=None, hardware="H100", **sections):
    data = {
        "model": "Llama-3.1-8B",
        "hardware": hardware,
        "design": design,
        "workload": {"generator": "poisson"},
        **sections,
    }
    return plan(validate(data, "test"), CONTEXT, batch)


@pytest.mark.parametrize(
    "design", ["vllm-fp8-kv", "streamingllm", "snapkv", "h2o", "kivi-2bit", "kivi-4bit"]
)
def test_as_many_more_requests_fit_as_their_bytes_are_fewer(design):
    plain, lean = planned("baseline"), planned(design)
    ratio = plain["kv"]["bytes_of_context"] / lean["kv"]["bytes_of_context"]
    assert ratio > 1.9
    fit = lean["kv"]["capacity_bytes"] // lean["kv"]["bytes_of_context"]
    assert lean["largest_batch"] <= fit
    assert lean["largest_batch"] == pytest.approx(fit, abs=1 + 0.04 * fit)


@pytest.mark.parametrize("design", ["streamingllm", "snapkv", "h2o", "kivi-2bit"])
def test_a_step_of_the_same_batch_is_faster_where_it_reads_less(design):
    plain, lean = planned("baseline", batch=12), planned(design, batch=12)
    assert lean["decode"]["seconds"] < plain["decode"]["seconds"]
    assert lean["decode"]["hbm_bytes"] < plain["decode"]["hbm_bytes"]


@pytest.mark.parametrize("design", ["snapkv", "h2o"])
def test_choosing_tokens_makes_the_prompt_slower(design):
    assert planned(design)["prefill"]["seconds"] > planned("baseline")["prefill"]["seconds"]


def test_decode_reads_the_bytes_that_the_format_stores():
    """The rest of a step is the same: the difference is that of the KV, and quantising one token."""
    plain, lean = (planned(d, batch=8)["decode"]["hbm_bytes"] for d in ("baseline", "kivi-2bit"))
    kv = {d: planned(d)["kv"]["bytes_of_context"] for d in ("baseline", "kivi-2bit")}
    saved = 8 * (kv["baseline"] - kv["kivi-2bit"])
    assert plain - lean == pytest.approx(saved, rel=1e-3)


def test_kv_in_host_memory_costs_copies_and_holds_more():
    away = {"preset": "baseline", "placement": "host"}
    near, far = planned("baseline", batch=12), planned(away, batch=12)
    whole = 12 * near["kv"]["bytes_of_context"]
    assert far["decode"]["step_s"] == far["decode"]["copies_s"] > near["decode"]["step_s"]
    assert 20e9 < whole / far["decode"]["copies_s"] < 64e9
    assert far["largest_batch"] > near["largest_batch"]


def test_loads_that_do_not_overlap_add_to_the_step():
    two, one = (
        planned({"placement": {"name": "host", "buffers": buffers}}, batch=4)["decode"]
        for buffers in (2, 1)
    )
    assert one["step_s"] > one["copies_s"] > 0
    assert one["step_s"] > two["step_s"]


def test_a_placement_that_the_hardware_lacks_is_refused():
    with pytest.raises(BadInput, match="has no ssd"):
        planned({"placement": "ssd"}, hardware="RTX-4090")


def test_a_drive_is_slower_than_host_memory():
    host, ssd = (
        planned({"placement": p}, batch=2, hardware="h200-tiered")["decode"]["copies_s"]
        for p in ("host", "ssd")
    )
    assert ssd > host > 0
