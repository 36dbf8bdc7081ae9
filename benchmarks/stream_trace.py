"""What reading a large log costs: peak memory beside the file and the table, and the speed.

Writes logs of `--gib` GiB each to a temporary folder, as Azure's CSV, as Mooncake's JSONL (prompts
that share prefixes), and as LiteLLM's JSONL with its messages (mostly text); reads each in a
process of its own; prints one row a log. `table` is the columns that the reader returns; `beside`
is the peak memory less that table and less a process that has only imported the reader.

Usage: python benchmarks/stream_trace.py [--gib SIZE] [--format NAME]... (default 1 GB each)
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

GIB = 2**30
MIB = 2**20
BATCH = 50_000
READ = """
import dataclasses, resource, sys, time
import numpy as np
from tierlab.traces import read
from tierlab.traces.readers import registry
registry.load(sys.argv[2])
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
bare, begin = peak(), time.perf_counter()
found = read.read_log(sys.argv[1], jitter=False)
spent_s, most = time.perf_counter() - begin, peak()
def held(a):
    return a.itemsize * int(np.prod([n for n, step in zip(a.shape, a.strides) if step]))
columns = [getattr(found.trace, one.name) for one in dataclasses.fields(found.trace)]
table = sum(held(one) for one in columns if isinstance(one, np.ndarray))
if not found.tally.read == found.tally.records == len(found.trace):
    sys.exit(f"{found.tally.records} records, {len(found.trace)} requests")
print(found.tally.read, spent_s, bare, most, table)
"""


def azure(rng: np.random.Generator, first: int) -> str:
    """Return rows of 2023's CSV, 100 a second."""
    ticks = (np.arange(first, first + BATCH) * 100_000).tolist()
    context = rng.lognormal(6.9, 1.0, BATCH).astype(np.int64) + 1
    generated = rng.lognormal(4.9, 0.9, BATCH).astype(np.int64)
    day = np.datetime64("2023-11-16T00:00:00", "s")
    seconds = [str(day + tick // 10**7).replace("T", " ") for tick in ticks]
    return "".join(
        f"{second}.{tick % 10**7:07d},{tokens},{output}\n"
        for second, tick, tokens, output in zip(seconds, ticks, context, generated, strict=True)
    )


def mooncake(rng: np.random.Generator, first: int) -> str:
    """Return rows with 15 blocks of 512 tokens: some of a shared prefix, then new ones."""
    shared = rng.integers(0, 8, BATCH).tolist()
    prefix = (rng.zipf(1.3, BATCH) % 10_000 * 8).tolist()
    rows = []
    for i, (kept, start) in enumerate(zip(shared, prefix, strict=True), first):
        ids = [*range(start, start + kept), *range(100_000 + 15 * i, 100_000 + 15 * i + 15 - kept)]
        row = {"timestamp": 3000 * (i // 10), "input_length": 7500, "output_length": 350}
        rows.append(json.dumps(row | {"hash_ids": ids}) + "\n")
    return "".join(rows)


def litellm(rng: np.random.Generator, first: int) -> str:
    """Return rows of some 20 kB, nearly all of it messages; 8 a session."""
    text = "All happy families are alike; " * 650
    rows = []
    for i in range(first, first + BATCH // 100):
        row = {
            "id": f"c{i}",
            "trace_id": f"t{i // 8}",
            "call_type": "acompletion",
            "status": "success",
            "prompt_tokens": 4500,
            "completion_tokens": 200,
            "startTime": 1.7e9 + i / 10,
            "endTime": 1.7e9 + i / 10 + 4.0,
            "cache_hit": None,
            "messages": [{"role": "user", "content": text}],
        }
        rows.append(json.dumps(row) + "\n")
    return "".join(rows)


MADE: dict[str, Callable[[np.random.Generator, int], str]] = {
    "azure": azure,
    "mooncake": mooncake,
    "litellm": litellm,
}


def batches(name: str) -> Iterator[str]:
    """Yield text of a log without end."""
    rng, rows = np.random.default_rng(0), 0
    while True:
        text = MADE[name](rng, rows)
        rows += text.count("\n")
        yield text


def write(path: Path, name: str, size_bytes: float) -> int:
    """Write a log of at least so many bytes; return how many."""
    with path.open("w") as file:
        file.write("TIMESTAMP,ContextTokens,GeneratedTokens\n" if name == "azure" else "")
        for text in batches(name):
            file.write(text)
            if file.tell() >= size_bytes:
                break
    return path.stat().st_size


def measure(path: Path, name: str) -> list[float]:
    """Return rows, seconds, and bytes: the bare process's peak, the peak, the table."""
    command = [sys.executable, "-c", READ, str(path), name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(one) for one in done.stdout.split()]


def row(
    name: str, size: int, rows: float, spent_s: float, bare: float, peak: float, table: float
) -> str:
    """Return one line of the table."""
    beside = max(0.0, peak - table - bare)  # what an import freed is used again
    return (
        f"| {name} | {size / MIB:,.0f} | {rows:,.0f} | {peak / MIB:,.0f} | {table / MIB:,.0f} "
        f"| {beside / MIB:,.0f} | {beside / rows:,.0f} | {peak / size:.2f} "
        f"| {rows / spent_s:,.0f} | {size / 1e6 / spent_s:,.0f} |"
    )


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--gib", type=float, default=1e9 / GIB)
    options.add_argument("--format", action="append", choices=MADE)
    chosen = options.parse_args()
    print(
        "| format | file MiB | rows | peak MiB | table MiB | beside MiB | beside B/row "
        "| peak / file | rows/s | MB/s |"
    )
    print("|---|" + "---:|" * 9)
    for name in chosen.format or MADE:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.log"
            size = write(path, name, chosen.gib * GIB)
            print(row(name, size, *measure(path, name)), flush=True)


if __name__ == "__main__":
    main()
