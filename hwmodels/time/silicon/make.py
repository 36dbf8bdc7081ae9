"""Make the silicon model of a device: from a file, from what ships, or from the datasheet."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.device import Gpu
from tierlab.hwmodels.link import Link
from tierlab.hwmodels.time.roofline import Roofline, roofline_device
from tierlab.hwmodels.time.silicon.calibration import (
    ANY_DEVICE,
    SHIPPED,
    Calibration,
    load,
    shipped,
)
from tierlab.hwmodels.time.silicon.fitted import Fitted
from tierlab.hwmodels.time.silicon.machine import Machine, machine_of
from tierlab.hwmodels.time.silicon.model import Silicon
from tierlab.kernels.base.errors import BadInput

DATASHEET_FILE = SHIPPED / "datasheet.json"
"""Constants fitted over all measured architectures at once."""


def silicon(path: Path | None, gpu: Gpu, peer_link: Link | None, where: str) -> Silicon:
    """Make the time model.

    Parameters
    ----------
    path
        A calibration file; ``datasheet``, constants of other GPUs; absent, the file that ships
        for the device, or else those constants: also for a device of that name whose figures are
        not the catalogue's.
    gpu, peer_link
        The device, and the link to its peers if it has one.
    where
        What asked for it, for errors.

    Raises
    ------
    BadInput
        The file is bad or of another device.
    """
    others = str(path) == "datasheet"
    found = calibration_for(gpu, None if others else path, where, datasheet=others)
    return of_calibration(found, gpu, peer_link)


def calibration_for(
    gpu: Gpu, path: Path | None, where: str, *, datasheet: bool = False
) -> Calibration:
    """Return the calibration to use; with `datasheet`, none that was fitted on this device.

    Raises
    ------
    BadInput
        The file is bad or of another device, or both a file and `datasheet` are given.
    """
    if path is not None and datasheet:
        raise BadInput(where, "a calibration and --datasheet exclude each other", "one of them")
    if path is not None and path != shipped(gpu.name):
        return load(path, where, gpu.name)
    own = None if datasheet or not _as_measured(gpu) else shipped(gpu.name)
    return _shipped(own or DATASHEET_FILE)


def _as_measured(gpu: Gpu) -> bool:
    """Say whether a GPU is the catalogue's, not one with its name and other figures.

    What was measured on the one says nothing certain of the other: a what-if is answered from the
    datasheet, without trees that learnt the real one's waves and tails.
    """
    return machine_of(gpu) == _catalogued(gpu.name)


@lru_cache(maxsize=64)
def _catalogued(name: str) -> Machine | None:
    try:
        found = load_device(name, "the catalogue")
    except BadInput:
        return None
    return machine_of(found) if isinstance(found, Gpu) else None


@lru_cache(maxsize=8)
def _shipped(path: Path) -> Calibration:
    return load(path, "the calibration that ships", later=True)


@lru_cache(maxsize=16)
def of_calibration(calibration: Calibration, gpu: Gpu, peer_link: Link | None) -> Silicon:
    """Return the model of one device, with its roofline for what no kernel model answers.

    The points of a sweep ask for the same again.
    """
    roofline = Roofline(roofline_device(gpu, peer_link))
    return Silicon(calibration, machine_of(gpu), roofline, _of_others(calibration))


def _of_others(calibration: Calibration) -> tuple[Fitted, ...]:
    """Return the constants of other GPUs that a device's own calibration is completed with."""
    return () if calibration.device == ANY_DEVICE else _shipped(DATASHEET_FILE).kernels
