"""Calibration files: fitted kernels of one device with their residuals, as JSON.

A file holds parameters and residual quantiles, never measurements of others. A file that is
broken, of another device, or has values that no fit could give is refused in one line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.silicon.fitted import Bands, Fitted
from tierlab.hwmodels.time.silicon.kernel import Kernel
from tierlab.hwmodels.time.silicon.measured import KernelKey
from tierlab.hwmodels.time.silicon.registry import KERNELS
from tierlab.hwmodels.time.silicon.surface import Surface, Term
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import fold, read_text
from tierlab.kernels.ops.table import DTYPES, OpTable

Floats = NDArray[np.float64]
FORMAT = "tierlab-calibration-1"
SHIPPED = Path(__file__).parents[2] / "calibration"
ANY_DEVICE = "any"
"""Device of constants that were fitted over several architectures, for datasheet predictions."""
_DIGITS = 5
_WIDEST_LOG = 5.0


@dataclass(frozen=True, eq=False)
class Calibration:
    """Fitted kernels of one device.

    Attributes
    ----------
    device
        Name in the catalogue, or `ANY_DEVICE`.
    made
        Date and command.
    kernels
        The fits; the first that fits an operation is its default.
    where
        The file, for reports.
    """

    device: str
    made: str
    kernels: tuple[Fitted, ...]
    where: str = ""


def shipped(device: str) -> Path | None:
    """Return the calibration that ships for a device, if one does."""
    path = SHIPPED / f"{fold(device)}.json"
    return path if path.exists() else None


def dump(calibration: Calibration) -> str:
    """Return the text of a calibration file, one line a kernel."""
    lines = ",\n ".join(json.dumps(_kernel(k), separators=(",", ":")) for k in calibration.kernels)
    head = {"format": FORMAT, "device": calibration.device, "made": calibration.made}
    return json.dumps(head)[:-1] + ', "kernels": [\n ' + lines + "\n]}\n"


def _kernel(one: Fitted) -> dict[str, Any]:
    return asdict(one.key) | {
        "source": one.source,
        "points": one.points,
        "groups": one.groups,
        "schedule": one.schedule,
        "parameters": {k: _short(v) for k, v in one.parameters.items()},
        "p10": [_short(v) for v in one.bands.p10],
        "p90": [_short(v) for v in one.bands.p90],
        "ranges": {k: [_short(v) for v in r] for k, r in one.ranges.items()},
        "surface": [
            {"axes": t.axes, "first": t.first, "values": np.round(t.values, 3).tolist()}
            for t in one.surface
        ],
    }


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def load(path: Path, where: str, device: str | None = None) -> Calibration:
    """Read a calibration file.

    Parameters
    ----------
    path
        The file.
    where
        What the path was given to, for errors.
    device
        The device it must be of; absent, any will do.

    Raises
    ------
    BadInput
        It cannot be read, is no calibration, is of another device, or holds an impossible value.
    """
    file = str(path)
    try:
        data = json.loads(read_text(path, where))
    except json.JSONDecodeError as error:
        raise BadInput(f"{file}:{error.lineno}", "not JSON", "a calibration file") from None
    reader = _Reader(file)
    table = reader.table(data, "the file")
    if table.get("format") != FORMAT:
        raise BadInput(file, f"format is {table.get('format')!r}", f'"{FORMAT}"')
    found = reader.text(table, "device", "the file")
    if device is not None and fold(found) not in (fold(device), ANY_DEVICE):
        raise BadInput(file, f"calibration of {found!r}, not of {device!r}", f'device "{device}"')
    rows = table.get("kernels")
    if not isinstance(rows, list) or not rows:
        raise BadInput(file, "holds no kernels", "a list 'kernels' with one or more")
    kernels = tuple(reader.kernel(row, f"kernel {i + 1}") for i, row in enumerate(rows))
    return Calibration(found, reader.text(table, "made", "the file"), kernels, file)


class _Reader:
    """Checks as it reads."""

    def __init__(self, file: str) -> None:
        self.file = file

    def fail(self, where: str, what: str, accepted: str) -> BadInput:
        return BadInput(f"{self.file}: {where}", what, accepted)

    def table(self, value: object, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.fail(where, f"is {type(value).__name__}", "a table")
        return value

    def need(self, table: Mapping[str, Any], key: str, where: str) -> Any:
        if key not in table:
            raise self.fail(where, f"key {key!r} is missing", key)
        return table[key]

    def text(self, table: Mapping[str, Any], key: str, where: str) -> str:
        value = self.need(table, key, where)
        if not isinstance(value, str):
            raise self.fail(where, f"{key} is {value!r}", "a text")
        return value

    def number(self, value: object, where: str, low: float, high: float) -> float:
        usable = isinstance(value, int | float) and not isinstance(value, bool)
        if not usable or not math.isfinite(value) or not low <= value <= high:  # type: ignore[arg-type, operator]
            raise self.fail(where, f"value {value!r}", f"a number from {low:g} to {high:g}")
        return float(value)  # type: ignore[arg-type]

    def one_of(self, table: Mapping[str, Any], key: str, where: str, names: Any) -> str:
        value = self.text(table, key, where)
        if value not in names:
            raise self.fail(where, f"{key} is {value!r}", ", ".join(names))
        return value

    def kernel(self, row: object, where: str) -> Fitted:
        table = self.table(row, where)
        key = self.key(table, where)
        kernel = KERNELS[key.op]
        parameters = self.parameters(table, kernel, f"{where}: parameters")
        return Fitted(
            key, self.one_of(table, "schedule", where, kernel.schedules), parameters,
            self.surface(table, kernel, where), self.bands(table, where),
            self.ranges(table, kernel, where),
            int(self.number(table.get("points"), f"{where}: points", 1, 1e12)),
            int(self.number(table.get("groups"), f"{where}: groups", 1, 1e12)),
            self.text(table, "source", where),
        )  # fmt: skip

    def key(self, table: Mapping[str, Any], where: str) -> KernelKey:
        texts = {k: self.text(table, k, where) for k in ("framework", "version", "kernel")}
        windowed = self.need(table, "windowed", where)
        if not isinstance(windowed, bool):
            raise self.fail(where, f"windowed is {windowed!r}", "true or false")
        return KernelKey(
            self.one_of(table, "op", where, tuple(KERNELS)),
            self.one_of(table, "dtype", where, DTYPES),
            self.one_of(table, "kv_dtype", where, DTYPES),
            **texts,
            windowed=windowed,
        )

    def parameters(self, table: Mapping[str, Any], kernel: Kernel, where: str) -> dict[str, float]:
        given = self.table(self.need(table, "parameters", where), where)
        unknown = set(given) - set(kernel.parameters)
        if unknown:
            raise self.fail(where, f"unknown {min(unknown)!r}", ", ".join(kernel.parameters))
        return {
            name: self.number(
                self.need(given, name, where), f"{where}: {name}", p.low * 0.999, p.high * 1.001
            )
            for name, p in kernel.parameters.items()
        }

    def bands(self, table: Mapping[str, Any], where: str) -> Bands:
        low = self.three(table, "p10", where, 0.0, 1.0)
        return Bands(low, self.three(table, "p90", where, 1.0, 1e3))

    def three(
        self, table: Mapping[str, Any], key: str, where: str, low: float, high: float
    ) -> tuple[float, float, float]:
        value = self.need(table, key, where)
        if not isinstance(value, list) or len(value) != 3:
            raise self.fail(where, f"{key} is {value!r}", "three numbers, one a stratum of time")
        a, b, c = (self.number(v, f"{where}: {key}", low, high) for v in value)
        return a, b, c

    def ranges(
        self, table: Mapping[str, Any], kernel: Kernel, where: str
    ) -> dict[str, tuple[float, float]]:
        given = self.table(self.need(table, "ranges", where), f"{where}: ranges")
        made = {}
        for name, pair in given.items():
            if name not in _axes(kernel) or not isinstance(pair, list) or len(pair) != 2:
                raise self.fail(f"{where}: ranges", f"{name} = {pair!r}", "AXIS = [low, high]")
            low = self.number(pair[0], f"{where}: ranges: {name}", -1e3, 1e3)
            made[name] = (low, self.number(pair[1], f"{where}: ranges: {name}", low, 1e3))
        return made

    def surface(self, table: Mapping[str, Any], kernel: Kernel, where: str) -> Surface:
        rows = self.need(table, "surface", where)
        return tuple(self.term(self.table(r, f"{where}: surface"), kernel, where) for r in rows)

    def term(self, row: Mapping[str, Any], kernel: Kernel, where: str) -> Term:
        spot = f"{where}: surface"
        axes = tuple(self.need(row, "axes", spot))
        if axes not in kernel.terms:
            raise self.fail(spot, f"axes {list(axes)!r}", ", ".join(map(str, kernel.terms)))
        first = [int(self.number(v, spot, -1e3, 1e3)) for v in self.need(row, "first", spot)]
        given = self.need(row, "values", spot)
        values = _knots(given, len(axes), lambda what: self.fail(spot, what, ""))
        if len(first) != len(axes):
            raise self.fail(spot, f"first {first!r}", "one knot an axis")
        return Term(axes, tuple(first), values)


def _axes(kernel: Kernel) -> set[str]:
    names = ("batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim", "m", "n", "k")
    one = OpTable.build(kernel.op, "bf16", "bf16", **dict.fromkeys(names, 64.0))
    return set(kernel.coordinates(one))


def _knots(rows: object, axes: int, fail: Callable[[str], BadInput]) -> Floats:
    try:
        values = np.array(rows, np.float64)
    except (TypeError, ValueError):
        raise fail("values are no array of numbers") from None
    if values.ndim != axes or min(values.shape) < 2:
        raise fail(f"values have shape {values.shape}, not {axes} axes of two or more knots")
    if not np.isfinite(values).all() or np.abs(values).max() > _WIDEST_LOG:
        raise fail(f"values must be finite logarithms within {_WIDEST_LOG:g}")
    return values
