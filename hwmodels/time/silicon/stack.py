"""What the threads of vLLM's 8-bit products keep on their stacks, which L2 serves.

Ada's kernels (`dispatch`) are CUTLASS 2's with epilogue visitors over a stream-K grid, of which
they use none (``kGemmSplitKParallel``): a tile is a CTA's. Each thread first copies half of the
kernel's parameters to its stack. Where the compiler left the visitors of stream-K's reduction out
of line, it copies all, reads them back and stores them again. The kernels of Hopper and Blackwell
(CUTLASS 3) have no stack to speak of.

Counted in vLLM 0.24.0 (Apache-2.0), the wheel for x86-64 on PyPI (``_C_stable_libtorch.abi3.so``):
bytes of STL and LDL (``cuobjdump -sass``) on the way of a tile that is not split; sm_89, fp8 in,
bf16 out, ``ScaledEpilogue``. The frames (``cuobjdump --dump-resource-usage``) are 784 to 816 and
1,648 to 2,048 bytes; on sm_80, 784 to 864; on sm_90a and sm_100f, 0; on sm_120f, 24 at most.
"""

from __future__ import annotations

from tierlab.hwmodels.time.silicon import dispatch
from tierlab.hwmodels.time.silicon.machine import Machine

_ONCE = 554.0
_ADA: dict[dispatch.Sides, tuple[int, float]] = {
    (16, 64): (64, _ONCE),
    (16, 128): (64, _ONCE),
    (32, 64): (128, 2203.0),
    (32, 128): (128, _ONCE),
    (64, 64): (128, 2203.0),
    (64, 128): (128, _ONCE),
    (128, 64): (128, 2299.0),
    (128, 128): (128, 2233.0),
    (256, 128): (256, 2261.0),
}
"""Rows and columns of a tile -> threads, and the bytes that each stores and loads."""


def moved_bytes(machine: Machine, tile: dispatch.Sides) -> float:
    """Return what the stacks of one tile's threads move on a machine."""
    if not dispatch.is_cutlass2(machine):
        return 0.0
    threads, each = _ADA[tile]
    return threads * (each if "fp8" in machine.flop_per_s else _ONCE)
