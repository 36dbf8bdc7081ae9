"""From a scenario to the parts of a simulation: what every command that needs them calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.price import Prices, load_prices
from tierlab.hwmodels.system import System
from tierlab.hwmodels.time.profile import StepProfile, load_profile
from tierlab.hwmodels.time.registry import time_model
from tierlab.hwmodels.time.times import TimeModel
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.models.architecture import Model
from tierlab.kernels.models.load import load_model
from tierlab.kernels.ops.routing import UNIFORM, named
from tierlab.policies.design import Design, load_preset, make_design
from tierlab.policies.protocol import AXES, Moves, Works
from tierlab.simulator.scenario.schema import TIME_MODEL, DesignSection, EngineSection, Scenario
from tierlab.simulator.serving.measured import measured
from tierlab.simulator.serving.memory import GpuMemory, KvPool, gpu_memory, kv_pool
from tierlab.simulator.serving.routing.registry import make_router
from tierlab.simulator.serving.schedules import (
    check_schedules,
    refuse_schedules,
    with_schedules,
)

PROFILE = "profile:"


@dataclass(frozen=True, eq=False)
class Parts:
    """What a scenario names, loaded and checked against each other."""

    model: Model
    system: System
    prices: Prices
    design: Design
    times: TimeModel
    profile: StepProfile | None
    memory: GpuMemory
    pool: KvPool
    max_model_len: int


def build_design(section: DesignSection, where: str = "design") -> Design:
    """Make the design of a scenario: a preset, with single axes replaced."""
    name, axes = load_preset(section.preset, where)
    own = {axis: getattr(section, axis) for axis in AXES if getattr(section, axis) is not None}
    return make_design(f"{name}*" if own else name, {**axes, **own}, where)


def _times(
    scenario: Scenario, model: Model, system: System
) -> tuple[TimeModel, StepProfile | None]:
    """Return the time model of operations, and the profile of whole steps where one is named."""
    spec = scenario.time.model
    known = spec.startswith((PROFILE, TIME_MODEL))
    if scenario.time.ragged and not known:
        what = f"{spec!r} does not know unlike lengths"
        raise BadInput("time.ragged", what, "model = silicon or profile:FOLDER")
    if not spec.startswith(PROFILE):
        times = time_model(spec, system.gpu, system.peer_link, "time.model")
        return with_schedules(scenario.time, system.gpu, times), None
    refuse_schedules(scenario.time)
    folder = Path(spec.removeprefix(PROFILE)).expanduser()
    if scenario.engine.tensor_parallel_size > 1:
        raise BadInput("time.model", "a profile is of one GPU", "tensor_parallel_size = 1")
    if scenario.time.band != "mid":
        raise BadInput("time.band", f"a profile has no {scenario.time.band}", "mid")
    profile = load_profile(folder, len(model.layers), "time.model", scenario.time.ragged is True)
    return time_model(TIME_MODEL, system.gpu, system.peer_link, "time.model"), profile


def _check_reuse(design: Design) -> None:
    """Refuse what the engine does not have yet: another eviction than vLLM's in HBM."""
    if design.policies["reuse"].name not in ("none", "lru"):
        raise BadInput(
            "design.reuse",
            f"{design.policies['reuse'].name!r} has no place in a served run yet",
            "none or lru; `tierlab trace mrc` compares the others",
        )


def check_served(scenario: Scenario, parts: Parts) -> None:
    """Refuse designs whose effect on each step a served run cannot tell.

    Raises
    ------
    BadInput
        With the policy, and what would do.
    """
    design, below = parts.design, isinstance(parts.design.placement, Moves)
    if below and scenario.tiers.names():
        raise BadInput(
            "tiers",
            f"placement {design.placement.name!r} copies in every step, and would share links "
            "with these tiers' copies, which is not simulated",
            'no [tiers], or placement = "hbm"',
        )
    if parts.profile is not None and _reads_otherwise(design):
        raise BadInput(
            "time.model",
            f"a profile has no steps of design {design.name!r}",
            "a time model of operations, such as silicon",
        )


def _reads_otherwise(design: Design) -> bool:
    """Return whether a step runs or reads something else than attention to the whole context."""
    policies = design.policies.values()
    declared = [policy.declares for policy in policies]
    changed = any(d.drops_after_write or d.partial or d.grouped_tokens for d in declared)
    return changed or any(isinstance(policy, Works | Moves) for policy in policies)


def _check_gpus(engine: EngineSection, system: System) -> None:
    """Refuse more GPUs than the system has."""
    tp, replicas, there = engine.tensor_parallel_size, engine.replicas, len(system.gpus())
    if tp > there:
        raise BadInput(
            "engine.tensor_parallel_size",
            f"{tp} GPUs wanted, but {system.name} has {there}",
            f"at most {there}, or hardware such as {tp}x{system.gpu.name}",
        )
    if replicas * tp > there:
        raise BadInput(
            "engine.replicas",
            f"{replicas} x {tp} GPUs wanted, but {system.name} has {there}",
            f"at most {there // tp}, or hardware such as {replicas * tp}x{system.gpu.name}",
        )


def _model(scenario: Scenario) -> Model:
    """Load the model, its tokens choosing experts as the scenario says."""
    model, routing = load_model(scenario.model.name, "model"), scenario.model.expert_routing
    if model.routing is None and routing != UNIFORM:
        what = f"{named(routing)} is meant for experts, and {model.name} has none"
        raise BadInput("model.expert_routing", what, "a model with experts, or no such key")
    return model.routed(routing)


def build(scenario: Scenario) -> Parts:
    """Load what a scenario names.

    Raises
    ------
    BadInput
        A name that does not exist, a composition that cannot work, a model that does not fit.
    """
    model = _model(scenario)
    system = measured(load_system(scenario.hardware.name, "hardware"), scenario)
    engine = scenario.engine
    _check_gpus(engine, system)
    make_router(engine.routing)  # refused before a long trace is read, like the rest
    longest = engine.max_model_len or model.max_position
    design = build_design(scenario.design)
    _check_reuse(design)
    times, profile = _times(scenario, model, system)
    check_schedules(scenario, model, design, longest, times)
    memory = gpu_memory(model, scenario.model.weights, system.gpu.memory_bytes, engine)
    return Parts(
        model,
        system,
        load_prices().with_overrides(dict(scenario.hardware.prices)),
        design,
        times,
        profile,
        memory,
        kv_pool(model, memory, engine, design, longest),
        longest,
    )
