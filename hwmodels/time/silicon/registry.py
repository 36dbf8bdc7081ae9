"""Kernel models by operation: adding one is a file and a line here."""

from __future__ import annotations

from tierlab.hwmodels.time.silicon.decode import DECODE
from tierlab.hwmodels.time.silicon.gemm import GEMM
from tierlab.hwmodels.time.silicon.kernel import Kernel
from tierlab.hwmodels.time.silicon.prefill import PREFILL

KERNELS: dict[str, Kernel] = {kernel.op: kernel for kernel in (DECODE, PREFILL, GEMM)}
"""Operation -> its model. What is not here is left to the roofline."""
