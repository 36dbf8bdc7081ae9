"""What varies: lists, ranges, Sobol samples, and keys that move together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import near
from tierlab.kernels.base.units import UNITS, to_si
from tierlab.simulator.sweep.whole import is_whole

MOST_POINTS = 100_000
MOST_STEPS = 10_000
SPEC = ("from", "to", "steps", "sobol", "log")

Table = Mapping[str, Any]


@dataclass(frozen=True)
class Axis:
    """Keys that move together.

    Attributes
    ----------
    keys
        Dotted scenario keys.
    rows
        For each step along the axis, one value a key.
    kind
        ``list``, ``range``, ``zip`` or ``sobol``.
    """

    keys: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    kind: str

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Span:
    """A continuous range of one key."""

    key: str
    low: float
    high: float
    log: bool
    whole: bool

    def at(self, shares: Sequence[float]) -> list[float | int]:
        """Return the values at shares 0 to 1 of the way, logarithmically where asked."""
        return [self._value(share) for share in shares]

    def _value(self, share: float) -> float | int:
        if share in (0.0, 1.0):
            value = self.high if share else self.low
        elif self.log:
            value = math.exp(math.log(self.low) * (1 - share) + math.log(self.high) * share)
        else:
            value = self.low * (1 - share) + self.high * share
        return round(value) if self.whole else value


def make_axes(vary: Table, zips: Sequence[Table], seed: int, where: str) -> tuple[Axis, ...]:
    """Return the axes of a sweep, whose product are its points.

    Parameters
    ----------
    vary
        ``[vary]``: scenario key -> list, or ``{ from, to, steps, log }``, or
        ``{ from, to, sobol, log }``. All Sobol keys share one sample.
    zips
        ``[[zip]]``: tables of lists of equal length.
    seed
        Of the Sobol sample's scrambling.

    Raises
    ------
    BadInput
        A value that is none of these, a key that varies twice, more than `MOST_POINTS` points.
    """
    grid: list[Axis] = []
    sampled: list[tuple[Span, int]] = []
    for key, value in flat(vary, f"{where}, key vary"):
        at = f"{where}, key vary.{key}"
        if isinstance(value, list):
            grid.append(Axis((key,), tuple((v,) for v in _values(key, value, at)), "list"))
        elif "sobol" in value:
            sampled.append(_sample(key, value, at))
        else:
            grid.append(_range(key, value, at))
    axes = [*grid, *(_zip(table, f"{where}, key zip[{i}]") for i, table in enumerate(zips))]
    if sampled:
        axes.append(_sobol(sampled, seed, where))
    _check(axes, where)
    return tuple(axes)


def flat(table: Table, where: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, list or range) of nested tables.

    Raises
    ------
    BadInput
        A value that is neither.
    """
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, list) or (isinstance(value, dict) and set(value) & {*SPEC}):
            yield key, value
        elif isinstance(value, dict) and value:
            yield from flat(value, where, f"{key}.")
        else:
            accepted = "a list, { from, to, steps }, or { from, to, sobol }"
            raise BadInput(f"{where}.{key}", f"{value!r} does not vary", accepted)


def _values(key: str, values: list[Any], at: str) -> list[Any]:
    if not values:
        raise BadInput(at, "the list is empty", "at least one value")
    plain = [_plain(key, value) for value in values]
    for i, value in enumerate(plain):
        if any(value == other and type(value) is type(other) for other in plain[:i]):
            raise BadInput(at, f"{values[i]!r} stands there twice", "each value once")
    return plain


def _plain(key: str, value: Any) -> Any:
    """Return a capacity that is written with its unit in bytes; other values as they are."""
    if not isinstance(value, str) or not key.endswith("capacity"):
        return value
    number, _, unit = value.strip().partition(" ")
    try:
        return to_si(float(number), unit.strip(), "bytes", key)
    except (ValueError, BadInput):
        return value


def _span(key: str, spec: Table, at: str, count: str) -> Span:
    for name in spec:
        if name not in SPEC or name in {"steps", "sobol"} - {count}:
            raise BadInput(at, f"unknown key {name!r}", near(name, ("from", "to", count, "log")))
    for name in ("from", "to", count):
        if name not in spec:
            raise BadInput(at, f"`{name}` is missing", f"{{ from, to, {count} }}")
    low, high = (_number(key, spec[name], f"{at}.{name}") for name in ("from", "to"))
    log = spec.get("log", False)
    if not isinstance(log, bool):
        raise BadInput(f"{at}.log", f"{log!r} is no yes or no", "true or false")
    if low >= high:
        raise BadInput(at, f"from {low:g} to {high:g} does not rise", "`from` below `to`")
    if log and low <= 0:
        raise BadInput(f"{at}.from", f"{low:g} has no logarithm", "a number above 0")
    ints = isinstance(spec["from"], int) and isinstance(spec["to"], int)
    return Span(key, low, high, log, is_whole(key, ints))


def _number(key: str, value: Any, at: str) -> float:
    plain = _plain(key, value)
    number = isinstance(plain, int | float) and not isinstance(plain, bool)
    if not number or not math.isfinite(plain):
        accepted = f'a number, or for a capacity "64 GiB": {" ".join(UNITS["bytes"])}'
        raise BadInput(at, f"{value!r} is no number", accepted)
    return float(plain)


def _count(value: Any, least: int, at: str) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not least <= value <= MOST_STEPS:
        raise BadInput(at, f"{value!r} is no number of values", f"{least} to {MOST_STEPS}")
    return int(value)


def _range(key: str, spec: Table, at: str) -> Axis:
    span = _span(key, spec, at, "steps")
    steps = _count(spec["steps"], 2, f"{at}.steps")
    values = span.at([i / (steps - 1) for i in range(steps)])
    return Axis((key,), tuple((v,) for v in dict.fromkeys(values)), "range")


def _sample(key: str, spec: Table, at: str) -> tuple[Span, int]:
    return _span(key, spec, at, "sobol"), _count(spec["sobol"], 1, f"{at}.sobol")


def _sobol(sampled: list[tuple[Span, int]], seed: int, where: str) -> Axis:
    """Return one scrambled Sobol sequence over all sampled keys (Owen 1998, as SciPy has it)."""
    from scipy.stats import qmc

    counts = {n for _, n in sampled}
    if len(counts) > 1:
        told = " and ".join(map(str, sorted(counts)))
        raise BadInput(f"{where}, key vary", f"sobol of {told}", "one number for all Sobol keys")
    (n,) = counts
    sampler = qmc.Sobol(d=len(sampled), scramble=True, rng=seed)
    shares = sampler.random_base2(math.ceil(math.log2(n)))[:n]
    columns = [span.at(shares[:, i].tolist()) for i, (span, _) in enumerate(sampled)]
    keys = tuple(span.key for span, _ in sampled)
    return Axis(keys, tuple(zip(*columns, strict=True)), "sobol")


def _zip(table: Any, at: str) -> Axis:
    if not isinstance(table, dict) or not table:
        raise BadInput(at, f"{table!r} is no table of lists", "[[zip]] with key = [...] lines")
    columns: dict[str, list[Any]] = {}
    for key, value in flat(table, at):
        if not isinstance(value, list):
            raise BadInput(f"{at}.{key}", "a range cannot be zipped", "a list")
        columns[key] = [_plain(key, v) for v in value]
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1 or 0 in lengths:
        told = ", ".join(f"{key} has {len(column)}" for key, column in columns.items())
        raise BadInput(at, f"lists of different or no length: {told}", "lists of one length")
    return Axis(tuple(columns), tuple(zip(*columns.values(), strict=True)), "zip")


def _check(axes: Sequence[Axis], where: str) -> None:
    keys = list(itertools.chain.from_iterable(axis.keys for axis in axes))
    if not keys:
        raise BadInput(where, "nothing varies", "[vary] or [[zip]] with at least one key")
    for i, key in enumerate(keys):
        if key in keys[:i]:
            raise BadInput(f"{where}, key {key}", "varies twice", "each key in one place")
    points = math.prod(len(axis) for axis in axes)
    if points > MOST_POINTS:
        told = " x ".join(str(len(axis)) for axis in axes)
        raise BadInput(where, f"{told} = {points:,} points", f"at most {MOST_POINTS:,}")
