"""A KV design: one policy on each axis, composed and checked."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import as_path, near, pick, read_text
from tierlab.kernels.models.architecture import Model
from tierlab.kernels.models.kv import KvGroup
from tierlab.kernels.ops.table import Work
from tierlab.policies.composing import Footprint, calls_of, compose
from tierlab.policies.protocol import (
    AXES,
    Placement,
    Policy,
    Representation,
    Retention,
    Reuse,
    Selection,
    Tokens,
    Works,
)
from tierlab.policies.registry import make_policy
from tierlab.policies.rules import RULES

PRESETS = Path(__file__).parent / "presets"


@dataclass(frozen=True)
class Design:
    """One policy per axis.

    Raises
    ------
    BadInput
        The composition cannot work; the message gives the reason.
    """

    name: str
    policies: Mapping[str, Policy]
    where: str = "design"

    def __post_init__(self) -> None:
        for rule in RULES:
            reason = rule(self.policies)
            if reason:
                raise BadInput(self.where, reason, "another policy on one of these axes")

    @cached_property
    def retention(self) -> Retention:
        """The retention policy."""
        return cast("Retention", self.policies["retention"])

    @cached_property
    def representation(self) -> Representation:
        """The representation policy."""
        return cast("Representation", self.policies["representation"])

    @cached_property
    def selection(self) -> Selection:
        """The selection policy."""
        return cast("Selection", self.policies["selection"])

    @cached_property
    def placement(self) -> Placement:
        """The placement policy."""
        return cast("Placement", self.policies["placement"])

    @cached_property
    def reuse(self) -> Reuse:
        """The reuse policy."""
        return cast("Reuse", self.policies["reuse"])

    def footprint(
        self, groups: tuple[KvGroup, ...], context: Tokens, prompt: Tokens | None = None
    ) -> Footprint:
        """Compose the axes for sequences of `context` tokens, int64[n].

        Parameters
        ----------
        prompt
            int64[n], how many of them came with the prompt; absent, all.
        """
        return compose(self.policies, groups, context, prompt)

    def operations(
        self,
        model: Model,
        tp: int,
        prefill: bool,
        batch: ArrayLike,
        queries: ArrayLike,
        keys: ArrayLike,
        ends_prompt: ArrayLike = False,
    ) -> Work:
        """Return what the policies run beside the model's own operations, in n steps.

        Parameters
        ----------
        prefill
            Chunks of prompts, or decode steps of one query a sequence.
        batch, queries, keys, ends_prompt
            As in `AttentionCall`; they broadcast.
        """
        numbers = [np.atleast_1d(np.asarray(v, np.int64)) for v in (batch, queries, keys)]
        ends = np.atleast_1d(np.asarray(ends_prompt, np.bool_))
        steps = np.broadcast_arrays(*numbers, ends)
        works = [p for p in self.policies.values() if isinstance(p, Works)]
        calls = calls_of(model, tp, prefill, *steps) if works else []
        return Work.concat([policy.operations(call) for policy in works for call in calls])


def preset_names() -> dict[str, str]:
    """Return the shipped presets, name -> summary."""
    return {p.stem: str(_preset(p)["summary"]) for p in sorted(PRESETS.glob("*.toml"))}


def _preset(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(read_text(path, "--design"))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(str(path), f"broken TOML: {error}", "a preset of five axes") from None


def load_preset(name: str, where: str) -> tuple[str, dict[str, object]]:
    """Return a preset's name and its axes, by name or by path to one's own TOML.

    Raises
    ------
    BadInput
        No such preset, broken TOML, or a key that is no axis.
    """
    path = as_path(name, (".toml",)) or pick(
        name, {p.stem: p for p in sorted(PRESETS.glob("*.toml"))}, where, "design"
    )
    preset = _preset(path)
    for key in preset:
        if key not in (*AXES, "name", "summary", "paper"):
            raise BadInput(f"{path}, key {key}", "unknown key", near(key, AXES))
    axes = {axis: preset[axis] for axis in AXES if axis in preset}
    return str(preset.get("name", path.stem)), axes


def make_design(name: str, axes: Mapping[str, object], where: str) -> Design:
    """Make a design from each axis's policy name, or table with ``name`` and parameters.

    Axes that are not given take the baseline's: full, bf16, all, hbm, none.

    Raises
    ------
    BadInput
        Unknown policy or parameter, or a composition that cannot work.
    """
    baseline = {"retention": "full", "representation": "bf16", "selection": "all"}
    chosen = {**baseline, "placement": "hbm", "reuse": "none", **axes}
    policies = {}
    for axis in AXES:
        policy, parameters = _split(chosen[axis], f"{where}.{axis}")
        policies[axis] = make_policy(axis, policy, parameters, f"{where}.{axis}")
    return Design(name, policies, where)


def _split(value: object, where: str) -> tuple[str, dict[str, object]]:
    if isinstance(value, str):
        return value, {}
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return value["name"], {k: v for k, v in value.items() if k != "name"}
    raise BadInput(where, f"{value!r} names no policy", 'a name, or { name = "...", ... }')
