"""Runs of rows are predicted once, and nothing reads what their comparison leaves out."""

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon.calibration import SHIPPED, dump, load
from tierlab.hwmodels.time.silicon.make import silicon
from tierlab.hwmodels.time.silicon.registry import KERNELS
from tierlab.hwmodels.time.silicon.repeats import READS, run_starts
from tierlab.kernels.models.load import load_model
from tierlab.kernels.models.step import decode_work, dense_work
from tierlab.kernels.ops.table import COLUMNS, OpTable, Work


def drawn(op: str, rows: int = 50) -> OpTable:
    values = 2.0 ** np.random.default_rng(0).integers(4, 12, (len(COLUMNS), rows))
    values[COLUMNS.index("kv_len")] *= 4096.0
    columns = dict(zip(COLUMNS, values, strict=True)) | {"window": 0, "latent_rank": 0, "top_k": 4}
    columns["routing"] = 1.2
    return OpTable.build(op, "bf16", "bf16", **columns)


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_kernel_models_read_only_what_runs_compare(name, machine):
    kernel = KERNELS[name]
    p = {key: value.start for key, value in kernel.parameters.items()}

    def told(ops: OpTable) -> list[np.ndarray]:
        seconds = kernel.seconds(ops, machine, kernel.schedules[0], p)
        asked = kernel.asked(ops, machine, kernel.schedules[0], p, seconds)
        return [seconds, *asked.values(), *kernel.coordinates(ops).values()]

    ops, other = drawn(kernel.op), drawn(kernel.op)
    for column in set(COLUMNS) - set(READS[kernel.op]):
        other[column][:] = 3.0
    np.testing.assert_array_equal(told(ops), told(other))


@pytest.mark.parametrize("device", ["H200", "L40S"])
def test_a_row_takes_what_it_takes_alone(device):
    times, model = silicon(None, load_device(device, "test"), None, "test"), load_model("Qwen3-32B")
    keys = np.repeat(np.array([100.0, 100.0, 5000.0]), 3)
    spread = np.tile(np.array([0.0, 1.0, 2.0]), 3)
    padded = np.array([1, 8, 8, 8, 16, 300, 301])
    parts = [
        decode_work(model, 1, "bf16", np.full(9, 4), keys, spread),
        dense_work(model, "fp8", 1, padded, padded),
    ]
    ops = Work.concat(parts).ops
    whole = times.predict(ops)
    for i in range(len(ops)):
        one = times.predict(ops.take(np.array([i])))
        for name in ("seconds", "p10", "p90", "source", "extrapolated", "bias_group"):
            assert getattr(whole, name)[i] == getattr(one, name)[0], (i, name)


def test_runs_end_where_a_column_changes():
    ops = OpTable.build(
        "gemm", "bf16", m=[1, 1, 2, 2, 2], n=8, k=[4, 4, 4, 4, 8], batch=[1, 2, 3, 4, 5]
    )
    assert run_starts(ops).tolist() == [True, False, True, False, True]
    assert run_starts(ops.take(np.array([1, 3]))).tolist() == [True, True]


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.json")), ids=lambda path: path.stem)
def test_trees_that_are_unpacked_later_are_the_same(path):
    """Every tree that ships can be unpacked: nobody else looks before a run needs it."""
    assert dump(load(path, "test", later=True)) == dump(load(path, "test"))
