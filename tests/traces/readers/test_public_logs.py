"""Public production logs as published: counts, quantiles, reuse; and what reading them costs."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tierlab.traces.read import read_log

CLAUDE = "traces/claude_code/claude_code_traces_710.compact.jsonl.zst"
AGENTIC = "traces/agentic/miniswe_lengths_hashes_b16.jsonl"
SHARES = [0.5, 0.9, 0.99, 1]


def quantiles(values) -> list[int]:
    """Return quantiles as they are published: whole tokens, cut."""
    return np.floor(np.quantile(values, SHARES)).astype(int).tolist()


@pytest.mark.parametrize(
    ("name", "requests", "rate_per_s", "inputs", "outputs"),
    [
        ("code", 8_819, 2.57, [1469, 5187, 7436, 7437], [13, 55, 251, 1899]),
        ("conv", 19_366, 5.53, [1020, 2734, 4142, 14050], [129, 424, 601, 1000]),
    ],
)
@pytest.mark.shared("traces/azure2023")
def test_azure(shared_dir, name, requests, rate_per_s, inputs, outputs):
    read = read_log(str(shared_dir / f"traces/azure2023/AzureLLMInferenceTrace_{name}.csv"))
    trace = read.trace
    assert len(trace) == read.tally.records == requests
    assert round(len(trace) / trace.arrival_s[-1], 2) == rate_per_s
    assert (quantiles(trace.input_tokens), quantiles(trace.output_tokens)) == (inputs, outputs)
    assert trace.block_tokens == 0


@pytest.mark.shared(AGENTIC)
def test_agentic(shared_dir):
    trace = read_log(str(shared_dir / AGENTIC)).trace
    rows = [json.loads(line) for line in (shared_dir / AGENTIC).read_text().splitlines()]
    assert len(trace) == len(rows) == 402
    assert trace.sessions == len({row["session_id"] for row in rows})
    assert trace.input_tokens.sum() == sum(row["input_length"] for row in rows)
    assert (trace.block_tokens, trace.partial_tail) == (16, False)
    assert trace.block_counts().sum() == sum(n for row in rows for _, n in row["hash_runs"])


@pytest.mark.shared(CLAUDE)
def test_claude_code(shared_dir):
    read = read_log(str(shared_dir / CLAUDE))
    trace = read.trace
    assert len(trace) == read.tally.records == 49_334
    assert (trace.turn == 0).sum() - (trace.parent >= 0).sum() == 710
    assert quantiles(trace.input_tokens) == [103_659, 233_633, 498_518, 894_371]
    assert quantiles(trace.output_tokens) == [216, 898, 3_686, 18_195]
    assert trace.block_counts().sum() == 94_310_647
    children = np.flatnonzero(trace.parent >= 0)
    assert (trace.arrival_s[trace.parent[children]] <= trace.arrival_s[children]).all()


@pytest.mark.shared(CLAUDE)
def test_claude_code_loads_in_seconds_and_a_gigabyte(shared_dir):
    code = (
        "import sys, time; from tierlab.traces.read import read_trace\n"
        "begin = time.process_time(); read_trace(sys.argv[1])\n"
        "spent = time.process_time() - begin\n"
        "status = dict(line.split(':') for line in open('/proc/self/status'))\n"
        "print(spent, int(status['VmHWM'].split()[0]) * 1024)"  # ru_maxrss is the parent's too
    )
    command = [sys.executable, "-c", code, str(shared_dir / CLAUDE)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    spent_s, peak_bytes = map(float, done.stdout.split())
    print(f"{spent_s:.2f} s, {peak_bytes / 2**20:.0f} MiB")
    assert spent_s < 6
    assert peak_bytes < 1e9


def test_memory_does_not_grow_with_the_log(tmp_path, samples):
    """Read a log of 60 MB that is mostly text: lines go as they come, columns stay."""
    import tracemalloc

    rows = samples["litellm"].rows[:2]
    text = "word " * 6_000
    with (tmp_path / "log.jsonl").open("w") as file:
        for i in range(2_000):
            row = rows[i % 2] | {"startTime": 1.7e9 + i, "messages": text}
            file.write(json.dumps(row) + "\n")
    assert (tmp_path / "log.jsonl").stat().st_size > 60e6
    tracemalloc.start()
    assert len(read_log(str(tmp_path / "log.jsonl")).trace) == 2_000
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 10e6


def test_one_long_line_takes_time_that_grows_with_its_length(tmp_path):
    import time

    from tierlab.traces.log import Log

    (tmp_path / "log.json").write_bytes(b"[" + b" " * 200_000_000 + b"]")
    begin = time.process_time()
    lines = list(Log(str(tmp_path / "log.json"), "TRACE").lines())
    assert len(lines) == 1
    assert time.process_time() - begin < 2
