"""The whole of it: a device measured into a file, resumed where it was cut short."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.measure import output as out
from tierlab.kernels.measure.journal import Journal, journal_of
from tierlab.kernels.measure.plan import BUDGETS, CPU, choose, kind_of, parts_of
from tierlab.kernels.measure.point import Part
from tierlab.kernels.measure.provenance import Facts, begin, cpu_facts, end
from tierlab.kernels.measure.run import Budget, Measured, Report, run

BUSY = 0.5
"""Load average a core from which a person is told that others use the machine."""
RESERVE_BYTES = 1500
"""Of a measurement, in journal and output together: free space asked for at the start."""


@dataclass(frozen=True)
class Request:
    """What is to be measured.

    Attributes
    ----------
    device
        ``cpu`` or ``cuda:N``.
    output
        The file, .json.
    quick
        Fewer points, in seconds.
    files
        Where files are measured; absent, the output's folder.
    only, skip
        Names of parts.
    name
        What the device is called in the catalogue; absent, what it calls itself.
    budget_s
        Seconds to measure for; absent, `BUDGETS` says.
    """

    device: str
    output: Path
    quick: bool = False
    files: Path | None = None
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    name: str | None = None
    budget_s: float | None = None


class Interrupted(KeyboardInterrupt):
    """Ctrl-C; the text says what is kept and where."""


def measure(
    request: Request,
    report: Report | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Measured:
    """Measure a device and write the file.

    Parameters
    ----------
    report
        Called with (measurements done, in all).
    tell
        Takes lines for a person.

    Raises
    ------
    BadInput
        The request cannot be met, or a file cannot be written; what was measured stays in the
        journal, and an earlier output stays as it was.
    Interrupted
        By Ctrl-C.
    """
    _check_output(request.output)
    kind, number = kind_of(request.device)
    if request.files and kind != CPU:
        raise BadInput("--files", "a GPU is measured without files", "--device cpu, or without it")
    facts = cpu_facts if kind == CPU else _gpu(number)
    parts = _parts(request)
    provenance = begin(facts)
    if request.name:
        provenance |= {"device": request.name, "device_says": provenance["device"]}
    budget = BUDGETS[kind, request.quick]
    if request.budget_s is not None:
        budget = replace(budget, total_s=request.budget_s)
    journal = _journal(request, parts, budget, provenance)
    try:
        return _measured(request, parts, budget, journal, provenance, report, tell)
    except KeyboardInterrupt:
        raise Interrupted(_kept(journal, "interrupted")) from None
    except BadInput as error:
        if journal.done:
            tell(_kept(journal, "stopped"))
        raise error
    finally:
        journal.close()


def _measured(
    request: Request,
    parts: Sequence[Part],
    budget: Budget,
    journal: Journal,
    provenance: Facts,
    report: Report | None,
    tell: Callable[[str], None],
) -> Measured:
    if provenance["load_average_at_begin"] > BUSY * provenance["cores"]:
        told = f"load average {provenance['load_average_at_begin']} on {provenance['cores']} cores"
        tell(f"other programs are running ({told}): what is measured holds their share too")
    if journal.done:
        tell(f"goes on after {len(journal.done)} measurements in {journal.path}")
    found = run(parts, budget, journal, report)
    for part, reason in found.skipped.items():
        tell(f"{part} left out: {reason}")
    if not found.rows:
        raise BadInput("--device", "nothing could be measured", "another part or device")
    whole = end(provenance) | ({"resumed_measurements": found.resumed} if found.resumed else {})
    out.write(request.output, out.dump(whole, found.skipped, found.rows))
    journal.remove()
    return found


def _check_output(output: Path) -> None:
    if output.suffix != ".json" or not output.parent.is_dir() or output.is_dir():
        raise BadInput("-o", f"cannot write {output}", "FILE.json in a folder that exists")


def _gpu(number: int) -> Callable[[], Facts]:
    from tierlab.kernels.measure.cuda.facts import gpu_facts, require_gpu

    require_gpu(number)
    return lambda: gpu_facts(number)


def _parts(request: Request) -> list[Part]:
    folder = request.files or request.output.parent
    where = "--files" if request.files else "-o"
    if not folder.is_dir():
        raise BadInput(where, f"no such folder: {folder}", "a folder")
    parts = parts_of(request.device, request.quick, folder, where)
    return choose(parts, request.only, request.skip)


def _journal(request: Request, parts: Sequence[Part], budget: Budget, provenance: Facts) -> Journal:
    keys = [point.key for part in parts for point in part.points()]
    identity: dict[str, Any] = {
        "device": provenance["device"],
        "cores": provenance.get("cores"),
        "versions": provenance["versions"],
        "files": str((request.files or request.output.parent).resolve()),
        "points": hashlib.sha256("".join(keys).encode()).hexdigest()[:16],
        "rounds": budget.rounds,
    }
    reserve = RESERVE_BYTES * len(keys) * budget.rounds
    return Journal(journal_of(request.output), identity, reserve)


def _kept(journal: Journal, what: str) -> str:
    if not journal.done:
        return f"{what}; nothing was measured yet, nothing is left behind"
    kept = f"{len(journal.done)} measurements are kept in {journal.path}"
    return f"{what}; {kept}; the same command goes on"
