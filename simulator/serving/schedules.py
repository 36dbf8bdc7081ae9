"""The schedules of attention that a scenario names, over its time model."""

from __future__ import annotations

from tierlab.hwmodels.device import Gpu
from tierlab.hwmodels.time.scheduled import Scheduled, scheduled
from tierlab.hwmodels.time.times import TimeModel
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.models.architecture import Model
from tierlab.kernels.models.step import decode_work, prefill_work
from tierlab.policies.design import Design
from tierlab.simulator.scenario.schema import Scenario, TimeSection


def refuse_schedules(section: TimeSection) -> None:
    """Refuse schedules beside a profile of whole steps.

    Raises
    ------
    BadInput
        With the key that named one.
    """
    for key in ("prefill_schedule", "decode_schedule"):
        if getattr(section, key) is not None:
            what = f"{getattr(section, key)!r}, but a profile has whole steps"
            raise BadInput(f"time.{key}", what, "model = silicon or another model of operations")


def with_schedules(section: TimeSection, gpu: Gpu, times: TimeModel) -> TimeModel:
    """Return the time model with the schedules that a scenario names.

    Raises
    ------
    BadInput
        There is no such schedule.
    """
    return scheduled(times, gpu, section.prefill_schedule, section.decode_schedule, "time")


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
