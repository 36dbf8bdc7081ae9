"""``tierlab list``: everything that can be named."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable

import click

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import near
from tierlab.simulator.cli.columns import columns

Rows = list[tuple[str, str, str]]


def _hardware() -> Rows:
    from tierlab.hwmodels.catalogue import hardware_names

    return [(name, kind, summary) for name, (kind, summary) in hardware_names().items()]


def _plain(source: str, kind: str) -> Callable[[], Rows]:
    def rows() -> Rows:
        module, function = source.split(":")
        names = getattr(importlib.import_module(module), function)()
        return [(name, kind, summary) for name, summary in names.items()]

    return rows


def _policies() -> Rows:
    from tierlab.policies.registry import policy_names

    return [(name, axis, summary) for name, (axis, summary) in policy_names().items()]


def _loaded(source: str, kind: str) -> Callable[[], Rows]:
    """Rows of a registry ``module:TABLE`` whose module's `load` gives things with a summary."""

    def rows() -> Rows:
        module, table = source.split(":")
        home = importlib.import_module(module)
        return [(name, kind, home.load(name).summary) for name in getattr(home, table)]

    return rows


def _operations() -> Rows:
    from tierlab.kernels.ops.registry import OPERATIONS

    return [(name, "operation", op.summary) for name, op in OPERATIONS.items()]


def _times() -> Rows:
    from tierlab.hwmodels.time.registry import TIME_MODELS

    return [(name, "time model", made.__doc__ or "") for name, made in TIME_MODELS.items()]


def _schedules() -> Rows:
    from tierlab.hwmodels.time.schedules.registry import SCHEDULES, op_of

    return [(name, op_of(name), one.summary) for name, one in SCHEDULES.items()]


def _keys() -> Rows:
    from tierlab.simulator.scenario.keys import keys

    return list(keys())


KINDS: dict[str, Callable[[], Rows]] = {
    "hardware": _hardware,
    "models": _plain("tierlab.kernels.models.load:model_names", "model"),
    "designs": _plain("tierlab.policies.design:preset_names", "design"),
    "policies": _policies,
    "tiers": _plain("tierlab.simulator.tiers.preset:tier_preset_names", "tiers preset"),
    "traces": _loaded("tierlab.traces.readers.registry:READERS", "format"),
    "generators": _loaded("tierlab.traces.synth.registry:GENERATORS", "generator"),
    "kernels": _operations,
    "times": _times,
    "schedules": _schedules,
    "keys": _keys,
}


THINGS = [kind for kind in KINDS if kind != "keys"]
"""What a bare ``list`` shows; keys need the schema, which takes its time to import."""


@click.command(
    "list",
    epilog="""\b
Examples:
  tierlab list
  tierlab list hardware
  tierlab list models --json
""",
)
@click.argument("kind", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_names(kind: str | None, as_json: bool) -> None:
    """List what can be named.

    KIND is hardware, models, designs, policies, tiers (presets), traces (log formats),
    generators, kernels (operations), times (time models), schedules (of attention) or keys (of a
    scenario: default, meaning); all when absent.
    """
    if kind is not None and kind not in KINDS:
        raise BadInput("KIND", f"unknown kind {kind!r}", near(kind, KINDS))
    found = {k: KINDS[k]() for k in ([kind] if kind else THINGS)}
    if as_json:
        click.echo(
            json.dumps({k: [_entry(r) for r in rows] for k, rows in found.items()}, indent=2)
        )
        return
    for k, rows in found.items():
        if kind is None:
            click.echo(f"{k}:")
        click.echo(columns(rows, indent=2 if kind is None else 0))


def _entry(row: tuple[str, str, str]) -> dict[str, str]:
    return dict(zip(("name", "kind", "summary"), row, strict=True))
