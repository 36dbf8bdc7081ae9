"""Every CUDA source compiles for every architecture, and keeps all it works on in registers."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tierlab.kernels.compute.cuda import launch, nvrtc

REGISTERS = 65536
THREADS = {"attend": 128, "join": 128}
"""Of a thread block; 256 where nothing is said."""


@pytest.fixture(scope="module")
def compiled():
    """Return needs by source, constants and architecture."""
    if nvrtc.library() is None:
        pytest.skip("needs the package nvidia-cuda-nvrtc-cu12, not installed")
    jobs = [(name, arch, given) for name, given in nvrtc.VARIANTS for arch in nvrtc.ARCHITECTURES]
    with ThreadPoolExecutor(2) as pool:
        return list(zip(jobs, pool.map(lambda job: nvrtc.needs(*job), jobs), strict=True))


def test_every_source_has_a_variant() -> None:
    assert {path.stem for path in launch.FOLDER.glob("*.cu")} == {
        name for name, _ in nvrtc.VARIANTS
    }


def test_every_kernel_is_compiled(compiled) -> None:
    for (name, _, _), needs in compiled:
        kernels = re.findall(
            r"__global__ void\s+(?:__launch_bounds__\(\d+\)\s+)?(\w+)", launch.source(name)
        )
        assert sorted(need.kernel for need in needs) == sorted(kernels)


def test_nothing_spills(compiled) -> None:
    spilt = [(job, need) for job, needs in compiled for need in needs if need.spill_bytes]
    assert spilt == []


def test_two_blocks_fit_an_sm(compiled) -> None:
    for _, needs in compiled:
        for need in needs:
            assert 0 < need.registers * THREADS.get(need.kernel, 256) * 2 <= REGISTERS


def test_a_spill_would_be_seen() -> None:
    log = (
        "ptxas info    : Compiling entry function 'one' for 'sm_90'\n"
        "ptxas info    : Function properties for one\n"
        "    8 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads\n"
        "ptxas info    : Used 255 registers, used 1 barriers\n"
    )
    assert nvrtc._parse(log) == [nvrtc.Need("one", 255, 28, 8)]


def test_what_does_not_compile_is_told(compiled) -> None:
    with pytest.raises(nvrtc.CompileError, match="BITS"):
        nvrtc.needs("quantise", "sm_90", {"ELEMENT": 1})
