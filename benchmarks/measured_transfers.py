"""How far measured transfers carry: sizes and depths left out, and restores by another program.

    tierlab calibrate --device cpu --only files --files DIR -o cpu.json
    python benchmarks/measured_transfers.py cpu.json --files DIR

First part: each inner size, then the middle depth, is left out of the file and predicted from what
is left, by the rule that tierlab uses (a fixed part and a part per byte between neighbours), by a
line through logarithms, and by one latency and one bandwidth for all sizes. Second part: blocks of
a prefix are read from a file by ``os.preadv`` with direct I/O, from threads, none of tierlab's code
in it, and the network of copies says from the file how long that takes.
"""

from __future__ import annotations

import argparse
import math
import mmap
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import simpy

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.transfers.curve import Node, PieceCurve, left_out
from tierlab.hwmodels.transfers.file import read_transfers
from tierlab.hwmodels.transfers.machine import Asked, with_transfers
from tierlab.simulator.network.network import Network

KIB = 1024
RESTORES = ((32 * KIB, 2048), (128 * KIB, 512), (2048 * KIB, 64))
"""Pieces: of Llama-3.1-8B's blocks of 16 tokens a layer's keys, of 64 tokens, and a whole block."""
DEPTHS = (1, 4, 16)
FILE_BYTES = 2**30
TURNS = 5


def through_logarithms(sizes: Sequence[float], seconds: Sequence[float], size: float) -> float:
    """Return the time on the line between neighbours' logarithms."""
    return math.exp(float(np.interp(math.log(size), np.log(sizes), np.log(seconds))))


def one_line(sizes: Sequence[float], seconds: Sequence[float], size: float) -> float:
    """Return ``latency + size / bandwidth``, fitted to all by least relative squares."""
    s, t = np.array(sizes), np.array(seconds)
    shape = np.column_stack([np.ones_like(s), s]) / t[:, None]
    latency_s, s_per_byte = np.linalg.lstsq(shape, np.ones_like(t), rcond=None)[0]
    return float(max(latency_s + s_per_byte * size, 1e-9))


def shown(errors: Sequence[float]) -> str:
    """Return the median and 90th percentile of errors given as logarithms."""
    off = np.abs(np.expm1(errors))
    return f"{np.median(off):6.1%} {np.quantile(off, 0.9):6.1%} {off.max():6.1%}"


def sizes_left_out(op: str, nodes: Sequence[Node]) -> None:
    """Print the errors at sizes that were left out, by three rules, and the band's coverage."""
    rows = [[n for n in nodes if n.depth == d] for d in sorted({n.depth for n in nodes})]
    rules: dict[str, Callable[[list[Node]], list[float]]] = {
        "fixed part + part per byte (used)": left_out,
        "through logarithms": lambda row: left_out(row, through_logarithms),
        "one latency, one bandwidth": lambda row: left_out(row, one_line),
    }
    for name, rule in rules.items():
        print(f"{op:6} sizes   {name:34} {shown([e for row in rows for e in rule(row)])}")


def covered(op: str, nodes: Sequence[Node]) -> tuple[int, int]:
    """Return how many left-out nodes fall in the band that the others give, of how many."""
    inside = count = 0
    for node in nodes:
        alike = [n.size_bytes for n in nodes if n.depth == node.depth]
        if node.size_bytes in (min(alike), max(alike)):
            continue
        found = PieceCurve(n for n in nodes if n is not node).at(node.size_bytes, node.depth)
        inside += found.p10 <= node.seconds <= found.p90
        count += 1
    print(f"{op:6} sizes   in the band p10 to p90: {inside} of {count}")
    return inside, count


def depths_left_out(op: str, nodes: Sequence[Node]) -> None:
    """Print the errors at depths that were left out."""
    depths = sorted({n.depth for n in nodes})
    errors = []
    for depth in depths[1:-1]:
        others = PieceCurve(n for n in nodes if n.depth != depth)
        for n in (n for n in nodes if n.depth == depth):
            errors.append(math.log(others.at(n.size_bytes, depth).seconds / n.seconds))
    if errors:
        print(f"{op:6} depths  {'a part that depth hides (used)':34} {shown(errors)}")


def restore_s(fd: int, size: int, pieces: int, depth: int, at: Sequence[int]) -> float:
    """Return how long `depth` threads take to read pieces at these places."""
    buffers = [mmap.mmap(-1, size) for _ in range(depth)]

    def lane(k: int) -> None:
        for offset in at[k:pieces:depth]:
            if os.preadv(fd, [buffers[k]], offset) != size:
                raise OSError(f"a short read at {offset}")

    with ThreadPoolExecutor(depth) as pool:
        list(pool.map(lambda _: time.sleep(0), range(depth)))  # the threads are there
        began = time.perf_counter()
        list(pool.map(lane, range(depth)))
        return time.perf_counter() - began


def told_s(path: str, size: int, pieces: int, depth: int, band: str) -> float:
    """Return what the network of copies says of the same, drive to host."""
    asked = Asked({"ssd": (path,)}, {"ssd0": depth}, band, "FILE")
    network = Network(simpy.Environment(), with_transfers(load_system("h200-tiered"), asked))
    copy = network.submit("ssd0", "host0", size * pieces, pieces=pieces, cause="hit")
    network.env.run()
    return float(copy.end_s - copy.start_s)


def restores(path: str, folder: str) -> None:
    """Print measured and simulated times of whole restores."""
    rng = random.Random(0)
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(FILE_BYTES // 2**24):
            file.write(rng.randbytes(2**24))
        file.flush()
        os.fsync(file.fileno())
        fd = os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDONLY | os.O_DIRECT)
        print(
            "\nrestore            depth   by preadv (least, most)     simulated (p10, p90)   ratio"
        )
        ratios, inside = list[float](), 0
        for size, pieces in RESTORES:
            for depth in DEPTHS:
                took = []
                for _ in range(TURNS):
                    at = [size * k for k in rng.sample(range(FILE_BYTES // size), pieces)]
                    took.append(restore_s(fd, size, pieces, depth, at))
                ends = ("mid", "p10", "p90")
                told, low, high = (told_s(path, size, pieces, depth, b) * 1e3 for b in ends)
                middle = statistics.median(took) * 1e3
                ratios.append(told / middle)
                inside += low <= middle <= high
                print(
                    f"{pieces:5} x {size // KIB:4} KiB  {depth:5}   {middle:6.1f} ms "
                    f"({min(took) * 1e3:.1f}, {max(took) * 1e3:.1f})".ljust(54)
                    + f"{told:6.1f} ms ({low:.1f}, {high:.1f})".ljust(27)
                    + f"{told / middle:4.2f}"
                )
        os.close(fd)
    print(
        f"median ratio {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}; "
        f"{inside} of {len(ratios)} in the band"
    )


def main() -> None:
    """Print both parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("measured", help="a file of tierlab calibrate --device cpu")
    parser.add_argument("--files", default=".", help="folder on the drive that was measured")
    asked = parser.parse_args()
    found = read_transfers(Path(asked.measured), "FILE")
    print(found.source)
    print(f"{'':50} median    90%    most")
    for op, rows in found.drive.items():
        nodes = [row.node() for row in rows]
        sizes_left_out(op, nodes)
        covered(op, nodes)
        depths_left_out(op, nodes)
    restores(asked.measured, asked.files)


if __name__ == "__main__":
    main()
