"""Which parts are measured on which device, and for how long."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import pick
from tierlab.kernels.measure.point import Part
from tierlab.kernels.measure.run import Budget

CPU = "cpu"
BUDGETS = {
    (CPU, False): Budget(240.0, 3),
    (CPU, True): Budget(15.0, 2),
    ("cuda", False): Budget(390.0, 2),
    ("cuda", True): Budget(18.0, 1),
}
"""(kind, quick) -> time and rounds. The limits are 5 minutes, 30 s, 8 minutes and 30 s; what is
left goes to the last point, to set-up and to the first compilation of the kernels."""


def kind_of(device: str) -> tuple[str, int]:
    """Return ``("cpu", 0)`` or ``("cuda", number)``.

    Raises
    ------
    BadInput
        `device` is neither.
    """
    if device.lower() == CPU:
        return CPU, 0
    found = re.fullmatch(r"cuda(?::(\d{1,3}))?", device.lower())
    if not found:
        raise BadInput("--device", f"unknown device {device!r}", "cpu, or cuda:0 and on")
    return "cuda", int(found[1] or 0)


def parts_of(device: str, quick: bool, folder: Path, where: str) -> list[Part]:
    """Return the parts of a device.

    Parameters
    ----------
    device
        ``cpu`` or ``cuda:N``.
    quick
        Fewer points.
    folder, where
        Where files are measured, and the option that says so.
    """
    kind, number = kind_of(device)
    return _cpu(quick, folder, where) if kind == CPU else _cuda(quick, number)


def _cpu(quick: bool, folder: Path, where: str) -> list[Part]:
    from tierlab.kernels.measure.bandwidth import Memory
    from tierlab.kernels.measure.cpukernels import CpuKernels
    from tierlab.kernels.measure.files import Files
    from tierlab.kernels.measure.provenance import last_level_cache_bytes

    cache = last_level_cache_bytes()
    return [Memory(quick, cache), Files(quick, folder, where), CpuKernels(quick, cache)]


def _cuda(quick: bool, number: int) -> list[Part]:
    from tierlab.kernels.measure.cuda.copies import Copies
    from tierlab.kernels.measure.cuda.kernels import GpuKernels
    from tierlab.kernels.measure.cuda.memory import GpuMemory

    return [GpuMemory(quick, number), Copies(quick, number), GpuKernels(quick, number)]


def choose(parts: Sequence[Part], only: Sequence[str], skip: Sequence[str]) -> list[Part]:
    """Return the parts that are asked for.

    Raises
    ------
    BadInput
        A name is no part, or none is left.
    """
    named = {part.name: part for part in parts}
    kept = [pick(name, named, "--only", "part") for name in only] or list(parts)
    left_out = [pick(name, named, "--skip", "part").name for name in skip]
    chosen = [part for part in parts if part in kept and part.name not in left_out]
    if not chosen:
        raise BadInput("--skip", "nothing is left to measure", ", ".join(named))
    return chosen
