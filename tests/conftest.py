"""Fixtures of all tests: the data folder, the installed command, and what a machine may lack."""

import functools
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, with the reason, a test whose data or device this machine lacks."""
    for marker in item.iter_markers("shared"):
        require_shared(*marker.args)
    if item.get_closest_marker("gpu") and (reason := no_gpu()):
        pytest.skip(reason)


def require_shared(*paths: str) -> None:
    """Skip unless every one of `paths`, relative to ../shared, is there (none: the folder)."""
    for path in paths or ("",):
        if not (SHARED / path).exists():
            pytest.skip(f"needs ../shared/{path}, absent")


@functools.cache
def no_gpu() -> str:
    """Return why no GPU can be used; empty if one can."""
    if importlib.util.find_spec("cupy") is None:
        return "needs cupy, not installed"
    import cupy

    try:
        return "" if cupy.cuda.runtime.getDeviceCount() else "needs an NVIDIA GPU, none found"
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"needs an NVIDIA GPU: {error}"


@pytest.fixture
def repository() -> Path:
    """Return the root of the repository."""
    return REPOSITORY


@pytest.fixture
def shared_dir() -> Path:
    """Return ../shared; skip the test if it is absent."""
    require_shared()
    return SHARED


@pytest.fixture
def tierlab(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs the installed `tierlab` in the test's own folder.

    `tierlab("plan", "--json")` fails the test if the exit status is not 0, unless `check=False`;
    stdin is empty, stdout and stderr are captured apart. Every run hashes with another seed.
    """
    return functools.partial(_run, tmp_path)


def _run(
    cwd: Path,
    *args: object,
    check: bool = True,
    timeout: float = 60,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [_command(), *map(str, args)],
        cwd=cwd,
        env=_environment() | (env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if check and done.returncode:
        pytest.fail(f"tierlab {' '.join(map(str, args))}: exit {done.returncode}\n{done.stderr}")
    return done


def _command() -> str:
    command = Path(sys.prefix) / "bin" / "tierlab"
    if not command.exists():
        pytest.fail(f"{command} is absent: `make install` installs it")
    return str(command)


def _environment() -> dict[str, str]:
    """Return an environment that neither the caller's terminal nor its hash seed shapes."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    fixed = {"PYTHONHASHSEED": "random", "COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"}
    return kept | fixed


@pytest.fixture
def transfers(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes rows as ``tierlab calibrate --device`` would.

    ``transfers("cpu.json", rows, device="H200")``
    """
    from tierlab.kernels.measure.output import dump

    def write(name: str, rows: list[dict[str, object]], device: str = "a CPU") -> Path:
        provenance = {
            "device": device,
            "date": "2026-11-21",
            "command": f"tierlab calibrate {name}",
        }
        path = tmp_path / name
        path.write_text(dump(provenance, {}, rows))
        return path

    return write
