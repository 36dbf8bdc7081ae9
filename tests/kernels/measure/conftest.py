"""A plan without a machine behind it, and file systems that are small or cannot be written."""

import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tierlab.kernels.measure import measure
from tierlab.kernels.measure.point import Point


class Plan:
    """One part of points that take no time; `at` says what to do at the n-th measurement."""

    name = "memory"

    def __init__(self) -> None:
        self.count, self.asked, self.at = 5, 0, {}

    def points(self):
        sizes = range(1, self.count + 1)
        return [
            Point(self.name, {"op": "copy", "src": "dram", "dst": "dram", "bytes": n})
            for n in sizes
        ]

    @contextmanager
    def open(self):
        yield self._measure

    def _measure(self, point: Point, until: float) -> list[float]:
        self.asked += 1
        self.at.get(self.asked, lambda: None)()
        return [1e-3 * point.columns["bytes"]] * 3


@pytest.fixture
def plan(monkeypatch):
    """Return the plan that `measure` now carries out for every device."""
    made = Plan()
    monkeypatch.setattr(measure, "parts_of", lambda *_: [made])
    return made


@pytest.fixture
def mounted(tmp_path):
    """Return a function that mounts a tmpfs with options; skip where that is not allowed."""
    places = []

    def mount(options: str, before=lambda place: None) -> Path:
        place = tmp_path / f"mounted{len(places)}"
        place.mkdir()
        _run_mount("-o", options.replace("ro,", ""), "-t", "tmpfs", "tmpfs", place)
        places.append(place)
        before(place)
        if options.startswith("ro,"):
            _run_mount("-o", "remount,ro", place)
        return place

    yield mount
    for place in places:
        _unmount(place)


def _run_mount(*arguments) -> None:
    try:
        subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs to mount a tmpfs: {error}")


def _unmount(place: Path) -> None:
    for _ in range(20):
        if subprocess.run(["umount", str(place)], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    pytest.fail(f"cannot unmount {place}")
