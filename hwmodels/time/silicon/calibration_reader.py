"""Read the kernels of a calibration file, refusing what no fit could have written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from tierlab.hwmodels.time.silicon.bytime import ByTime
from tierlab.hwmodels.time.silicon.curve import Curve
from tierlab.hwmodels.time.silicon.fitted import Bands, Fitted
from tierlab.hwmodels.time.silicon.kernel import Kernel
from tierlab.hwmodels.time.silicon.measured import KernelKey
from tierlab.hwmodels.time.silicon.packed import PARTS, Later, unpack
from tierlab.hwmodels.time.silicon.registry import KERNELS, model_with
from tierlab.hwmodels.time.silicon.trees import Forest
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.ops.table import DTYPES, OpTable


class Reader:
    """Checks as it reads; with `later` trees when they are first asked."""

    def __init__(self, file: str, later: bool = False) -> None:
        self.file, self._later = file, later

    def _fail(self, where: str, what: str, accepted: str) -> BadInput:
        return BadInput(f"{self.file}: {where}", what, accepted)

    def table(self, value: object, where: str) -> dict[str, Any]:
        """Return `value`, which must be a table."""
        if not isinstance(value, dict):
            raise self._fail(where, f"is {type(value).__name__}", "a table")
        return value

    def _need(self, table: Mapping[str, Any], key: str, where: str) -> Any:
        if key not in table:
            raise self._fail(where, f"key {key!r} is missing", key)
        return table[key]

    def text(self, table: Mapping[str, Any], key: str, where: str) -> str:
        """Return the text under `key`."""
        value = self._need(table, key, where)
        if not isinstance(value, str):
            raise self._fail(where, f"{key} is {value!r}", "a text")
        return value

    def _number(self, value: object, where: str, low: float, high: float) -> float:
        usable = isinstance(value, int | float) and not isinstance(value, bool)
        if not usable or not math.isfinite(value) or not low <= value <= high:  # type: ignore[arg-type, operator]
            raise self._fail(where, f"value {value!r}", f"a number from {low:g} to {high:g}")
        return float(value)  # type: ignore[arg-type]

    def _one_of(self, table: Mapping[str, Any], key: str, where: str, names: Any) -> str:
        value = self.text(table, key, where)
        if value not in names:
            raise self._fail(where, f"{key} is {value!r}", ", ".join(names))
        return value

    def kernel(self, row: object, where: str) -> Fitted:
        """Return one fitted kernel.

        Raises
        ------
        BadInput
            A key is missing or unknown, or a value is one that no fit could give.
        """
        table = self.table(row, where)
        key = self._key(table, where)
        kernel = model_with(key.op, self.text(table, "schedule", where))
        schedule = self._one_of(table, "schedule", where, kernel.schedules)
        return Fitted(
            key, schedule, self._parameters(table, kernel, f"{where}: parameters"),
            self._trees(table, where, kernel.curved), self._bands(table, where),
            self._ranges(table, "ranges", kernel, where),
            int(self._number(table.get("points"), f"{where}: points", 1, 1e12)),
            int(self._number(table.get("groups"), f"{where}: groups", 1, 1e12)),
            self.text(table, "source", where),
            self._ranges(table, "judged", kernel, where) if "judged" in table else {},
        )  # fmt: skip

    def _key(self, table: Mapping[str, Any], where: str) -> KernelKey:
        texts = {k: self.text(table, k, where) for k in ("framework", "version", "kernel")}
        windowed = self._need(table, "windowed", where)
        if not isinstance(windowed, bool):
            raise self._fail(where, f"windowed is {windowed!r}", "true or false")
        return KernelKey(
            self._one_of(table, "op", where, tuple(KERNELS)),
            self._one_of(table, "dtype", where, DTYPES),
            self._one_of(table, "kv_dtype", where, DTYPES),
            **texts,
            windowed=windowed,
        )

    def _parameters(self, table: Mapping[str, Any], kernel: Kernel, where: str) -> dict[str, float]:
        given = self.table(self._need(table, "parameters", where), where)
        unknown = set(given) - set(kernel.parameters)
        if unknown:
            raise self._fail(where, f"unknown {min(unknown)!r}", ", ".join(kernel.parameters))
        found, own = {}, kernel.of(str(table.get("schedule")))
        for name, p in kernel.parameters.items():
            if name not in given and (p.absent is not None or name not in own):
                found[name] = p.start if p.absent is None else p.absent
                continue
            value, spot = self._need(given, name, where), f"{where}: {name}"
            found[name] = self._number(
                value, spot, p.low * 0.999, max(p.high, p.absent or 0) * 1.001
            )
        return found

    def _bands(self, table: Mapping[str, Any], where: str) -> Bands:
        low = self._three(table, "p10", where, 0.0, 1.0)
        high = self._three(table, "p90", where, 1.0, 1e3)
        spread = self._need(table, "spread", where)
        return Bands(low, high, spread and self._forest(spread, f"{where}: spread"))

    def _three(
        self, table: Mapping[str, Any], key: str, where: str, low: float, high: float
    ) -> tuple[float, float, float]:
        value = self._need(table, key, where)
        if not isinstance(value, list) or len(value) != 3:
            raise self._fail(where, f"{key} is {value!r}", "three numbers, one a stratum of time")
        a, b, c = (self._number(v, f"{where}: {key}", low, high) for v in value)
        return a, b, c

    def _ranges(
        self, table: Mapping[str, Any], key: str, kernel: Kernel, where: str
    ) -> dict[str, tuple[float, float]]:
        given = self.table(self._need(table, key, where), f"{where}: {key}")
        made = {}
        axes = _axes(kernel)
        for name, pair in given.items():
            if name not in axes or not isinstance(pair, list) or len(pair) != 2:
                raise self._fail(f"{where}: {key}", f"{name} = {pair!r}", "AXIS = [low, high]")
            low = self._number(pair[0], f"{where}: {key}: {name}", -1e3, 1e3)
            made[name] = (low, self._number(pair[1], f"{where}: {key}: {name}", low, 1e3))
        return made

    def _trees(self, table: Mapping[str, Any], where: str, curved: bool) -> ByTime | Curve | None:
        given = self._need(table, "trees", where)
        if given is None:
            return None
        spot = f"{where}: trees"
        row = self.table(given, spot)
        if "logs" in row and curved:
            return self._curve(row, spot)
        cuts, forests = (self._need(row, key, spot) for key in ("cuts_us", "forests"))
        if not isinstance(cuts, list) or not isinstance(forests, list):
            raise self._fail(spot, "cuts_us or forests is no list", "lists")
        if len(forests) != len(cuts) + 1:
            raise self._fail(
                spot, f"{len(forests)} forests, {len(cuts)} cuts", "one more than cuts"
            )
        parts = [self._number(c, f"{spot}: cuts_us", 1e-3, 1e9) * 1e-6 for c in cuts]
        if parts != sorted(parts):
            raise self._fail(spot, f"cuts_us is {cuts!r}", "rising numbers")
        return ByTime(tuple(parts), tuple(self._forest(f, spot) for f in forests))

    def _curve(self, row: Mapping[str, Any], spot: str) -> Curve:
        counts, rows = (self._need(row, key, spot) for key in ("devices", "logs"))
        devices = self._numbers(counts, f"{spot}: devices", 1.0, 1e6)
        if devices != sorted(set(devices)):
            raise self._fail(f"{spot}: devices", f"is {counts!r}", "rising numbers")
        if not isinstance(rows, list) or len(rows) != len(devices):
            raise self._fail(
                f"{spot}: logs", "has other rows", f"{len(devices)}, one a device count"
            )
        logs = [self._numbers(one, f"{spot}: logs", -1.0, 1.0) for one in rows]
        if len({len(one) for one in logs}) > 1:
            raise self._fail(f"{spot}: logs", "rows differ in length", "as many knots in each")
        first = self._number(self._need(row, "first", spot), f"{spot}: first", 0.0, 64.0)
        return Curve(np.log2(devices), first, np.array(logs))

    def _numbers(self, given: object, spot: str, low: float, high: float) -> list[float]:
        if not isinstance(given, list) or not given:
            raise self._fail(spot, f"is {given!r}", "a list of numbers")
        return [self._number(v, spot, low, high) for v in given]

    def _forest(self, given: object, spot: str) -> Forest | Later:
        row = self.table(given, spot)
        names, edges, packed = (self._need(row, k, spot) for k in PARTS)
        made = Later if self._later else unpack
        return made(names, edges, packed, partial(self._fail, spot))


def _axes(kernel: Kernel) -> set[str]:
    names = ("batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim", "m", "n", "k")
    one = OpTable.build(kernel.op, "bf16", "bf16", **dict.fromkeys(names, 64.0))
    return set(kernel.coordinates(one))
