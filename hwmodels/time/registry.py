"""Time models by name: where a scenario's ``time.model`` leads."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from tierlab.hwmodels.device import Gpu
from tierlab.hwmodels.link import Link
from tierlab.hwmodels.time.roofline import Roofline, roofline_device
from tierlab.hwmodels.time.silicon.make import silicon
from tierlab.hwmodels.time.table import load_table
from tierlab.hwmodels.time.times import TimeModel
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import as_path, fold, near

Maker = Callable[[Path | None, Gpu, Link | None, str], TimeModel]


def _roofline(path: Path | None, gpu: Gpu, peer_link: Link | None, where: str) -> TimeModel:
    """Datasheet peak and bandwidth, with efficiencies taken from one public GPU."""
    if path is not None:
        raise BadInput(where, f"the roofline reads no file ({path})", '"roofline"')
    return _of_device(gpu, peer_link)


@lru_cache(maxsize=16)
def _of_device(gpu: Gpu, peer_link: Link | None) -> Roofline:
    """Return the roofline that the points of a sweep ask for again."""
    return Roofline(roofline_device(gpu, peer_link))


def _table(path: Path | None, gpu: Gpu, peer_link: Link | None, where: str) -> TimeModel:
    """Interpolated measured times: table:PATH of a CSV, a folder of them, or measured .json."""
    if path is None:
        raise BadInput(
            where,
            "a table needs its file",
            '"table:PATH", a .csv, a folder of them, or what calibrate --device wrote',
        )
    return load_table(path, where, Roofline(roofline_device(gpu, peer_link)), gpu.name)


TIME_MODELS: dict[str, Maker] = {"roofline": _roofline, "table": _table, "silicon": silicon}
"""Name -> what makes the model of (file, GPU, peer link, where the name was given)."""


def time_model(spec: str, gpu: Gpu, peer_link: Link | None, where: str) -> TimeModel:
    """Make the time model that `spec` names.

    Parameters
    ----------
    spec
        ``silicon`` with the calibration that ships for the device, or constants of other GPUs;
        ``silicon:FILE``; ``roofline``; or measured times: ``table:PATH``, or the path alone.
    gpu, peer_link
        The device, and the link to its peers if it has one. A table leaves to this device's
        roofline what it does not cover.
    where
        What `spec` was given to, for errors.

    Raises
    ------
    BadInput
        There is no such model, or its file is bad.
    """
    name, _, rest = spec.partition(":")
    if fold(name) in TIME_MODELS:
        path = Path(rest).expanduser() if rest else None
        return TIME_MODELS[fold(name)](path, gpu, peer_link, where)
    path = as_path(spec, (".csv", ".json")) or (Path(spec) if Path(spec).is_dir() else None)
    if path is None:
        accepted = f"{near(spec, TIME_MODELS)} or a path to measured times"
        raise BadInput(where, f"unknown time model {spec!r}", accepted)
    return _table(path, gpu, peer_link, where)
