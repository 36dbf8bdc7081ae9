"""The page: its head with the answer, then what was read, section by section."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files

from tierlab.simulator.pages.document import document
from tierlab.simulator.report import runs as run_sections
from tierlab.simulator.report import sources
from tierlab.simulator.report import sweeps as sweep_sections
from tierlab.simulator.report.markup import text
from tierlab.simulator.report.read import RunData, SweepData
from tierlab.simulator.report.words import run_headline, sweep_headline


def page(runs: Sequence[RunData], sweeps: Sequence[SweepData]) -> str:
    """Return the page; equal results give equal bytes."""
    here = files("tierlab.simulator.report")
    style, script = ((here / f"page.{end}").read_text("utf-8") for end in ("css", "js"))
    title = _title(runs, sweeps)
    parts = [*_runs(runs), *_sweeps(sweeps, alone=not runs and len(sweeps) == 1)]
    body = f"<main><header><h1>{text(title)}</h1>{''.join(parts)}</main>"
    return document(title, body, style=style, foot=script)


def _title(runs: Sequence[RunData], sweeps: Sequence[SweepData]) -> str:
    titles = [run.scenario.get("title") or "" for run in runs]
    titles += [sweep.manifest.get("title") or "" for sweep in sweeps]
    known = list(dict.fromkeys(title for title in titles if title))
    if len(known) == 1:
        return str(known[0])
    if len(runs) + len(sweeps) == 1:
        return (runs[0].name if runs else sweeps[0].name) + ": what it would do"
    return f"{len(runs) + len(sweeps)} results side by side"


def _runs(runs: Sequence[RunData]) -> Iterator[str]:
    if not runs:
        return
    yield _answer(run_headline(runs))
    yield f'<p class="from">{text(_of_runs(runs))}</p></header>'
    yield from run_sections.sections(runs)
    yield sources.of_runs(runs)


def _sweeps(sweeps: Sequence[SweepData], alone: bool) -> Iterator[str]:
    for number, sweep in enumerate(sweeps):
        title = sweep.manifest.get("title") or sweep.name
        yield "" if alone else f"<header><h1>{text(title)}</h1>"
        yield _answer(sweep_headline(sweep.choice))
        yield f'<p class="from">{text(_of_sweep(sweep))}</p></header>'
        yield from sweep_sections.sections(sweep, number)
        yield sources.of_sweep(sweep, number)


def _answer(sentences: Sequence[str]) -> str:
    first, *rest = sentences
    more = "".join(f"<p>{text(sentence)}</p>" for sentence in rest)
    return f'<div class="answer"><p class="first">{text(first)}</p>{more}</div>'


def _of_runs(runs: Sequence[RunData]) -> str:
    first = runs[0]
    systems = ", ".join(dict.fromkeys(str(r.manifest["resolved"].get("system")) for r in runs))
    models = ", ".join(dict.fromkeys(str(r.manifest["resolved"].get("model")) for r in runs))
    number = f"{len(runs)} runs" if len(runs) > 1 else "One run"
    times = ", ".join(dict.fromkeys(str(r.manifest["resolved"].get("time_model")) for r in runs))
    return (
        f"{number} of {models} on {systems}; {first.summary['requests']:,} requests from "
        f"{_workload(first)}; times from {times}; "
        f"tierlab {first.manifest['tierlab']}, seed {first.manifest.get('seed')}."
    )


def _workload(run: RunData) -> str:
    work = run.scenario.get("workload", {})
    if work.get("trace"):
        return f"the log {str(work['trace']).rpartition('/')[2]}"
    return f"the generator {work.get('generator')}"


def _of_sweep(sweep: SweepData) -> str:
    manifest, choice = sweep.manifest, sweep.choice
    axes = " × ".join(f"{len(a['rows'])} {' + '.join(a['keys'])}" for a in manifest["axes"])
    kind = "plans" if manifest.get("plan") is not None else "simulated points"
    number = f"{len(choice.points):,} {kind}"
    return f"Sweep {sweep.name}: {axes} = {number}; tierlab {manifest['tierlab']}."
