"""What a copy costs the network, beside plain SimPy resources that share nothing.

python benchmarks/bench_network.py

Copies of 1 to 7 MB between a host and four GPUs, both ways: eight streams, each fed 64 copies at
a time, so that the two directions of every link contend throughout. Prints transfers a second of
wall time for the network, with and without records; for a SimPy resource per stream, which holds
each copy for its time alone; their ratio, measured in turns; and many streams on one link.
"""

import time
from collections.abc import Callable, Iterator

import simpy

from tierlab.hwmodels.catalogue import load_system
from tierlab.simulator.network.network import Network

TRANSFERS = 80_000
REPEATS = 5
BATCH = 64
SYSTEM = "h200-8x"
WAYS = [ends for i in range(4) for ends in (("host0", f"gpu{i}"), (f"gpu{i}", "host0"))]
MB = 1e6

Process = Iterator[simpy.Event]


def sizes(count: int, lane: int) -> list[float]:
    """Return sizes that no two lanes share, so that hardly two copies end at one time."""
    return [MB * (1 + i % 7) * (1 + 0.0137 * lane) for i in range(count)]


def shared(keep_records: bool, streams: int = 0) -> float:
    """Return transfers a second; with `streams`, over so many of them on one link."""
    env = simpy.Environment()
    network = Network(env, load_system(SYSTEM), keep_records=keep_records)
    lanes = [("host0", "gpu0", f"s{i}") for i in range(streams)] or [(*w, None) for w in WAYS]
    count = TRANSFERS // len(lanes) if not streams else max(20_000 // streams, 4)

    def feed(lane: int, source: str, destination: str, stream: str | None) -> Process:
        for start in range(0, count, BATCH):
            for size in sizes(min(BATCH, count - start), lane):
                last = network.submit(
                    source, destination, size, pieces=16, cause="hit", stream=stream
                )
            yield last.done

    for lane, way in enumerate(lanes):
        env.process(feed(lane, *way))
    rate = count * len(lanes) / timed(env)
    network.check()
    return rate


def alone() -> float:
    """Return transfers a second of resources, one a stream, that share nothing."""
    env = simpy.Environment()
    network = Network(env, load_system(SYSTEM))
    count = TRANSFERS // len(WAYS)

    def copy(engine: simpy.Resource, seconds: float) -> Process:
        with engine.request() as turn:
            yield turn
            yield env.timeout(seconds)

    def feed(lane: int, source: str, destination: str) -> Process:
        engine = simpy.Resource(env)
        route = network.route(source, destination)
        for start in range(0, count, BATCH):
            for size in sizes(min(BATCH, count - start), lane):
                last = env.process(copy(engine, route.cost(size, 16).alone_s))
            yield last

    for lane, ends in enumerate(WAYS):
        env.process(feed(lane, *ends))
    return TRANSFERS / timed(env)


def timed(env: simpy.Environment) -> float:
    start = time.perf_counter()
    env.run()
    return time.perf_counter() - start


def best(runs: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Return the best rate of each, measured in turns."""
    rates = dict.fromkeys(runs, 0.0)
    for _ in range(REPEATS):
        for name, run in runs.items():
            rates[name] = max(rates[name], run())
    return rates


if __name__ == "__main__":
    shared(False)
    ours, bare, peer = (
        "network, shared links",
        "network, without records",
        "SimPy resources, unshared",
    )
    rates = best({ours: lambda: shared(True), bare: lambda: shared(False), peer: alone})
    print(f"{TRANSFERS:,} transfers over {len(WAYS)} streams, best of {REPEATS}")
    for name, rate in rates.items():
        print(f"{name:28}{rate:12,.0f} transfers/s")
    print(f"time per transfer, network / SimPy resources: {rates[peer] / rates[ours]:.2f}")
    for streams in (64, 512, 4096):
        print(f"{streams:5} streams on one link{shared(True, streams):16,.0f} transfers/s")
