"""Which scenario keys take whole numbers, read off the schema."""

from __future__ import annotations

from typing import Any, get_args

PLAN_KEYS = {"plan.context", "plan.batch"}


def is_whole(key: str, written_whole: bool) -> bool:
    """Return whether a range of `key` is rounded to whole numbers.

    Parameters
    ----------
    written_whole
        Whether both ends were written without a point: decides for keys whose type the schema
        leaves open, as a generator's parameters.
    """
    if key in PLAN_KEYS:
        return True
    found = _annotation(key)
    if found is None:
        return written_whole
    kinds = {found, *_inner(found)}
    return int in kinds and float not in kinds


def _inner(annotation: Any) -> set[Any]:
    out: set[Any] = set()
    for each in get_args(annotation):
        out |= {each} | _inner(each) if not isinstance(each, str | int | float) else set()
    return out


def _annotation(key: str) -> Any:
    """Return the type of a scenario key, None where there is none or it is a free table's."""
    from pydantic import BaseModel

    from tierlab.simulator.scenario.schema import Scenario

    kind: Any = Scenario
    for part in key.split("."):
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return None
        field = kind.model_fields.get(part)
        if field is None:
            return None
        kind = field.annotation
    return kind
