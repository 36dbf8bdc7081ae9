"""The GPU of the kernels' tests: a real one, and this processor in its place."""

import importlib.util
import shutil
from pathlib import Path

import pytest


def beside(name: str):
    """Return a module of the folder emulator/."""
    path = Path(__file__).parent / "emulator" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"emulator_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=[pytest.param("real", marks=pytest.mark.gpu), "emulated"])
def gpu(request, tmp_path_factory):
    """Return module cupy, of a GPU or of its stand-in."""
    if request.param == "real":
        import cupy

        yield cupy
        return
    if shutil.which("g++") is None:
        pytest.skip("needs g++ to run CUDA sources on this processor, not found")
    with pytest.MonkeyPatch.context() as patch:
        yield beside("gpu").install(patch, tmp_path_factory.mktemp("cuda"))
