"""What was assumed, and where each number comes from, as the manifests keep it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tierlab.simulator.report.markup import details, paragraph, section, table, text
from tierlab.simulator.report.read import RunData, SweepData
from tierlab.simulator.sweep.figures import flat

_TITLES = {"prices": "Prices", "design": "KV design", "hardware": "Hardware, every quantity"}


def of_runs(runs: Sequence[RunData]) -> str:
    """Return the assumptions of runs; what several share stands once."""
    groups = _provenance([(run.name, run.manifest) for run in runs])
    scenarios = [_scenario(run.name, run.scenario) for run in runs]
    inputs = _inputs([(run.name, run.manifest) for run in runs])
    return section("sources", "Assumptions and sources", *groups, inputs, *scenarios)


def of_sweep(sweep: SweepData, number: int) -> str:
    """Return the assumptions of a sweep: its base, what varies, and its inputs."""
    manifest = sweep.manifest
    axes = table(
        ("key", "values"),
        [
            [text(key), text(_listed([row[i] for row in axis["rows"]]))]
            for axis in manifest.get("axes", [])
            for i, key in enumerate(axis["keys"])
        ],
    )
    parts = [
        paragraph("Of the first point; keys that vary change them."),
        *_provenance([(sweep.name, manifest)]),
        _inputs([(sweep.name, manifest)]),
        details("What varies", axes),
        _scenario("Base", manifest.get("scenario", {})),
    ]
    return section(f"sources{number}", "Assumptions and sources", *parts)


def _listed(values: Sequence[Any]) -> str:
    known = list(dict.fromkeys(json.dumps(value) for value in values))
    return ", ".join(known[:40]) + (f", ... {len(known)} values" if len(known) > 40 else "")


def _provenance(manifests: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    told = [m["provenance"] for _, m in manifests if isinstance(m.get("provenance"), dict)]
    if not told:
        yield paragraph("These results keep no sources; `tierlab show hardware NAME` prints them.")
    for group, title in _TITLES.items():
        rows = dict.fromkeys(
            (str(r["key"]), _value(r), str(r["source"])) for one in told for r in one.get(group, [])
        )
        body = table(("what", "value", "source"), [[text(c) for c in r] for r in rows], "sources")
        yield (
            (details(title, body) if group == "hardware" else f"<h3>{title}</h3>{body}")
            if rows
            else ""
        )


def _value(row: Mapping[str, Any]) -> str:
    value, unit = row["value"], row.get("unit", "")
    written = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return written if unit in ("", "1") else f"{written} {unit}"


def _inputs(manifests: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    rows = [
        [text(name), text(what), f"<code>{text(sha)}</code>"]
        for name, manifest in manifests
        for what, sha in manifest.get("inputs", {}).items()
    ]
    return details("Input files", table(("of", "file", "SHA-256"), rows, "sources")) if rows else ""


def _scenario(name: str, scenario: Mapping[str, Any]) -> str:
    rows = [
        [text(key), text("–" if value is None else value)]
        for key, value in flat(scenario)
        if value not in (None, "", "{}")
    ]
    return details(f"Scenario: {name}", table(("key", "value"), rows, "sources"))
