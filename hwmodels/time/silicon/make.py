"""Make the silicon model of a device: from a file, from what ships, or from the datasheet."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from tierlab.hwmodels.device import Gpu
from tierlab.hwmodels.link import Link
from tierlab.hwmodels.time.roofline import Roofline, roofline_device
from tierlab.hwmodels.time.silicon.calibration import SHIPPED, Calibration, load, shipped
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.silicon.model import Silicon
from tierlab.kernels.base.errors import BadInput

DATASHEET_FILE = SHIPPED / "datasheet.json"
"""Constants fitted over all measured architectures at once."""


def silicon(path: Path | None, gpu: Gpu, peer_link: Link | None, where: str) -> Silicon:
    """Make the time model.

    Parameters
    ----------
    path
        A calibration file; absent, the one that ships for the device, or else the constants of
        the architectures that were measured.
    gpu, peer_link
        The device, and the link to its peers if it has one.
    where
        What asked for it, for errors.

    Raises
    ------
    BadInput
        The file is bad or of another device.
    """
    return of_calibration(calibration_for(gpu, path, where), gpu, peer_link)


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
    own = None if datasheet else (path or shipped(gpu.name))
    if own is None or own == shipped(gpu.name):
        return _shipped(own or DATASHEET_FILE)
    return load(own, where, gpu.name)


@lru_cache(maxsize=8)
def _shipped(path: Path) -> Calibration:
    return load(path, "the calibration that ships", later=True)


def of_calibration(calibration: Calibration, gpu: Gpu, peer_link: Link | None) -> Silicon:
    """Return the model of one device, with its roofline for what is not calibrated."""
    return Silicon(calibration, machine_of(gpu), Roofline(roofline_device(gpu, peer_link)))
