"""What a design leaves of each request's context, as the compiled loop looks it up.

Tables go by the tokens that retention keeps; what the other axes make of so many tokens is the
footprint of the same design with everything retained.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.models.kv import KvGroup, kv_groups
from tierlab.policies.design import Design
from tierlab.policies.protocol import KvShape, Works
from tierlab.policies.registry import make_policy
from tierlab.simulator.serving.build import Parts
from tierlab.simulator.serving.engine.state import Kept
from tierlab.simulator.serving.reads import keys_read
from tierlab.simulator.serving.requests import Requests

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
KIB = 1024
_NO_INTS, _NO_FLOATS = np.zeros(0, np.int64), np.zeros(0)
_TRIED = 33
"""Prompts, and outputs, at which a retention is held against the loop's rule."""


def unpruned(design: Design) -> Design:
    """Return the design with everything retained: what the tokens that stay weigh and cost."""
    full = make_policy("retention", "full", {}, design.where)
    return replace(design, policies={**design.policies, "retention": full})


def prunes(design: Design) -> bool:
    """Return whether retention drops tokens."""
    return design.retention.declares.drops_after_write


def keep(parts: Parts, tp: int, requests: Requests) -> Kept:
    """Return what the loop looks up for these requests.

    Raises
    ------
    BadInput
        The retention keeps a number of tokens that the loop cannot follow.
    """
    design, whole = parts.design, unpruned(parts.design)
    groups, longest = kv_groups(parts.model, tp), parts.max_model_len + 1
    base, most = _NO_INTS, _NO_INTS
    if prunes(design):
        check_growth(design, groups, parts.max_model_len)
        prompt, end = requests.input_tokens, requests.input_tokens + requests.output_tokens
        base = kept_tokens(design, groups, prompt, prompt)
        most = kept_tokens(design, groups, prompt, end)
    keys = keys_read(parts.model, whole, tp, longest)
    reads_all = not prunes(design) and np.array_equal(keys[1:], np.arange(1, longest + 1))
    works = any(isinstance(policy, Works) for policy in design.policies.values())
    moved, far_bytes = _below(whole, groups, longest)
    far = _NO_INTS
    if len(moved):
        stays = most if prunes(design) else requests.input_tokens + requests.output_tokens
        needs = np.maximum(stays, requests.input_tokens)
        far = np.ceil(tp * far_bytes[np.minimum(needs, longest)] / KIB).astype(np.int64)
    return Kept(base, most, _NO_FLOATS if reads_all and not works else keys, moved, far_bytes, far)


def kept_tokens(design: Design, groups: tuple[KvGroup, ...], prompt: Ints, context: Ints) -> Ints:
    """Return the tokens that stay of contexts with such prompts, int64 like `context`.

    The most of all groups of layers; windows of other groups bind in their own footprints.
    """
    size = len(groups), len(context)
    came = np.broadcast_to(prompt, size)
    shape = KvShape(groups, np.broadcast_to(context, size), came)
    kept: Ints = np.ascontiguousarray(design.retention.footprint(shape).max(axis=0))
    return kept


def check_growth(design: Design, groups: tuple[KvGroup, ...], longest: int) -> None:
    """Refuse a retention that does not grow by each token until it is full, after the prompt.

    Raises
    ------
    BadInput
        It does not; with a prompt and an output where it does not.
    """
    points = np.unique(np.geomspace(1, max(longest // 2, 1), _TRIED).astype(np.int64))
    prompt, output = (a.ravel() for a in np.meshgrid(points, points))
    base = kept_tokens(design, groups, prompt, prompt)
    for later in (1, 2):
        end = kept_tokens(design, groups, prompt, prompt + output)
        middle = output // (2 * later)
        found = kept_tokens(design, groups, prompt, prompt + middle)
        wrong = np.flatnonzero(found != np.minimum(base + middle, end))
        if len(wrong):
            at = int(wrong[0])
            raise BadInput(
                f"{design.where}.retention",
                f"{design.retention.name!r} keeps {found[at]} tokens of a prompt of {prompt[at]} "
                f"after {middle[at]} more: neither one more each nor as many as in the end",
                "a retention that grows token by token until it is full; `tierlab plan` takes all",
            )


def _below(whole: Design, groups: tuple[KvGroup, ...], longest: int) -> tuple[Floats, Floats]:
    """Return what a decode brings to HBM, and what lies below it, by kept tokens, on one rank."""
    footprint = whole.footprint(groups, np.arange(longest + 1, dtype=np.int64))
    if not footprint.moved_bytes:
        return _NO_FLOATS, _NO_FLOATS
    moved = np.sum(list(footprint.moved_bytes.values()), axis=0)
    stored = footprint.stored_bytes
    far_bytes = np.sum([nbytes for tier, nbytes in stored.items() if tier != "hbm"], axis=0)
    return moved, far_bytes
