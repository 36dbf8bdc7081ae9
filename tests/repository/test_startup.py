"""The command answers at once: nothing heavy is imported before it is needed."""

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HEAVY = ("numpy", "numba", "cupy", "polars", "pydantic", "scipy", "rich", "plotly", "simpy")
LOADED = "import json, sys, tierlab.simulator.cli.main; print(json.dumps(sorted(sys.modules)))"
KNOWN = (
    "asyncio, email.mime.text, http.client, sqlite3, unittest.mock, xml.dom.minidom, "
    "logging.config, multiprocessing.pool, concurrent.futures.process, tomllib, importlib.metadata"
)
KNOWN_S = 0.12
"""What importing it takes on the machine that the limits are meant for (2026-11-22)."""
RUNS = 5


def processor_s(run: Callable[[], object]) -> float:
    """Return the processor's time: other tests run beside this one."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def known() -> None:
    """Import a known amount of the standard library."""
    subprocess.run([sys.executable, "-c", f"import {KNOWN}"], check=True, timeout=60)


@pytest.mark.parametrize(("words", "limit_s"), [(["--help"], 0.3), (["list"], 0.5)])
def test_it_answers_at_once(tierlab, words: list[str], limit_s: float) -> None:
    """Within the limit where `known` takes KNOWN_S: machines and their neighbours differ."""
    tierlab(*words)
    runs = [(processor_s(known), processor_s(lambda: tierlab(*words))) for _ in range(RUNS)]
    known_s, took_s = (min(times) for times in zip(*runs, strict=True))
    assert took_s < limit_s * known_s / KNOWN_S


def test_the_command_line_loads_nothing_heavy(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", LOADED],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    loaded = set(json.loads(result.stdout))
    assert "tierlab.simulator.cli.main" in loaded
    assert loaded.isdisjoint(HEAVY), sorted(loaded.intersection(HEAVY))
