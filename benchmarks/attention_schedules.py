"""Attention under different schedules, beside published numbers.

python benchmarks/attention_schedules.py [--tables FOLDER] [PICTURES]

Prints the tables of docs/results/attention_schedules.md and draws its pictures, by default into
docs/results. With --tables, the unpacked package aiconfigurator-core, the rates of decode kernels
are fitted again and printed beside those that the schedules state.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from svg_curves import Curve, draw

from tierlab.hwmodels.catalogue import load_system
from tierlab.hwmodels.time.schedules import flash1, materialised
from tierlab.hwmodels.time.schedules.decoding import TRTLLM_A100, VLLM_A100, Rates
from tierlab.hwmodels.time.schedules.flash_decoding import flash_decoding
from tierlab.hwmodels.time.schedules.lean import RATES, lean
from tierlab.hwmodels.time.schedules.problem import Cost, Problem
from tierlab.hwmodels.time.schedules.registry import PREFILL, SPATIAL
from tierlab.hwmodels.time.schedules.unsplit import unsplit
from tierlab.hwmodels.time.silicon.aiconfigurator import tables_root
from tierlab.hwmodels.time.silicon.machine import Machine, machine_of

A100_40GB_BYTES_PER_S = 1555e9
"""NVIDIA A100 datasheet, 40 GB SXM; FlashAttention was measured on it (section 4.3)."""
GPT2 = Problem(64, 16, 16, 64, 1024, 1024, backward=True, mask="added", dropout=True)
FIRST = replace(GPT2, mask="filled", dropout=False)
"""The setting of the paper's first version: key-padding mask, no dropout."""
PUBLISHED = (
    ("standard, GB", 40.3, "bytes", "materialised", GPT2),
    ("standard, ms", 41.7, "ms", "materialised", GPT2),
    ("FlashAttention, GB", 4.4, "bytes", "flash1", GPT2),
    ("FlashAttention, ms (causal)", 7.3, "ms", "flash1", replace(GPT2, causal=True)),
    ("first version: standard, GB", 35.3, "bytes", "materialised", FIRST),
    ("first version: standard, ms", 35.1, "ms", "materialised", FIRST),
    ("first version: FlashAttention, GB", 4.4, "bytes", "flash1", FIRST),
    ("first version: FlashAttention, ms", 11.7, "ms", "flash1", FIRST),
)
"""FlashAttention, Figure 2 left (GPT-2 medium: 1,024 tokens, 16 heads of 64, batch 64, A100)."""
PYTORCH_TFLOPS = {64: (40, 43, 45, 46), 128: (67, 76, 79, 86)}
FLASH1_TFLOPS = {64: (92, 104, 108, 110), 128: (72, 76, 80, 82)}
FLASH2_TFLOPS = {64: (153, 162, 171, 175), 128: (173, 187, 196, 201)}
LENGTHS = (1024, 2048, 4096, 8192)
"""FlashAttention-2's README figure for A100 80GB, both directions, no causal mask; 2,048 wide, 16K
tokens in all."""
FUSEMAX = {
    ("BERT", 12, 64, 1): (0.0133860, 0.0020131),
    ("BERT", 12, 64, 64): (54.829369, 7.4025003),
    ("TrXL", 16, 64, 1): (0.0178481, 0.0026841),
    ("TrXL", 16, 64, 64): (73.105826, 9.8700004),
    ("T5", 8, 64, 1): (0.0089240, 0.0013420),
    ("XLM", 16, 128, 1): (0.0178481, 0.0051940),
    ("XLM", 16, 128, 64): (73.105826, 19.026076),
}
"""Model, heads, head width, thousands of tokens -> seconds of FLAT and FuseMax, batch 64."""
DECODES = {
    "vLLM 0.14.0, not split": (unsplit, (0.76, 0.77, 0.77, 0.78, 1.58)),
    "TensorRT-LLM 1.0.0, split": (flash_decoding, (0.13, 0.23, 0.41, 0.79, 1.34)),
}
"""Milliseconds at batch 1, 2, 4, 8, 16: 32K keys, 8 heads of 128, no grouping, A100."""
CONTEXTS = [2**i for i in range(12, 20)]
HEADS = (8, 16, 32, 64, 96, 128)
FIXED = 4


def a100(bytes_per_s: float | None = None) -> Machine:
    machine = machine_of(load_system("A100-80G").gpu)
    return replace(machine, bytes_per_s=bytes_per_s) if bytes_per_s else machine


def reference(head_dim: int, length: int) -> Problem:
    heads = 2048 // head_dim
    return Problem(16384 // length, heads, heads, head_dim, length, length, backward=True)


def flash_attention() -> None:
    """Print traffic and times of GPT-2 medium."""
    machine = a100(A100_40GB_BYTES_PER_S)
    print(
        "| GPT-2 medium, forward and backward | published | schedule | error |\n|---|---|---|---|"
    )
    for title, true, what, name, problem in PUBLISHED:
        cost = PREFILL[name].cost(problem, machine)
        ours = cost.hbm_bytes / 1e9 if what == "bytes" else cost.seconds * 1e3
        print(f"| {title} | {true} | {ours:.2f} | {ours / true - 1:+.1%} |")


def by_sram() -> None:
    """Print FlashAttention's traffic over the SRAM of an SM."""
    print("\n| SRAM of an SM, KiB | keys of a block | GB |\n|---|---|---|")
    for kib in (32, 48, 64, 96, 128, 164, 192, 228, 256, 512, 1024):
        block = flash1.block(GPT2, kib * 1024)
        print(f"| {kib} | {block:.0f} | {flash1.hbm_bytes(GPT2, kib * 1024) / 1e9:.2f} |")


def constants() -> None:
    """Print how far the FlashAttention-2 figure is from the schedules, and the fitted rate."""
    machine = a100()
    rates = []
    print("\n| heads of | tokens | PyTorch | schedule | FA1 | schedule | FA2 | schedule |")
    print("|---|---|---|---|---|---|---|---|")
    rows = {"materialised": PYTORCH_TFLOPS, "flash1": FLASH1_TFLOPS, "flash2": FLASH2_TFLOPS}
    for dim in (64, 128):
        for i, length in enumerate(LENGTHS):
            problem = reference(dim, length)
            work = 7.0 * problem.dense_flops
            cells = []
            for name, known in rows.items():
                cells += [str(known[dim][i]), f"{tflops(PREFILL[name].cost, problem, machine):.0f}"]
            moved = PREFILL["materialised"].cost(problem, machine).hbm_bytes
            rates.append(moved / (work / (PYTORCH_TFLOPS[dim][i] * 1e12)) / machine.sms)
            print(f"| {dim} | {length:,} | {' | '.join(cells)} |")
    stated = materialised.SM_BYTES_PER_S / 1e9
    print(f"\nPyTorch's rate an SM: median {np.median(rates) / 1e9:.2f} GB/s ({stated} stated).")


def tflops(schedule: Callable[..., Cost], problem: Problem, machine: Machine) -> float:
    """Return the rate by the figure's count of FLOPs: 3.5 times forward's."""
    return 7.0 * problem.dense_flops / schedule(problem, machine).seconds / 1e12


def decode_on_a100() -> None:
    """Print the two engines' decode at 32K keys."""
    machine = a100()
    print(
        "\n| decode, 32K keys, 8 heads, ms | batch 1 | 2 | 4 | 8 | 16 |\n|---|---|---|---|---|---|"
    )
    for name, (schedule, known) in DECODES.items():
        print(f"| {name}: measured | {' | '.join(f'{x:.2f}' for x in known)} |")
        ours = [schedule(decode(b, 8, 32768), machine).seconds * 1e3 for b in (1, 2, 4, 8, 16)]
        print(f"| schedule | {' | '.join(f'{x:.2f}' for x in ours)} |")
        errors = [f"{a / b - 1:+.1%}" for a, b in zip(ours, known, strict=True)]
        print(f"| error | {' | '.join(errors)} |")


def decode(batch: int, heads: int, keys: int) -> Problem:
    return Problem(batch, heads, heads, 128, 1, keys)


def lean_gains(folder: Path) -> None:
    """Print and draw Lean Attention's gain over no split and over splits."""
    machine = a100()
    others: dict[str, Callable[[Problem], Cost]] = {
        "no split": lambda p: unsplit(p, machine, RATES),
        f"{FIXED} splits": lambda p: flash_decoding(p, machine, FIXED, RATES),
        "splits that fill": lambda p: flash_decoding(p, machine, rates=RATES),
    }
    print(
        "\n| Lean Attention over | heads | " + " | ".join(f"{c // 1024}K" for c in CONTEXTS) + " |"
    )
    print("|---|---|" + "---|" * len(CONTEXTS))
    for i, (name, other) in enumerate(others.items()):
        curves: dict[str, Curve] = {}
        for heads in HEADS:
            problems = [decode(1, heads, keys) for keys in CONTEXTS]
            gains = [other(p).seconds / lean(p, machine).seconds for p in problems]
            curves[f"{heads} heads"] = CONTEXTS, gains
            print(f"| {name} | {heads} | {' | '.join(f'{g:.2f}' for g in gains)} |")
        mean = np.mean([g for _, ys in curves.values() for g in ys])
        print(f"| {name} | mean of all | {mean:.2f} |{' |' * (len(CONTEXTS) - 1)}")
        marks = {"2.6x, mean": 2.6, "8.33x, most": 8.33} if i == 0 else {"1.73x, mean": 1.73}
        file = folder / f"attention_schedules_lean_{i}.svg"
        draw(file, f"Lean Attention over {name}: A100, batch 1, heads of 128", curves, marks)


def fusemax() -> None:
    """Print FLAT and FuseMax beside the artifact."""
    machine = a100()
    print("\n| attention, s | FLAT | ours | FuseMax | ours |\n|---|---|---|---|---|")
    for (model, heads, dim, thousands), (flat_s, fused_s) in FUSEMAX.items():
        n = thousands * 1024
        problem = Problem(64, heads, heads, dim, n, n)
        ours = [SPATIAL[name].cost(problem, machine).seconds for name in ("flat", "fusemax")]
        print(f"| {model} {thousands}K | {flat_s} | {ours[0]:.7g} | {fused_s} | {ours[1]:.7g} |")
    for n, true in ((1024, 402653184), (65536, 38654705664), (2**20, 6803228196864)):
        ours_bytes = SPATIAL["fusemax"].cost(Problem(64, 12, 12, 64, n, n), machine).hbm_bytes
        print(f"| FuseMax, BERT {n // 1024}K, bytes | | | {true} | {ours_bytes:.0f} |")


def refit(tables: Path) -> None:
    """Fit the rates of both engines to the public rows of other heads."""
    import polars as pl
    from scipy.optimize import least_squares

    machine = a100()
    folder = tables_root(tables) / "a100_sxm" / "attention"
    for path, schedule, stated in (
        ("vllm/0.14.0", unsplit, VLLM_A100), ("trtllm/1.0.0", flash_decoding, TRTLLM_A100),
    ):  # fmt: skip
        rows = pl.read_parquet(folder / path / "generation_attention_perf.parquet").filter(
            (pl.col.num_heads == pl.col.num_key_value_heads) & (pl.col.num_heads != 8)
            & (pl.col.head_dim == 128) & (pl.col.step >= 4095)
            & (pl.col.kv_cache_dtype == "bfloat16")
        )  # fmt: skip
        shapes = rows.select("batch_size", "num_heads", pl.col("step") + 1).rows()
        problems = decode(*np.array(shapes, np.float64).T)
        true = np.log(rows["latency"].to_numpy() * 1e-3)

        def errors(x: np.ndarray, call=schedule, of=problems, y=true) -> np.ndarray:
            rates = Rates(*np.exp(x))
            return np.log(call(of, machine, rates=rates).seconds) - y

        start = np.log([1e-5, 2e10, 0.8])
        found = np.exp(least_squares(errors, start, loss="soft_l1", f_scale=0.05).x)
        median = np.median(np.abs(np.exp(errors(np.log(found))) - 1.0))
        print(f"\n{path}, {len(rows)} rows: {found}, median error {median:.1%}; stated {stated}")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("docs/results"))
@click.option("--tables", type=click.Path(path_type=Path), help="folder of the public tables")
def main(folder: Path, tables: Path | None) -> None:
    """Hold schedules against published numbers."""
    flash_attention()
    by_sram()
    constants()
    decode_on_a100()
    lean_gains(folder)
    fusemax()
    if tables:
        refit(tables)


if __name__ == "__main__":
    main()
