"""Fit attention's backward to what is published, and say how far it is from a GPU left out.

    python benchmarks/backward_attention.py [--write]

Reads published_backward.csv (`published_backward`), fits one set of constants for each schedule of
`hwmodels/time/silicon/backward.py`, leaves out each GPU in turn for the band, and prints the tables
of docs/results/backward_attention.md. With --write, the constants take their place in
hwmodels/calibration/datasheet.json, where all other kernels stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import click
import numpy as np
import published_backward as published
from attention_schedules import FLASH2_TFLOPS, GPT2, LENGTHS, a100, reference
from published_backward import Part
from scipy.optimize import least_squares

from tierlab.hwmodels.time.constants import STRATA_S
from tierlab.hwmodels.time.schedules.flash2 import flash2
from tierlab.hwmodels.time.schedules.problem import Problem
from tierlab.hwmodels.time.silicon import backward
from tierlab.hwmodels.time.silicon.calibration import ANY_DEVICE, Calibration, dump
from tierlab.hwmodels.time.silicon.fit import MOST_STEPS, NotConverged, minimise
from tierlab.hwmodels.time.silicon.fitted import Bands, Fitted
from tierlab.hwmodels.time.silicon.kernel import Floats, Values, stored
from tierlab.hwmodels.time.silicon.make import DATASHEET_FILE
from tierlab.hwmodels.time.silicon.measured import SEVERAL, KernelKey
from tierlab.hwmodels.time.silicon.spread import bands
from tierlab.kernels.ops.attention import backward_bytes, backward_flops
from tierlab.kernels.ops.table import OpTable

Fits = dict[str, tuple[Values, list[Part]]]


@dataclass(frozen=True)
class LeftOut:
    """What constants of other GPUs say of one: log(published / predicted), predicted s."""

    gpu: str
    errors: Floats
    predicted: Floats


def fit(parts: Sequence[Part], schedule: str) -> dict[str, float]:
    """Return a schedule's constants, as a file holds them."""
    values, _, converged = minimise(published.kernel(), list(parts), schedule, MOST_STEPS)
    if not converged:
        raise NotConverged(schedule)
    return {name: stored(value) for name, value in values.items()}


def errors(parts: Sequence[Part], schedule: str, values: Values) -> tuple[Floats, Floats]:
    """Return log(published / predicted) and the seconds predicted."""
    said = [published.seconds(m.ops, machine, schedule, values) for m, machine in parts]
    logs = [np.log(m.seconds / s) for (m, _), s in zip(parts, said, strict=True)]
    return np.concatenate(logs), np.concatenate(said)


def leave_out(parts: Sequence[Part], schedule: str, alike: Mapping[str, str]) -> list[LeftOut]:
    """Return what each GPU takes by constants of the others; those `alike` are left out as one."""
    of = [alike.get(machine.name, machine.name) for _, machine in parts]
    made = []
    for group in dict.fromkeys(of):
        unseen = [p for p, name in zip(parts, of, strict=True) if name == group]
        seen = [p for p, name in zip(parts, of, strict=True) if name != group]
        if seen:
            made.append(LeftOut(group, *errors(unseen, schedule, fit(seen, schedule))))
    return made


def cells(logs: Floats) -> str:
    """Return median, p90 and bias of errors, for a table."""
    size = np.abs(np.expm1(-logs))
    return " | ".join(
        f"{100 * v:.1f}%"
        for v in (np.median(size), np.quantile(size, 0.9), np.median(np.expm1(-logs)))
    )


def fitted(schedule: str, parts: Sequence[Part], values: Values, band: Bands) -> Fitted:
    """Return the kernel that a calibration holds."""
    at = [backward.coordinates(m.ops) for m, _ in parts]
    ranges = {
        name: (min(float(a[name].min()) for a in at), max(float(a[name].max()) for a in at))
        for name in at[0]
    }
    key = KernelKey(backward.OP, "bf16", "bf16", "flash-attention", SEVERAL, f"pooled {schedule}")
    names = "+".join(sorted({machine.name for _, machine in parts}))
    shapes = {tuple(row) for m, _ in parts for row in _groups(m.ops)}
    points = sum(len(m) for m, _ in parts)
    return Fitted(
        key, schedule, values, None, band, ranges, points, len(shapes),
        f"benchmarks/published_backward.csv: {names}",
    )  # fmt: skip


def _groups(ops: OpTable) -> list[list[float]]:
    columns = [ops[name] for name in ("heads", "kv_heads", "head_dim", "window")]
    return np.stack(columns, axis=1).tolist()


def report() -> list[Fitted]:
    """Print how far predictions are from what is published; return the kernels."""
    parts, made = published.read(), []
    left: dict[str, list[LeftOut]] = {}
    fits: Fits = {}
    for name, schedule in published.SCHEDULE.items():
        own = [p for p in parts if p[0].key.kernel == name]
        fits[schedule] = fit(own, schedule), own
        left[schedule] = leave_out(own, schedule, published.SAME)
        band = bands(*(np.concatenate([getattr(x, c) for x in left[schedule]])
                       for c in ("errors", "predicted")))  # fmt: skip
        made.append(fitted(schedule, own, fits[schedule][0], band))
    _left_out(left, fits)
    _each(fits)
    _held(fits)
    _both_ways(fits["fa2"][0])
    _bands(made)
    _roofline(parts)
    return made


def _left_out(left: dict[str, list[LeftOut]], fits: Fits) -> None:
    print("| schedule | left out | rows | median | p90 | bias |\n|---|---|---|---|---|---|")
    for schedule, found in left.items():
        for one in found:
            print(f"| {schedule} | {one.gpu} | {len(one.errors)} | {cells(one.errors)} |")
        every = np.concatenate([one.errors for one in found])
        print(f"| {schedule} | each in turn | {len(every)} | {cells(every)} |")
        for one in leave_out(fits[schedule][1], schedule, published.ARCHITECTURE):
            print(f"| {schedule} | all {one.gpu} | {len(one.errors)} | {cells(one.errors)} |")
        seen, _ = errors(fits[schedule][1], schedule, fits[schedule][0])
        print(f"| {schedule} | none (fitted) | {len(seen)} | {cells(seen)} |")
    every = np.concatenate([one.errors for found in left.values() for one in found])
    print(f"| all | each in turn | {len(every)} | {cells(every)} |")


def _each(fits: Fits) -> None:
    print("\n## Each source, fitted\n\nPredicted over published, in the order of the table.\n")
    _rows(fits)


def _held(fits: Fits) -> None:
    """Print what the constants say of times of which none is fitted."""
    parts = published.read(published.HELD)
    unseen = {
        schedule: (values, [p for p in parts if published.SCHEDULE[p[0].key.kernel] == schedule])
        for schedule, (values, _) in fits.items()
    }
    print("\n## Read after the fit\n")
    _rows(unseen)
    print("\n| schedule | GPU | rows | median | p90 | bias |\n|---|---|---|---|---|---|")
    for schedule, (values, own) in unseen.items():
        for name in dict.fromkeys(machine.name for _, machine in own):
            logs, _ = errors([p for p in own if p[1].name == name], schedule, values)
            print(f"| {schedule} | {name} | {len(logs)} | {cells(logs)} |")
    every = np.concatenate([errors(own, s, values)[0] for s, (values, own) in unseen.items()])
    print(f"| all | all | {len(every)} | {cells(every)} |")


def _rows(fits: Fits) -> None:
    print("| schedule | GPU | source | mask | heads | window | errors |")
    print("|---|---|---|---|---|---|---|")
    for schedule, (values, parts) in fits.items():
        for measured, machine in parts:
            logs, _ = errors([(measured, machine)], schedule, values)
            shown = ", ".join(f"{100 * e:+.0f}%" for e in np.expm1(-logs))
            ops, mask = measured.ops, "none" if published.full(measured) else "causal"
            heads = " / ".join(
                f"{h:.0f}:{g:.0f} of {d:.0f}" + (f", {v:.0f}" if v != d else "")
                for h, g, d, v in dict.fromkeys(zip(
                    ops["heads"], ops["kv_heads"], ops["head_dim"], ops["v_head_dim"], strict=True
                ))
            )  # fmt: skip
            print(
                f"| {schedule} | {machine.name} | {_short(measured.source)} | {mask} | {heads} "
                f"| {ops['window'][0]:.0f} | {shown} |",
            )  # fmt: skip


def _short(source: str) -> str:
    repository, _, path = source.partition(" benchmark/")
    return f"{repository} {path.split('/')[-1]}" if path else source


def _both_ways(values: Values) -> None:
    """Hold both directions against FlashAttention 2's README figure, of which nothing is fitted."""
    machine = a100()
    print("\n## Both directions on an A100\n")
    print("| heads of | tokens | published, ms | forward, schedule | backward | error |")
    print("|---|---|---|---|---|---|")
    for dim, rates in FLASH2_TFLOPS.items():
        for length, rate in zip(LENGTHS, rates, strict=True):
            problem = reference(dim, length)
            true = 7.0 * problem.dense_flops / rate / 1e9
            forward = flash2(replace(problem, backward=False), machine).seconds * 1e3
            back = _back_ms(problem, values, full=True)
            error = (forward + back) / true - 1.0
            row = f"{dim} | {length:,} | {true:.2f} | {forward:.2f} | {back:.2f} | {error:+.1%}"
            print(f"| {row} |")
    problem = replace(GPT2, causal=True, dropout=False, mask="none")
    forward = flash2(replace(problem, backward=False), machine).seconds * 1e3
    back = _back_ms(problem, values, full=False)
    print(
        f"\nGPT-2 medium (64 x 16 heads of 64, 1,024 tokens, causal): backward {back:.2f} ms, "
        f"{back / (forward + back):.0%} of both directions; FlashAttention 1 took 7.3 ms for both."
    )


def _back_ms(problem: Problem, values: Values, *, full: bool) -> float:
    names = ("batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim")
    shape = {name: getattr(problem, name) for name in names}
    ops = OpTable.build(backward.OP, "bf16", "bf16", **shape)
    return float(backward.timed(ops, a100(), "fa2", values, full=full)[0]) * 1e3


def _bands(made: Sequence[Fitted]) -> None:
    print("\n## Bands\n\n| schedule | under 20 us | 20-100 us | over 100 us |\n|---|---|---|---|")
    for one in made:
        pairs = zip(one.bands.p10, one.bands.p90, strict=True)
        shown = " | ".join(f"{low - 1:+.0%} to {high - 1:+.0%}" for low, high in pairs)
        print(f"| {one.schedule} | {shown} |")


def _roofline(parts: Sequence[Part]) -> None:
    """Print the roofline's constants, of the H200's causal rows, and how far others are off."""
    own = [(m, v) for m, v in parts if published.SCHEDULE[m.key.kernel] == backward.engine(v)
           and not published.full(m)]  # fmt: skip
    work = {v.name: [] for _, v in own}
    for m, v in own:
        limits = backward_flops(m.ops) / v.peak("bf16"), backward_bytes(m.ops) / v.bytes_per_s
        work[v.name].append(np.stack([*limits, m.seconds]))
    known = {name: np.concatenate(found, axis=1) for name, found in work.items()}

    def logs(x: Floats, at: Floats) -> Floats:
        e_compute, e_memory, fixed_s = np.exp(x)
        return np.log(at[2] / (np.maximum(at[0] / e_compute, at[1] / e_memory) + fixed_s))

    start, low, high = np.log([[0.5, 0.5, 3e-5], [0.05, 0.05, 1e-6], [1.0, 1.0, 1e-3]])
    found = least_squares(
        logs, start, bounds=(low, high), loss="soft_l1", f_scale=0.05, args=(known["H200"],)
    )  # fmt: skip
    others = np.concatenate([logs(found.x, at) for name, at in known.items() if name != "H200"])
    p10, p90 = np.exp(np.quantile(others, [0.1, 0.9]))
    e_compute, e_memory, fixed_s = np.exp(found.x)
    mine = np.abs(np.expm1(-logs(found.x, known["H200"])))
    print(
        f"\n## The roofline\n\nOn the H200's {len(mine)} causal rows: e_compute {e_compute:.3f}, "
        f"e_memory {e_memory:.3f}, fixed {fixed_s * 1e6:.1f} us, median error "
        f"{np.median(mine):.1%}. Other GPUs take {p10:.2f} to {p90:.2f} times what it says "
        f"({len(others)} rows, 10% to 90%); no row is under {STRATA_S[1] * 1e6:.0f} us.",
    )  # fmt: skip


def append(made: Sequence[Fitted]) -> None:
    """Put kernels into the datasheet's file; all others stay as they are, byte by byte."""
    text = DATASHEET_FILE.read_text(encoding="utf-8")
    head, *lines = text.removesuffix("\n]}\n").split("\n ")
    kept = [x.rstrip(",") for x in lines if f'"op":"{backward.OP}"' not in x]
    new = dump(Calibration(ANY_DEVICE, "", tuple(made))).removesuffix("\n]}\n").split("\n ")[1:]
    whole = head + "\n " + ",\n ".join([*kept, *(x.rstrip(",") for x in new)]) + "\n]}\n"
    DATASHEET_FILE.write_text(whole, encoding="utf-8")


@click.command()
@click.option("--write", is_flag=True, help="put the constants into datasheet.json")
def main(write: bool) -> None:
    """Fit attention's backward and print how far it is from what is published."""
    made = report()
    if write:
        append(made)


if __name__ == "__main__":
    main()
