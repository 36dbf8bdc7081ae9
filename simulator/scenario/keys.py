"""Every key of a scenario with its default and meaning, read off the schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tierlab.simulator.scenario.schema import Scenario

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo


def keys() -> Iterator[tuple[str, str, str]]:
    """Yield (dotted key, default as TOML, meaning) in the order of the schema."""
    yield from _keys("", Scenario)


def _keys(prefix: str, schema: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    """Yield the keys of a table; a table like an earlier one of the same parent is not repeated."""
    from pydantic import BaseModel

    seen: dict[type[BaseModel], str] = {}
    for name, field in schema.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            if inner in seen:
                yield f"{prefix}{name}", "table", f"the keys of {prefix}{seen[inner]}"
            else:
                yield from _keys(f"{prefix}{name}.", inner)
            seen.setdefault(inner, name)
        else:
            yield f"{prefix}{name}", _default(field), field.description or ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    return '""' if value == "" else str(value)
