"""Synthetic silicon: times of a known formula on a shape grid, with a little noise."""

from collections.abc import Callable

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.device import Gpu
from tierlab.hwmodels.time.silicon.machine import Machine, machine_of
from tierlab.hwmodels.time.silicon.measured import KernelKey, Measured
from tierlab.hwmodels.time.silicon.registry import KERNELS
from tierlab.kernels.ops.table import OpTable

NOISE = 0.01
SHAPES = {
    "decode_attention": {
        "batch": (1, 4, 16, 64, 256),
        "q_len": (1,),
        "kv_len": (64, 512, 4096, 32768),
    },
    "prefill_attention": {"batch": (1, 4, 16), "q_len": (16, 128, 1024, 4096), "kv_len": (0,)},
    "gemm": {"m": (1, 16, 100, 512, 2048, 8192)},
}
FIXED = {
    "decode_attention": {"heads": (8, 32, 64), "group": (1, 4, 8), "head_dim": (64, 128)},
    "prefill_attention": {"heads": (8, 32, 64), "group": (1, 4, 8), "head_dim": (64, 128)},
    "gemm": {"n": (512, 2048, 6144, 16384), "k": (256, 1024, 4096, 14336)},
}


def grid(op: str) -> OpTable:
    axes = SHAPES[op] | FIXED[op]
    mesh = np.meshgrid(*axes.values(), indexing="ij")
    columns = {name: a.ravel().astype(float) for name, a in zip(axes, mesh, strict=True)}
    if op == "prefill_attention":
        columns["kv_len"] = columns["q_len"]
    if "group" in columns:
        columns["kv_heads"] = columns["heads"] / columns.pop("group")
    return OpTable.build(op, "bf16", "bf16", **columns)


@pytest.fixture(scope="session")
def machine() -> Machine:
    device = load_device("H200", "test")
    assert isinstance(device, Gpu)
    return machine_of(device)


@pytest.fixture(scope="session")
def synthetic(machine: Machine) -> Callable[..., Measured]:
    """Return a function that measures a kernel of known parameters."""

    def measure(op: str, schedule: str | None = None, **changed: float) -> Measured:
        kernel, ops = KERNELS[op], grid(op)
        values = {name: p.start for name, p in kernel.parameters.items()} | changed
        seconds = kernel.seconds(ops, machine, schedule or kernel.schedules[0], values)
        noise = np.random.default_rng(5).normal(0.0, NOISE, len(ops))
        key = KernelKey(op, "bf16", "bf16", "test", "1", "synthetic")
        return Measured(key, "synthetic", ops, seconds * np.exp(noise))

    return measure
