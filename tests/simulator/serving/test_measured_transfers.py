"""A restore from a measured drive takes, in the engine, what its rows say.

The scene of `test_tiers_in_time`: a prompt of 10 blocks, others that take its place in HBM, and
the prompt again, which finds 9 blocks (its last is always computed) on the drive.
"""

from dataclasses import replace

import pytest

from tierlab.simulator.metrics.copied import copied_shares
from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.build import build
from tierlab.simulator.serving.run import serve

BLOCK, BLOCKS_HIT = 16, 9
LATENCY_S, RATE, GPU_S, GPU_RATE = 2e-3, 1e9, 30e-6, 20e9


def drive_rows():
    for op, ends in (("read", ("file", "dram")), ("write", ("dram", "file"))):
        for depth in (1, 8):
            for size in (2**12, 2**15, 2**18, 2**21):
                yield row(op, ends, "io_uring", size, 256, LATENCY_S / depth + size / RATE) | {
                    "queue_depth": depth
                }


def gpu_rows():
    for ends in (("host", "gpu"), ("gpu", "host")):
        for size, pieces in ((2**12, 1), (2**12, 512), (2**15, 512), (2**21, 32)):
            made = row("copy", ends, "batched", size, pieces, size / GPU_RATE)
            yield made | {"host_memory": "pinned", "seconds": GPU_S + made["seconds"]}


def row(op, ends, how, size, pieces, seconds):
    return {
        "op": op,
        "src": ends[0],
        "dst": ends[1],
        "mechanism": how,
        "bytes": size * pieces,
        "piece_bytes": size,
        "pieces": pieces,
        "load": "idle",
        "seconds": pieces * seconds,
    }


@pytest.fixture
def again(trace, transfers, known_times):
    """Serve the scene on measured files: `again("cpu", "gpu", depth=None)`."""
    files = {
        "cpu": str(transfers("cpu.json", list(drive_rows()))),
        "gpu": str(transfers("gpu.json", list(gpu_rows()), "H200")),
    }

    def run(*names, depth=None):
        data = {
            "model": "SmolLM2-135M",
            "hardware": {"name": "h200-tiered", "transfers": [files[n] for n in names]},
            "design": "vllm",
            "workload": {"generator": "poisson"},
            "engine": {"max_model_len": 8192, "num_gpu_blocks": 12, "async_scheduling": False},
            "tiers": {"ssd": {"capacity": "1 GB", "device": "ssd0", "queue_depth": depth}},
            "time": {"host": "none"},
        }
        scenario = validate(data, "test")
        parts = build(scenario)
        times = known_times(1.0, 0.01, len(parts.model.layers))
        prompts = [[name * 1000 + i for i in range(10)] for name in (0, 1, 0)]
        requests = trace([0.0, 100.0, 200.0], [160] * 3, [2] * 3, block_tokens=BLOCK, ids=prompts)
        return serve(scenario, replace(parts, times=times), requests)

    return run


def loads(run):
    rows = run.network.records.columns()
    hit = rows["cause"] == "hit"
    return rows["end_s"][hit] - rows["start_s"][hit], rows["pieces"][hit], rows["bytes"][hit]


@pytest.mark.parametrize("depth", [1, 3, None])
def test_a_restore_takes_what_the_rows_say(again, depth):
    run = again("cpu", "gpu", depth=depth)
    (seconds,), (pieces,), (nbytes,) = loads(run)
    tensors = run.parts.model.kv_tensors()
    assert pieces == BLOCKS_HIT * tensors
    flight = min(pieces, depth or 8)
    pages = 8192.0  # a layer's keys of a block are 6,144 bytes
    assert nbytes / pieces == 6144
    drive_s = pieces * (LATENCY_S / flight + pages / RATE)
    assert seconds == pytest.approx(drive_s + GPU_S, rel=5e-3)
    assert copied_shares(run)["measured"] == 1.0
    assert copied_shares(run)["outside"] == 0.0


def test_the_drive_alone_leaves_the_link_to_the_data_sheet(again):
    (both,), *_ = loads(again("cpu", "gpu"))
    run = again("cpu")
    (alone,), *_ = loads(run)
    (edge,) = run.parts.system.path("host0", "gpu0")
    assert both - alone == pytest.approx(GPU_S - edge.link.latency_s, rel=0.01)
    assert copied_shares(run)["partly"] == 1.0


def test_without_files_nothing_is_measured(again):
    assert copied_shares(again())["datasheet"] == 1.0
