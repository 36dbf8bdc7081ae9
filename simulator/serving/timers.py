"""From a scenario and its parts to the timer of a replica."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from tierlab.hwmodels.hostcost import COSTS, HostCosts, load_host_costs
from tierlab.simulator.scenario.schema import Scenario
from tierlab.simulator.serving.build import Parts
from tierlab.simulator.serving.graphs import cuda_graphs
from tierlab.simulator.serving.hosttime import HostTime, Launches
from tierlab.simulator.serving.profiletime import ProfileTimer
from tierlab.simulator.serving.steptime import SPREADS, StepTimer, works_beside

HOST = "vllm-v1"


def host_costs(scenario: Scenario, profiled: bool) -> HostCosts:
    """Return what the engine costs the processor.

    Parameters
    ----------
    profiled
        Step times are a profile's, which by default are whole.

    Raises
    ------
    BadInput
        There are no such costs.
    """
    section = scenario.time.host
    name = section.name or ("none" if profiled else HOST)
    own = {key: getattr(section, key) for key in COSTS if getattr(section, key) is not None}
    return load_host_costs(name, "time.host").with_overrides(own, "time.host")


def host_time(scenario: Scenario, parts: Parts) -> HostTime | None:
    """Return the host of a replica; None where it takes no time.

    Raises
    ------
    BadInput
        Its costs, or the sizes of its graphs, are bad.
    """
    costs, engine = host_costs(scenario, parts.profile is not None), scenario.engine
    graphs = cuda_graphs(engine)
    if not any(getattr(costs, key) for key in COSTS):
        return None
    tp = engine.tensor_parallel_size
    launches = Launches.of(parts.model, scenario.model.weights, tp)
    return HostTime(costs, graphs, launches, engine.async_scheduling)


def profile_timer(scenario: Scenario, parts: Parts) -> ProfileTimer | None:
    """Return the timer of a profile, where the scenario names one."""
    if parts.profile is None:
        return None
    return ProfileTimer(parts.profile, host_time(scenario, parts))


def step_timer(scenario: Scenario, parts: Parts) -> StepTimer:
    """Return the timer that counts operations.

    Raises
    ------
    BadInput
        As `host_time`.
    """
    engine = scenario.engine
    of = (
        parts.model,
        scenario.model.weights,
        parts.design.representation.kv_dtype,
        engine.tensor_parallel_size,
        parts.times,
        parts.max_model_len,
        engine.max_num_batched_tokens,
        scenario.time.band,
        cuda_graphs(engine),
        host_time(scenario, parts),
        engine.sampling,
        parts.design if works_beside(parts.design) else None,
        engine.max_num_seqs,
    )
    ragged = scenario.time.ragged is not False
    return _made(of, ragged) if works_beside(parts.design) else alike(of, ragged)


def _made(of: tuple[Any, ...], ragged: bool) -> StepTimer:
    make: Callable[..., StepTimer] = StepTimer
    return make(*of, SPREADS if ragged else SPREADS[:1])


@lru_cache(maxsize=4)
def alike(of: tuple[Any, ...], ragged: bool) -> StepTimer:
    """Return the timer of runs that are alike, with what those before this one asked of it.

    The points of a sweep mostly differ in load, tiers and policies, and ask for the same times.
    When a table is filled in does not show in it, so neither does which run did so. What tells
    timers apart is compared as a whole, but for the time model: that has to be the same object.

    Parameters
    ----------
    of
        What `StepTimer` takes, but for its spreads.
    ragged
        Whether these are `SPREADS`.
    """
    return _made(of, ragged)
