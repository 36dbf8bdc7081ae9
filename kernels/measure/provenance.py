"""Where measurements come from: machine, versions, date, command, and how busy it was."""

from __future__ import annotations

import datetime
import os
import platform
import re
import shlex
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from tierlab.kernels.measure.engine import engine_name

Facts = dict[str, Any]
_SYSTEM = Path("/sys/devices/system/cpu")
UNKNOWN_CACHE_BYTES = 2**25
"""Taken where the system does not tell the size of its last-level cache."""


def cpu_facts() -> Facts:
    """Return what the system tells about its processor and memory; what it hides is left out."""
    found: Facts = {
        "device": cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "last_level_cache_bytes": last_level_cache_bytes(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "file_io": engine_name(),
    }
    told = {"clock_mhz": _clock_mhz(), "governor": _line(_SYSTEM / "cpu0/cpufreq/scaling_governor")}
    return found | {key: value for key, value in told.items() if value}


def cpu_name() -> str:
    """Return the processor's name, or its architecture."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def last_level_cache_bytes() -> int:
    """Return the size of the largest cache of the first processor."""
    sizes = [_size(_line(p)) for p in (_SYSTEM / "cpu0/cache").glob("index*/size")]
    return max(sizes, default=0) or UNKNOWN_CACHE_BYTES


def _size(text: str) -> int:
    found = re.fullmatch(r"(\d+)([KMG]?)", text)
    return int(found[1]) * 1024 ** " KMG".index(found[2] or " ") if found else 0


def _clock_mhz() -> float:
    text = _cpuinfo("cpu MHz")
    return float(text) if re.fullmatch(r"[\d.]+", text) else 0.0


def _cpuinfo(key: str) -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(rf"^{key}\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def versions() -> Facts:
    """Return the versions of what was used; of what is not installed, nothing."""
    found = {"python": platform.python_version()}
    for name in ("tierlab", "numpy", "numba", "cupy-cuda12x", "cupy-cuda13x", "cupy"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def load_average() -> float:
    """Return how many processes wanted to run in the last minute."""
    return round(os.getloadavg()[0], 2)


def begin(facts: Callable[[], Facts]) -> Facts:
    """Return the provenance of a run that begins now."""
    now = datetime.datetime.now(datetime.UTC)
    return {
        **facts(),
        "versions": versions(),
        "date": now.date().isoformat(),
        "began": now.isoformat(timespec="seconds"),
        "load_average_at_begin": load_average(),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def end(provenance: Facts) -> Facts:
    """Return the provenance of a run that ends now."""
    now = datetime.datetime.now(datetime.UTC)
    ended = now.isoformat(timespec="seconds")
    return {**provenance, "ended": ended, "load_average_at_end": load_average()}
