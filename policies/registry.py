"""The policies by axis and name, and how one is made from a scenario's words.

Adding a policy is one file and one line here. A policy outside the project is named by the
path of a Python file that defines ``POLICY``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import as_path, near, pick
from tierlab.kernels.base.plugins import load_plugin
from tierlab.policies.protocol import FAMILIES, Policy

POLICIES: dict[str, dict[str, str]] = {
    "retention": {
        "full": "tierlab.policies.retention.full:Full",
        "sink-window": "tierlab.policies.retention.sink_window:SinkWindow",
        "h2o": "tierlab.policies.retention.h2o:H2O",
        "snapkv": "tierlab.policies.retention.snapkv:SnapKV",
    },
    "representation": {
        "bf16": "tierlab.policies.representation.bf16:Bf16",
        "fp8": "tierlab.policies.representation.fp8:Fp8",
        "kivi-4": "tierlab.policies.representation.kivi:Kivi4",
        "kivi-2": "tierlab.policies.representation.kivi:Kivi2",
    },
    "selection": {
        "all": "tierlab.policies.selection.everything:Everything",
        "topk-blocks": "tierlab.policies.selection.topk_blocks:TopkBlocks",
    },
    "placement": {
        "hbm": "tierlab.policies.placement.hbm:Hbm",
        "host": "tierlab.policies.placement.host:HostMemory",
        "ssd": "tierlab.policies.placement.ssd:Flash",
    },
    "reuse": {
        "none": "tierlab.policies.reuse.nothing:Nothing",
        "lru": "tierlab.policies.reuse.lru:Lru",
        "fifo": "tierlab.policies.reuse.fifo:Fifo",
        "lfu": "tierlab.policies.reuse.lfu:Lfu",
        "sieve": "tierlab.policies.reuse.sieve:Sieve",
        "s3-fifo": "tierlab.policies.reuse.s3fifo:S3Fifo",
        "arc": "tierlab.policies.reuse.arc:Arc",
        "2q": "tierlab.policies.reuse.twoq:TwoQ",
        "slru": "tierlab.policies.reuse.slru:Slru",
        "gdsf": "tierlab.policies.reuse.gdsf:Gdsf",
        "ttl": "tierlab.policies.reuse.ttl:Ttl",
        "belady": "tierlab.policies.reuse.belady:Belady",
    },
    "loading": {
        "always_load": "tierlab.policies.loading.always_load:AlwaysLoad",
        "always_recompute": "tierlab.policies.loading.always_recompute:AlwaysRecompute",
        "cheaper": "tierlab.policies.loading.cheaper:Cheaper",
        "budgeted": "tierlab.policies.loading.budgeted:Budgeted",
    },
}


def policy_class(axis: str, name: str, where: str) -> type[Policy]:
    """Return the class called `name` on an axis, or the one that a file defines.

    Raises
    ------
    BadInput
        No such policy, a file that does not define one, or one of another axis.
    """
    path = as_path(name, (".py",))
    if path is not None:
        found: type[Policy] = load_plugin(path, "POLICY", where)
    else:
        module, attribute = pick(name, POLICIES[axis], where, f"{axis} policy").split(":")
        found = getattr(importlib.import_module(module), attribute)
    _check_class(found, axis, where, name)
    return found


def _check_class(found: Any, axis: str, where: str, name: str) -> None:
    needed = ("axis", "name", "paper", "declares", "footprint", "statistics", "decide")
    missing = [a for a in needed if not hasattr(found, a)]
    if missing or not is_dataclass(found):
        lacks = ", ".join(missing) or "@dataclass"
        raise BadInput(where, f"policy {name!r} lacks {lacks}", "see CONTRIBUTING, Add a policy")
    if getattr(found, "axis", None) != axis:
        other = getattr(found, "axis", None)
        raise BadInput(where, f"policy {name!r} is of the axis {other!r}", f"one of axis {axis}")


def make_policy(axis: str, name: str, parameters: Mapping[str, object], where: str) -> Policy:
    """Make a policy with its parameters.

    Raises
    ------
    BadInput
        Unknown policy or parameter, or a parameter that the policy refuses.
    """
    cls: Any = policy_class(axis, name, where)
    known = {f.name for f in fields(cls)}
    for key in parameters:
        if key not in known:
            accepted = near(key, known) if known else f"none: {name} has no parameters"
            raise BadInput(where, f"unknown parameter {key!r} of {axis} {name!r}", accepted)
    try:
        made: Policy = cls(**parameters)
    except (TypeError, ValueError) as error:
        raise BadInput(where, f"{axis} {name!r}: {error}", "values in the policy's range") from None
    return made


def policy_names() -> dict[str, tuple[str, str]]:
    """Return every policy as ``axis/name`` -> (axis, first line of its class's docstring)."""
    out = {}
    for axis in FAMILIES:
        for name in POLICIES[axis]:
            summary = (policy_class(axis, name, "policies").__doc__ or "").strip().splitlines()
            out[f"{axis}/{name}"] = (axis, summary[0] if summary else "")
    return out
