"""What fits and how fast it can be, without simulating: memory, largest sizes, single steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.times import Times, launched
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.models.kv import kv_groups
from tierlab.kernels.models.step import decode_work, dense_work, prefill_work
from tierlab.kernels.models.weights import active_parameters, parameters
from tierlab.kernels.ops.table import OpTable, Work
from tierlab.policies.composing import as_keys
from tierlab.simulator.phase import Phase, entry, time_of
from tierlab.simulator.placed import most_in_tiers, moved_s, with_moves_s
from tierlab.simulator.scenario.schema import Scenario
from tierlab.simulator.serving.build import Parts, build
from tierlab.simulator.serving.graphs import REGIMES, cuda_graphs
from tierlab.simulator.serving.hosttime import Launches
from tierlab.simulator.serving.timers import host_time


def plan(scenario: Scenario, context: int, batch: int | None) -> dict[str, Any]:
    """Return what fits and how long prefill and decode take.

    Parameters
    ----------
    context
        Tokens of each request.
    batch
        Requests that decode together; the largest that fits when None.

    Raises
    ------
    BadInput
        The context is longer than the model's, or the model does not fit.
    """
    parts = build(scenario)
    if context > parts.max_model_len:
        raise BadInput(
            "--context",
            f"{context} tokens, but {parts.model.name} takes {parts.max_model_len}",
            f"1 to {parts.max_model_len}; engine.max_model_len overrides",
        )
    most = int(parts.pool.capacity_bytes // parts.pool.bytes_for(context))
    most = most_in_tiers(parts, scenario.engine.tensor_parallel_size, context, most)
    fits = most >= (batch or 1)
    size = min(batch or max(most, 1), 2**20)
    prefilling, decoding = _both(parts, scenario, context, size)
    return {
        "model": parts.model.name,
        "hardware": parts.system.name,
        "design": parts.design.name,
        "time_model": parts.times.name,
        "context": context,
        "batch": size,
        "fits": fits,
        "largest_batch": most,
        "largest_context": parts.pool.tokens_within(parts.pool.capacity_bytes / (batch or 1)),
        "parameters": parameters(parts.model),
        "active_parameters": active_parameters(parts.model),
        "mixture_of_experts": parts.model.routing is not None,
        "expert_routing": parts.model.routing,
        "memory": dict(parts.memory.terms()),
        "kv": _kv(parts, scenario, context),
        "prefill": prefilling,
        "decode": decoding,
    }


def _kv(parts: Parts, scenario: Scenario, context: int) -> dict[str, Any]:
    pool = parts.pool
    groups = kv_groups(parts.model, scenario.engine.tensor_parallel_size)
    two = parts.design.footprint(groups, np.array([context, context + 1]))
    stored = parts.design.footprint(groups, np.array([1])).stored_bytes
    return {
        "bytes_per_token": float(sum(v[0] for v in stored.values())),
        "bytes_of_context": float(sum(v[0] for v in two.stored_bytes.values())),
        "capacity_bytes": pool.capacity_bytes,
        "capacity_tokens": pool.num_blocks * pool.block_size,
        "num_gpu_blocks": pool.num_blocks,
        "block_bytes": pool.block_bytes,
        "block_size": pool.block_size,
    }


@dataclass(frozen=True, eq=False)
class Steps:
    """Steps of one kind.

    Attributes
    ----------
    work
        Their operations.
    tokens
        int64[steps], of each.
    sequences
        Of each.
    decodes_only
        Whether they are decodes alone.
    """

    work: Work
    tokens: NDArray[np.int64]
    sequences: int
    decodes_only: bool


def timed(
    parts: Parts, scenario: Scenario, asked: Sequence[Steps]
) -> list[tuple[Phase, dict[str, Any]]]:
    """Return the time of each of some steps, and how they last and are launched.

    The time model is asked once for all of them: of a few rows, a call is what costs.
    """
    times = parts.times.predict(OpTable.concat(steps.work.ops for steps in asked))
    ends = np.cumsum([len(steps.work.ops) for steps in asked])
    each = [times.rows(end - len(s.work.ops), end) for s, end in zip(asked, ends, strict=True)]
    return [
        (time_of(parts, steps.work, one), _lasting(parts, scenario, steps, one))
        for steps, one in zip(asked, each, strict=True)
    ]


def _both(
    parts: Parts, scenario: Scenario, context: int, batch: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return prefill of a request, and a decode step with the copies that the design makes."""
    asked = [prefill(parts, scenario, context), decode(parts, scenario, context, batch)]
    (first, filling), (second, step) = timed(parts, scenario, asked)
    rate = context / filling["step_s"]
    made = {**entry(first), **filling, "chunks": len(asked[0].tokens), "tokens_per_s": rate}
    copies_s = moved_s(parts, scenario.engine.tensor_parallel_size, context, batch)
    tpot_s = with_moves_s(parts, step["step_s"], copies_s)
    step |= {"copies_s": copies_s, "step_s": tpot_s}
    return made, {**entry(second), **step, "tokens_per_s": batch / tpot_s, "tpot_s": tpot_s}


def prefill(parts: Parts, scenario: Scenario, context: int) -> Steps:
    """Return prefill of one request alone, in chunks of the token budget."""
    tp, budget = scenario.engine.tensor_parallel_size, scenario.engine.max_num_batched_tokens
    ends = np.minimum(np.arange(budget, context + budget, budget), context).astype(np.int64)
    chunks = np.diff(ends, prepend=0)
    kv_dtype = parts.design.representation.kv_dtype
    weights = scenario.model.weights
    work = Work.concat(
        [
            launched(parts.times, prefill_work(parts.model, tp, kv_dtype, chunks, ends, weights)),
            parts.design.operations(parts.model, tp, True, 1, chunks, ends, ends == context),
            _dense(parts, scenario, chunks, np.ones_like(chunks), False),
        ]
    )
    return Steps(work, chunks, 1, False)


def decode(parts: Parts, scenario: Scenario, context: int, batch: int) -> Steps:
    """Return one decode step of `batch` requests of `context` tokens each."""
    tp, model = scenario.engine.tensor_parallel_size, parts.model
    one = np.array([batch], np.int64)
    kv_dtype = parts.design.representation.kv_dtype
    groups = kv_groups(model, tp)
    footprint = parts.design.footprint(groups, np.array([context]))
    kept = footprint.kept_tokens.max(initial=0)
    keys = as_keys(footprint, groups, kv_dtype)
    work = Work.concat(
        [
            launched(parts.times, decode_work(model, tp, kv_dtype, one, keys, np.zeros(1))),
            parts.design.operations(model, tp, False, batch, 1, kept),
            _dense(parts, scenario, one, one, True),
        ]
    )
    return Steps(work, one, batch, True)


def _dense(
    parts: Parts,
    scenario: Scenario,
    tokens: NDArray[np.int64],
    logits: NDArray[np.int64],
    decodes_only: bool,
) -> Work:
    """Return what depends on the numbers of tokens, padded, and of sequences."""
    engine = scenario.engine
    padded = cuda_graphs(engine).padded(tokens, decodes_only)
    weights, tp = scenario.model.weights, engine.tensor_parallel_size
    work = dense_work(parts.model, weights, tp, padded, logits, engine.sampling)
    return launched(parts.times, work)


def _lasting(parts: Parts, scenario: Scenario, steps: Steps, times: Times) -> dict[str, Any]:
    """Return how long the steps last with the host's share, and how the largest is launched."""
    tokens, sequences, decodes_only = steps.tokens, steps.sequences, steps.decodes_only
    host, graphs = host_time(scenario, parts), cuda_graphs(scenario.engine)
    device_s = steps.work.per_step(times.seconds, len(tokens))
    most = int(tokens.max())
    regime = int(graphs.regime(most, decodes_only))
    count = Launches.of(
        parts.model, scenario.model.weights, scenario.engine.tensor_parallel_size
    ).number(regime, decodes_only)
    lasts_s = device_s
    if host is not None:
        beside_s = host.beside_s(sequences) + host.launch_s(tokens, decodes_only)
        lasts_s = host.before_s(sequences) + np.maximum(device_s, beside_s)
    return {
        "step_s": float(lasts_s.sum()),
        "device_s": float(device_s.sum()),
        "host_work_s": float(host.work_s(sequences)) * len(tokens) if host else 0.0,
        "host_launch_s": float(host.launch_s(tokens, decodes_only).sum()) if host else 0.0,
        "host_overlaps": scenario.engine.async_scheduling,
        "regime": REGIMES[regime],
        "padded_tokens": int(graphs.padded(most, decodes_only)),
        "kernel_launches": int(count[0]),
        "graph_launches": count[1] + count[2],
    }
