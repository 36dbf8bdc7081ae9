"""Block caches beside libCacheSim, and all references of 710 agent sessions.

Prints, per trace, policy and capacity, the misses of both, the best of REPEATS times of each, taken
in turns, and the ratio of the two. Ours are `CacheSim.run` on the ids as they stand in the trace,
hashed within the time; libCacheSim's are `process_trace` on a file of packed records in the page
cache, its fastest path, with the next access of Belady already in the file. Then one line for each
pass over the agent sessions, in a process of its own so that its peak memory is its own.

Usage: python benchmarks/block_caches.py [TRACES], default ../shared/traces. libCacheSim's part
needs `pip install libcachesim==0.3.5`.
"""

from __future__ import annotations

import importlib.util
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import zstandard

from tierlab.policies.cache.sim import CacheSim, Requests
from tierlab.policies.cache.stack import lru_distances
from tierlab.policies.registry import make_policy

REPEATS = 3
CAPACITIES = (1_000, 10_000, 50_000)
MOONCAKE = "mooncake/conversation_trace.jsonl"
TRACES = Path(__file__).resolve().parent.parent.parent / "shared" / "traces"
SESSIONS = "claude_code/claude_code_traces_710.compact.jsonl.zst"
CLASSES = {
    "lru": "LRU",
    "fifo": "FIFO",
    "lfu": "LFU",
    "sieve": "Sieve",
    "s3-fifo": "S3FIFO",
    "arc": "ARC",
    "2q": "TwoQ",
    "slru": "SLRU",
    "gdsf": "GDSF",
    "belady": "Belady",
}
EXACT = set(CLASSES) - {"gdsf"}
RECORD = np.dtype([("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")])


def mooncake(traces: Path) -> np.ndarray:
    """Return the block ids of all requests, 288,500 accesses."""
    lines = (traces / MOONCAKE).read_text().splitlines()
    return np.array([block for line in lines for block in json.loads(line)["hash_ids"]])


def zipf() -> np.ndarray:
    """Return 10 million accesses to a million ids, P(k) ~ 1 / k, ids scattered over 63 bits."""
    rng = np.random.default_rng(0)
    share = np.cumsum(1 / np.arange(1, 1_000_001))
    ranks = np.searchsorted(share / share[-1], rng.random(10_000_000))
    return rng.integers(0, 2**63, 1_000_000)[ranks]


def write(path: Path, ids: np.ndarray) -> None:
    """Write libCacheSim's oracleGeneral records."""
    order = np.argsort(ids, kind="stable")
    again = ids[order][1:] == ids[order][:-1]
    records = np.zeros(len(ids), RECORD)
    records["time"], records["id"], records["size"], records["next"] = 1, ids, 1, -1
    records["next"][order[:-1][again]] = order[1:][again]
    records.tofile(path)


def theirs(name: str, capacity: int, path: Path, accesses: int) -> int:
    """Return libCacheSim's misses."""
    import libcachesim

    options = libcachesim.ReaderInitParam(ignore_obj_size=True)
    kind = libcachesim.TraceType.ORACLE_GENERAL_TRACE
    cache = getattr(libcachesim, CLASSES[name])(capacity, hashpower=20)
    ratio = cache.process_trace(libcachesim.TraceReader(str(path), kind, options))[0]
    return round(ratio * accesses)


def timed(run: Callable[[], int]) -> tuple[int, float]:
    """Return a result and the wall seconds it took."""
    start = time.perf_counter()
    result = run()
    return result, time.perf_counter() - start


def pair(name: str, capacity: int, ids: np.ndarray, path: Path) -> tuple[int, int, float, float]:
    """Return misses and best seconds, ours and libCacheSim's, run in turns."""
    policy: Any = make_policy("reuse", name, {}, "benchmark")
    CacheSim(policy, capacity).run(ids[:1000])  # compile
    best = [float("inf"), float("inf")]
    misses = [0, 0]
    runs = (
        lambda: CacheSim(policy, capacity).run(ids).misses,
        lambda: theirs(name, capacity, path, len(ids)),
    )
    for _ in range(REPEATS):
        for i, run in enumerate(runs):
            misses[i], seconds = timed(run)
            best[i] = min(best[i], seconds)
    return misses[0], misses[1], best[0], best[1]


def beside_libcachesim(traces: Path) -> None:
    """Print one line a trace, policy and capacity."""
    print(f"best of {REPEATS}, in turns; M/s: million accesses a second; ratio: ours over theirs")
    print("trace     policy   capacity     misses  libCacheSim      M/s   its M/s   ratio")
    sources = {"zipf": zipf()}
    if (traces / MOONCAKE).exists():
        sources = {"mooncake": mooncake(traces)} | sources
    with tempfile.TemporaryDirectory() as folder:
        for trace, ids in sources.items():
            path = Path(folder) / trace
            write(path, ids)
            for name in CLASSES:
                for capacity in CAPACITIES:
                    ours, other, ours_s, other_s = pair(name, capacity, ids, path)
                    note = "" if ours == other else ("  DIFFER" if name in EXACT else "  (1)")
                    print(
                        f"{trace:10}{name:8}{capacity:9,}{ours:11,}{other:13,}"
                        f"{len(ids) / ours_s / 1e6:9.1f}{len(ids) / other_s / 1e6:10.1f}"
                        f"{other_s / ours_s:8.2f}{note}",
                        flush=True,
                    )
    print("(1) inserts before it evicts: policies/reuse/gdsf.py")


def walk(requests: list[dict[str, Any]], began_s: float) -> Iterator[tuple[float, list[Any]]]:
    """Yield time and runs of requests; a subagent's times start when it does."""
    for request in requests:
        if "requests" in request:
            yield from walk(request["requests"], began_s + request["t"])
        else:
            yield began_s + request["t"], request.get("hash_runs", [])


def sessions(file: Path) -> Requests:
    """Return the requests of all sessions by time, the ids of each session apart."""
    rows: list[tuple[float, list[tuple[int, int]]]] = []
    free = 0
    with file.open("rb") as raw:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw)):
            top = free
            for at_s, runs in walk(json.loads(line)["requests"], 0.0):
                rows.append((at_s, [(free + start, count) for start, count in runs]))
                top = max([top, *(free + start + count for start, count in runs)])
            free = top
    rows.sort(key=lambda row: row[0])
    flat = np.array([run for _, runs in rows for run in runs])
    offsets = np.cumsum([0, *(len(runs) for _, runs in rows)])
    return Requests.of_runs(offsets, flat[:, 0], flat[:, 1], [at_s for at_s, _ in rows])


def agent_sessions(file: Path) -> None:
    """Print one line a pass."""
    start = time.perf_counter()
    requests = sessions(file)
    accesses = int(requests.block_counts().sum())
    print(f"{accesses:,} references to {requests.blocks:,} blocks in {len(requests.first):,} runs")
    print(f"read in {time.perf_counter() - start:.1f} s, peak {peak_gb():.2f} GB")
    line = "{:42}{:8.2f} s {:8.1f} M/s   hit ratio {:.4f}   peak {:.2f} GB"
    for label, run in passes(requests).items():
        run()  # compile
        ratio, seconds = min((timed(run) for _ in range(REPEATS)), key=lambda each: each[1])
        print(line.format(label, seconds, accesses / seconds / 1e6, ratio, peak_gb()), flush=True)


def passes(requests: Requests) -> dict[str, Callable[[], Any]]:
    """Return what is timed, by name."""

    def played(name: str, capacity: int, **parameters: float) -> Callable[[], float]:
        policy: Any = make_policy("reuse", name, parameters, "benchmark")
        return lambda: CacheSim(policy, capacity).run_requests(requests).hit_ratio

    unlimited = requests.blocks
    return {
        "LRU, unlimited": played("lru", unlimited),
        "LRU, 100,000 blocks": played("lru", 100_000),
        "LRU, every capacity (stack distances)": lambda: lru_distances(requests).hit_ratio(
            unlimited
        ),
        "TTL 5 minutes, unlimited": played("ttl", unlimited, ttl_s=300.0),
        "TTL 1 hour, unlimited": played("ttl", unlimited, ttl_s=3600.0),
        "S3-FIFO, 100,000 blocks": played("s3-fifo", 100_000),
        "Belady, 100,000 blocks": played("belady", 100_000),
    }


def peak_gb() -> float:
    """Return this process's peak resident memory, 1e9 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


@click.command()
@click.argument("traces", type=click.Path(path_type=Path), default=TRACES)
@click.option("--sessions", type=click.Path(path_type=Path), hidden=True)
def main(traces: Path, sessions: Path | None) -> None:
    """Print both tables."""
    if sessions is not None:
        agent_sessions(sessions)
        return
    if (traces / SESSIONS).exists():
        command = [sys.executable, __file__, "--sessions", str(traces / SESSIONS)]
        subprocess.run(command, check=True)
    else:
        print(f"agent sessions: {traces / SESSIONS} is absent")
    if importlib.util.find_spec("libcachesim") is None:
        print("libCacheSim: not installed (pip install libcachesim==0.3.5)")
        return
    beside_libcachesim(traces)


if __name__ == "__main__":
    main()
