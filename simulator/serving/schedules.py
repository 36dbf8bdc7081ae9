"""The schedules of attention that a scenario names, over its time model."""

from __future__ import annotations

from tierlab.hwmodels.system import System
from tierlab.hwmodels.time.profile import StepProfile
from tierlab.hwmodels.time.scheduled import Scheduled, scheduled
from tierlab.hwmodels.time.times import TimeModel
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.models.architecture import Model
from tierlab.kernels.models.step import decode_work, prefill_work
from tierlab.policies.design import Design
from tierlab.simulator.scenario.schema import Scenario


def with_schedules(
    scenario: Scenario, system: System, times: TimeModel, profile: StepProfile | None
) -> TimeModel:
    """Return the time model with the schedules that a scenario names.

    Raises
    ------
    BadInput
        There is no such schedule, or step times are a profile's.
    """
    section = scenario.time
    for key in ("prefill_schedule", "decode_schedule"):
        if profile is not None and getattr(section, key) is not None:
            what = f"{getattr(section, key)!r}, but a profile has whole steps"
            raise BadInput(f"time.{key}", what, "model = silicon or another model of operations")
    names = section.prefill_schedule, section.decode_schedule
    return scheduled(times, system.gpu, *names, "time")


def check_schedules(
    scenario: Scenario, model: Model, design: Design, longest: int, times: TimeModel
) -> None:
    """Refuse a model or design whose attention the schedules cannot say, before anything runs.

    Raises
    ------
    BadInput
        With the key that named the schedule.
    """
    if isinstance(times, Scheduled):
        tp, kv_dtype = scenario.engine.tensor_parallel_size, design.representation.kv_dtype
        times.check(prefill_work(model, tp, kv_dtype, 1, longest, scenario.model.weights).ops)
        times.check(decode_work(model, tp, kv_dtype, 1, float(longest), 0.0).ops)
