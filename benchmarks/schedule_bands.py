"""How far attention's schedules are from kernels that run them, by length: their bands.

python benchmarks/schedule_bands.py --tables FOLDER

FOLDER holds the unpacked package aiconfigurator-core. Prints p10, median and p90 of measured over
predicted time, a line a schedule, GPU and length, as `hwmodels/time/schedules/bands.py` states
them: of a handful of numbers, the least and the largest. Sources weigh the same, however many rows
they have. The figure of FlashAttention-2 and the
paper's times are those of `attention_schedules.py`.
"""

from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from attention_schedules import (
    A100_40GB_BYTES_PER_S,
    FLASH1_TFLOPS,
    FLASH2_TFLOPS,
    LENGTHS,
    PUBLISHED,
    PYTORCH_TFLOPS,
    a100,
    reference,
    tflops,
)
from numpy.typing import NDArray

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.time.schedules.bands import HOME, LENGTH, LENGTHS_FROM, stated
from tierlab.hwmodels.time.schedules.registry import SCHEDULES
from tierlab.hwmodels.time.schedules.rows import problem_of
from tierlab.hwmodels.time.silicon.aiconfigurator import DEVICES, read_system
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.silicon.measured import Measured

Floats = NDArray[np.float64]
FEW = 30
"""Of so many numbers p10 and p90 are told, of fewer the ends."""
FIGURES = {"materialised": PYTORCH_TFLOPS, "flash1": FLASH1_TFLOPS, "flash2": FLASH2_TFLOPS}
Pick = Callable[[Measured], NDArray[np.bool_]]


def full(part: Measured) -> NDArray[np.bool_]:
    """Return the rows whose heads group."""
    return (part.ops["heads"] % part.ops["kv_heads"] == 0) & (part.ops["window"] == 0)


def alone(part: Measured) -> NDArray[np.bool_]:
    """Return those whose heads are not grouped."""
    return full(part) & (part.ops["heads"] == part.ops["kv_heads"])


def grouped(part: Measured) -> NDArray[np.bool_]:
    """Return those whose heads are."""
    return full(part) & (part.ops["heads"] > part.ops["kv_heads"])


KERNELS: tuple[tuple[str, str, str, str, Pick], ...] = (
    ("unsplit", "decode_attention", "vllm", "a100_sxm l40s", alone),
    ("flash_decoding", "decode_attention", "trtllm", "a100_sxm h100_sxm h200_sxm b200_sxm l40s",
     alone),
    ("flash_decoding", "decode_attention", "vllm", "a100_sxm l40s", grouped),
    ("flash_decoding", "decode_attention", "vllm", "h100_sxm h200_sxm", full),
    ("flash2", "prefill_attention", "vllm", "a100_sxm l40s", full),
    ("flash3", "prefill_attention", "vllm", "h100_sxm h200_sxm", full),
)  # fmt: skip
"""Schedule, operation, and where kernels that run it were measured: FlashAttention 2 splits grouped
heads' keys and no others', FlashAttention 3 all, TensorRT-LLM's kernel of single heads too."""
NAMES = {"vllm": ("vllm_flash_attn", "vllm_flash_attn_fa2", "vllm_flash_attn_fa3"),
         "trtllm": ("torch_flow",)}  # fmt: skip
Found = dict[tuple[str, bool, int], list[Floats]]


def measured(found: Found, tables: Path) -> None:
    """Add the ratios of kernels to their schedules."""
    for name, op, framework, systems, pick in KERNELS:
        for system in systems.split():
            machine = machine_of(load_system(DEVICES[system]).gpu)
            for part in read_system(system, framework, None, tables):
                if part.key.op == op and part.key.kernel in NAMES[framework]:
                    rows = part.take(np.flatnonzero(pick(part)))
                    if len(rows):
                        problem = problem_of(rows.ops)
                        ours = SCHEDULES[name].cost(problem, machine).seconds
                        length = np.searchsorted(LENGTHS_FROM, LENGTH[op](problem), "right") - 1
                        _add(found, name, machine.name, length, rows.seconds / ours)


def _add(found: Found, name: str, device: str, length: NDArray[np.int64], ratio: Floats) -> None:
    for place in np.unique(length):
        found.setdefault((name, device == HOME, int(place)), []).append(ratio[length == place])


def printed(found: Found) -> None:
    """Add the ratios of published figures, all of the A100."""
    for name, known in FIGURES.items():
        for dim, true in known.items():
            ours = [tflops(SCHEDULES[name].cost, reference(dim, n), a100()) for n in LENGTHS]
            length = np.searchsorted(LENGTHS_FROM, LENGTHS, "right") - 1
            _add(found, name, HOME, length, np.array(ours) / np.array(true))
    small = a100(A100_40GB_BYTES_PER_S)
    for _, true, what, name, problem in PUBLISHED:
        if what == "ms":
            ours = SCHEDULES[name].cost(problem, small).seconds * 1e3
            _add(found, name, HOME, np.array([1]), np.array([true / ours]))


@click.command()
@click.option("--tables", type=click.Path(path_type=Path), required=True)
def main(tables: Path) -> None:
    """Print the bands."""
    found: Found = {}
    measured(found, tables)
    printed(found)
    print("| schedule | GPU | length from | sources | rows | p10 | median | p90 | stated |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (name, home, place), parts in sorted(found.items(), key=lambda kv: (kv[0][0], -kv[0][1])):
        even = np.concatenate([np.quantile(p, np.linspace(0.0, 1.0, 1001)) for p in parts])
        count, says = sum(map(len, parts)), stated(name, home, place)
        ends = (0.1, 0.5, 0.9) if count >= FEW else (0.0, 0.5, 1.0)
        low, middle, high = np.quantile(even, ends)
        where, start = HOME if home else "others", int(LENGTHS_FROM[place])
        print(f"| {name} | {where} | {start:,} | {len(parts)} | {count:,} "
              f"| {low:.2f} | {middle:.2f} | {high:.2f} | {says} |")  # fmt: skip


if __name__ == "__main__":
    main()
