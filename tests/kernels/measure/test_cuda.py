"""Measurements of a GPU, on a processor in its place: plans, copies, proofs, failures."""

import ctypes
import importlib.util
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from tierlab.kernels.base.errors import BadInput, BrokenLaw
from tierlab.kernels.measure import sampling
from tierlab.kernels.measure.cuda import (
    batch,
    copies,
    copybench,
    inputs,
    kernels,
    load,
    memory,
    timing,
)
from tierlab.kernels.measure.cuda.facts import gpu_facts, require_gpu
from tierlab.kernels.measure.shapes import Ranges


def _fake():
    spec = importlib.util.spec_from_file_location(
        "fakecuda", Path(__file__).with_name("fakecuda.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def gpu(monkeypatch, tmp_path_factory):
    if shutil.which("g++") is None:
        pytest.skip("needs g++ to run CUDA sources on this processor, not found")
    fake = _fake()
    made = fake.install(monkeypatch, tmp_path_factory.getbasetemp())
    monkeypatch.setattr(copies, "ARENA_BYTES", 2**20)
    monkeypatch.setattr(copies, "MOST_BYTES", 2**18)
    monkeypatch.setattr(copies, "SIZES", (2**12, 2**16))
    monkeypatch.setattr(copies, "FEW", (2**14,))
    monkeypatch.setattr(copies, "QUICK", (2**12, 2**16))
    monkeypatch.setattr(load, "SIDE", 16)
    monkeypatch.setattr(sampling, "SAMPLE_S", 0.0)
    monkeypatch.setattr(timing, "SAMPLE_S", 0.0)
    monkeypatch.setattr(timing, "LEAST", 1)
    monkeypatch.setattr(batch, "available", lambda: True)
    monkeypatch.setattr(batch, "_entry", lambda: _driver(fake))
    return made


def _driver(fake):
    """Return what stands for cuMemcpyBatchAsync: copies when the stream is waited for."""

    def words(address: int, count: int) -> list[int]:
        return list((ctypes.c_uint64 * count).from_address(address))

    def issue(targets, sources, sizes, count, attributes, first, kinds, failed, stream) -> int:
        assert batch._Attributes.from_address(attributes).srcAccessOrder == batch.ANY_ORDER
        assert (ctypes.c_size_t.from_address(first).value, kinds) == (0, 1)
        for row in zip(*(words(a, count) for a in (targets, sources, sizes)), strict=True):
            fake.BY_ADDRESS[stream].queue(lambda row=row: ctypes.memmove(*row))
        return 0

    return issue


def test_every_copy_is_measured_and_checked(gpu) -> None:
    part = copies.Copies(False, 0)
    with part.open() as measure:
        for point in part.points():
            assert min(measure(point, time.perf_counter())) > 0
    columns = [p.columns for p in part.points()]
    for key, values in {
        "mechanism": {"loop", "batched", "kernel"},
        "host_memory": {"pinned", "pageable"},
        "load": {"idle", "gemm"},
        "streams": {1, 2, 4},
        "src": {"host", "gpu", "host and gpu"},
    }.items():
        assert {c[key] for c in columns} == values


@pytest.mark.parametrize("how", ["loop", "batched", "kernel"])
@pytest.mark.parametrize("way", ["in", "out", "both"])
def test_copies_that_do_not_arrive_are_caught(gpu, monkeypatch, way: str, how: str) -> None:
    nothing = lambda *_: lambda stream: None  # noqa: E731
    monkeypatch.setattr(copybench.Bench, "_by_kernel", nothing)
    monkeypatch.setattr(copybench, "_loop", nothing)
    monkeypatch.setattr(copybench.Batch, "issue", lambda self, stream: None)
    part = copies.Copies(False, 0)
    with part.open() as measure, pytest.raises(BrokenLaw, match="did not arrive"):
        measure(copies._point(way, how, 2**14), time.perf_counter())


def test_copies_that_are_not_waited_for_are_caught(gpu, monkeypatch) -> None:
    monkeypatch.setattr(gpu.cuda.Stream, "synchronize", lambda self: None)
    part = copies.Copies(True, 0)
    with part.open() as measure, pytest.raises(BrokenLaw):
        measure(part.points()[0], time.perf_counter())


def test_a_driver_without_batches_measures_the_rest(gpu, monkeypatch) -> None:
    monkeypatch.setattr(batch, "available", lambda: False)
    found = {p.columns["mechanism"] for p in copies.Copies(False, 0).points()}
    assert found == {"loop", "kernel"}


def test_a_batch_that_the_driver_refuses_is_told(gpu, monkeypatch) -> None:
    monkeypatch.setattr(batch, "_entry", lambda: lambda *_: 1)
    part = copies.Copies(True, 0)
    point = next(p for p in part.points() if p.columns["mechanism"] == "batched")
    with part.open() as measure, pytest.raises(BadInput, match="error 1"):
        measure(point, time.perf_counter())


def test_a_gpu_that_is_lost_is_told_in_one_line(gpu) -> None:
    part = copies.Copies(True, 0)
    gpu.cuda.runtime.lost_at = 5
    with part.open() as measure, pytest.raises(BadInput, match="cuda:0 failed: .*GPU is lost"):
        measure(part.points()[0], time.perf_counter())


def test_memory_is_read_and_copied(gpu, monkeypatch) -> None:
    monkeypatch.setattr(memory, "SIZES", (2**12, 2**18))
    part = memory.GpuMemory(False, 0)
    assert len(part.points()) == 6
    with part.open() as measure:
        for point in part.points():
            assert min(measure(point, time.perf_counter())) > 0


@pytest.mark.parametrize(
    ("op", "how"), [("read", "kernel"), ("copy", "kernel"), ("copy", "driver")]
)
def test_memory_that_is_not_touched_is_caught(gpu, monkeypatch, op: str, how: str) -> None:
    monkeypatch.setattr(memory, "launch", lambda *_, **__: None)
    monkeypatch.setitem(memory._MOVES, "driver", lambda source, target: None)
    part = memory.GpuMemory(True, 0)
    with part.open() as measure, pytest.raises(BrokenLaw):
        measure(memory._point(op, how, 2**12), time.perf_counter())


FEW = Ranges(
    "fp16", (8,), (2,), (128,), 2**20, (32,), (64,), 1e9, 1, ((64, 48),), ((4, 2, 64),), coded=True
)


def test_every_kernel_is_measured_and_checked(gpu, monkeypatch) -> None:
    monkeypatch.setattr(kernels, "GPU", FEW)
    monkeypatch.setattr(inputs, "NOISE", 2**12 + 7)
    monkeypatch.setattr("tierlab.kernels.measure.shapes._others", lambda r: [])
    monkeypatch.setattr(kernels, "ROTATED_BYTES", 2**16)
    part = kernels.GpuKernels(False, 0)
    names = {p.columns["operation"] for p in part.points()}
    assert names == {"gemm", "decode", "decode_int4", "decode_int2", "prefill"}
    with part.open() as measure:
        for point in part.points():
            assert min(measure(point, time.perf_counter())) > 0


def test_tables_of_more_blocks_than_the_pool_repeat_them(gpu, monkeypatch) -> None:
    monkeypatch.setattr(inputs, "NOISE", 1021)
    monkeypatch.setattr(inputs, "POOL_BYTES", 2**17)
    shape = {"batch": 3, "context": 640, "heads": 4, "kv_heads": 2, "dim": 64, "block": 64}
    q, keys, values, table, lengths = inputs.make("decode", shape)
    assert keys.nbytes + values.nbytes == 2**17
    assert table.shape == (3, 10)
    assert set(np.unique(table)) == set(range(len(keys)))
    assert lengths.tolist() == [640] * 3
    assert abs(float(q.astype(np.float64).mean())) < 0.2


def test_facts_name_the_gpu_and_its_host(gpu) -> None:
    require_gpu(0)
    found = gpu_facts(0)
    assert found["device"] == "Emulated GPU"
    assert found["multiprocessors"] == 2
    assert found["cuda_driver"] == 12080
    assert found["host"]


def test_gpus_that_are_not_there_are_refused(gpu) -> None:
    with pytest.raises(BadInput, match=r"no cuda:3; accepted: cuda:0"):
        require_gpu(3)
    gpu.cuda.runtime.count = 0
    with pytest.raises(BadInput, match="no GPU can be used .*NoDevice"):
        require_gpu(0)


def test_products_run_until_the_block_ends(gpu) -> None:
    before = time.perf_counter()
    with load.gemm_running(0):
        pass
    assert time.perf_counter() - before < 5
