"""Calibration files: fitted kernels of one device with their residuals, as JSON.

A file holds parameters and residual quantiles, never measurements of others. A file that is
broken, of another device, or has values that no fit could give is refused in one line.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tierlab.hwmodels.time.silicon.bytime import ByTime
from tierlab.hwmodels.time.silicon.calibration_reader import Reader
from tierlab.hwmodels.time.silicon.curve import DIGITS, Curve
from tierlab.hwmodels.time.silicon.few import Ranges
from tierlab.hwmodels.time.silicon.fitted import Fitted
from tierlab.hwmodels.time.silicon.kernel import stored
from tierlab.hwmodels.time.silicon.packed import Later, pack
from tierlab.hwmodels.time.silicon.trees import Forest
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import fold, read_text

FORMAT = "tierlab-calibration-4"
SHIPPED = Path(__file__).parents[2] / "calibration"
ANY_DEVICE = "any"
"""Device of constants that were fitted over several architectures, for datasheet predictions."""


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
        "parameters": {k: stored(v) for k, v in one.parameters.items()},
        "p10": [stored(v) for v in one.bands.p10],
        "p90": [stored(v) for v in one.bands.p90],
        "ranges": _ranges(one.ranges),
        "trees": _curve(one.trees) if isinstance(one.trees, Curve) else _by_time(one.trees),
        "spread": _packed(one.bands.spread),
        **({"judged": _ranges(one.judged)} if one.judged else {}),
    }


def _ranges(ranges: Ranges) -> dict[str, list[float]]:
    return {k: [stored(v) for v in r] for k, r in ranges.items()}


def _by_time(trees: ByTime | None) -> dict[str, Any] | None:
    if trees is None:
        return None
    cuts = [stored(c * 1e6) for c in trees.cuts_s]
    return {"cuts_us": cuts, "forests": [_packed(f) for f in trees.forests]}


def _curve(curve: Curve) -> dict[str, Any]:
    logs = [[round(v, DIGITS) for v in row] for row in curve.logs.tolist()]
    devices = [stored(v) for v in np.exp2(curve.devices).tolist()]
    return {"devices": devices, "first": stored(curve.first), "logs": logs}


def _packed(trees: Forest | Later | None) -> dict[str, Any] | None:
    forest = trees.forest if isinstance(trees, Later) else trees
    return None if forest is None else pack(forest)


def load(path: Path, where: str, device: str | None = None, *, later: bool = False) -> Calibration:
    """Read a calibration file.

    Parameters
    ----------
    path
        The file.
    where
        What the path was given to, for errors.
    device
        The device it must be of; absent, any will do.
    later
        Leave trees packed until they are asked: for files that ship, whose trees tests unpack.

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
    reader = Reader(file, later)
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
