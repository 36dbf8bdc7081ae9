"""``tierlab show``: one thing, with every value's unit and source."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import near
from tierlab.simulator.cli import options


@click.command(
    epilog="""\b
Examples:
  tierlab show hardware h200-tiered
  tierlab show hardware ./my-gpu.toml
  tierlab show model Qwen2.5-7B-Instruct-1M
  tierlab show design baseline
  tierlab show policy retention/full --json
  tierlab show tiers sglang-hicache-timeout
  tierlab show transfers cpu.json
""",
)
@click.argument("kind")
@click.argument("name")
@options.as_json
def show(kind: str, name: str, as_json: bool) -> None:
    """Show NAME of KIND: hardware, model, design, policy, tiers, trace, or measured transfers."""
    if kind not in KINDS:
        raise BadInput("KIND", f"unknown kind {kind!r}", near(kind, KINDS))
    shown, text = KINDS[kind](name)
    click.echo(json.dumps(shown, indent=2, allow_nan=False) if as_json else text())


Shown = tuple[Any, Callable[[], str]]


def _hardware(name: str) -> Shown:
    from tierlab.simulator.showing import hardware

    return hardware(name)


def _model(name: str) -> Shown:
    from tierlab.simulator.showing import model

    return model(name)


def _design(name: str) -> Shown:
    from tierlab.simulator.showing import design

    return design(name)


def _policy(name: str) -> Shown:
    from tierlab.simulator.showing import policy

    return policy(name)


def _tiers(name: str) -> Shown:
    from tierlab.simulator.showing import tiers

    return tiers(name)


def _trace(name: str) -> Shown:
    from tierlab.simulator.showing import trace

    return trace(name)


def _transfers(name: str) -> Shown:
    from tierlab.simulator.showing import transfers

    return transfers(name)


KINDS: dict[str, Callable[[str], Shown]] = {
    "hardware": _hardware,
    "model": _model,
    "design": _design,
    "policy": _policy,
    "tiers": _tiers,
    "trace": _trace,
    "transfers": _transfers,
}
