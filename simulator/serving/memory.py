"""Where GPU memory goes, term by term, and what is left for the KV cache.

KV bytes = utilisation x memory the driver reports - weights - activation peak - what is
outside the framework's allocator (CUDA context, collectives) - graph pools. vLLM profiles the
activation peak by a run at the token budget; here it is the largest of the tensors that are
alive together. Graph pools count from vLLM 0.21 on; earlier ones record after the KV cache is
sized, in what `gpu_memory_utilization` leaves (``VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.units import gib
from tierlab.kernels.models.architecture import Mlp, Model, Moe
from tierlab.kernels.models.kv import kv_groups, state_bytes
from tierlab.kernels.models.weights import weight_bytes
from tierlab.policies.design import Design
from tierlab.simulator.scenario.schema import EngineSection

NON_TORCH_BYTES = 0.909e9
"""CUDA context and cuBLAS workspaces of one GPU.

Source: the vLLM 0.19.0 run of Llama-3.1-8B on an RTX 4090 (casys-kaist/LLMServingSim, MIT):
2,588 blocks of 2 MiB in 0.9 x 25,250,627,584 B leave 1.24e9 B beside the weights, of which
`activation_bytes` explains 0.33e9. One machine's figure: a scenario overrides it with
``engine.non_torch_bytes``.
"""


@dataclass(frozen=True)
class GpuMemory:
    """The memory of one GPU of a replica, in bytes, term by term."""

    device_bytes: float
    usable_bytes: float
    weights_bytes: float
    activation_bytes: float
    non_torch_bytes: float
    graph_bytes: float

    @property
    def kv_bytes(self) -> float:
        """What is left for the KV cache; negative where the model does not fit."""
        outside = self.non_torch_bytes + self.graph_bytes
        return self.usable_bytes - self.weights_bytes - self.activation_bytes - outside

    def terms(self) -> Iterator[tuple[str, float]]:
        """Yield every term with its sign in the formula, then the rest."""
        signs = {"usable_bytes": 1.0, "device_bytes": 1.0}
        for field in fields(self):
            yield field.name, signs.get(field.name, -1.0) * getattr(self, field.name)
        yield "kv_bytes", self.kv_bytes


def activation_bytes(model: Model, tp: int, tokens: int, sequences: int) -> float:
    """Peak of the tensors alive together in one step, in bytes on one GPU.

    The larger of a feed-forward layer at the token budget (residual, its input, gate and up
    together, their product; bf16) and sampling (logits in bf16, in fp32, and sorted copy).
    """
    wide = max((_ffn_width(layer.ffn) for layer in model.layers), default=0.0)
    feed_forward = 2.0 * tokens * (2 * model.hidden + 3 * wide / tp)
    sampling = sequences * model.vocab * (2.0 + 4.0 + 4.0)
    return max(feed_forward, sampling)


def _ffn_width(ffn: object) -> float:
    if isinstance(ffn, Mlp):
        return float(ffn.intermediate)
    if isinstance(ffn, Moe):
        return float(ffn.intermediate * ffn.top_k)
    return 0.0


def gpu_memory(model: Model, weights: str, device_bytes: float, engine: EngineSection) -> GpuMemory:
    """Apply the formula to one GPU of a replica."""
    tp = engine.tensor_parallel_size
    outside = engine.non_torch_bytes
    return GpuMemory(
        device_bytes=device_bytes,
        usable_bytes=engine.gpu_memory_utilization * device_bytes,
        weights_bytes=weight_bytes(model, weights, tp),
        activation_bytes=activation_bytes(
            model, tp, engine.max_num_batched_tokens, engine.max_num_seqs
        ),
        non_torch_bytes=NON_TORCH_BYTES if outside is None else outside,
        graph_bytes=0.0 if engine.cudagraph_mode == "none" else engine.cudagraph_memory_bytes,
    )


@dataclass(frozen=True, eq=False)
class KvPool:
    """The KV cache of one GPU: how many bytes, and what a request of t tokens takes of them.

    A request takes whole blocks in every group of layers of one shape (a windowed group only
    its window's), plus the constant state of its recurrent layers.
    """

    capacity_bytes: float
    block_size: int
    longest: int
    table: np.ndarray

    @cached_property
    def block_bytes(self) -> float:
        """Bytes of the first block of a request, its constant state left out."""
        return float(self.table[1] - self.table[0]) if len(self.table) > 1 else 0.0

    @property
    def num_blocks(self) -> int:
        """Blocks that the pool holds."""
        return int(self.capacity_bytes // self.block_bytes) if self.block_bytes else 0

    def bytes_for(self, tokens: int) -> float:
        """Bytes that a request of so many tokens takes."""
        return float(self.table[-(-tokens // self.block_size)])

    def tokens_within(self, nbytes: float) -> int:
        """Return the most tokens that fit in so many bytes, whole blocks."""
        blocks = int(np.searchsorted(self.table, nbytes, side="right")) - 1
        return max(0, min(blocks * self.block_size, self.longest))


def kv_pool(
    model: Model, memory: GpuMemory, engine: EngineSection, design: Design, longest: int
) -> KvPool:
    """Make the pool for requests of up to `longest` tokens.

    Raises
    ------
    BadInput
        The weights leave no room for a single block.
    """
    size, tp = engine.block_size, engine.tensor_parallel_size
    blocks = np.arange(-(-longest // size) + 1, dtype=np.int64) * size
    footprint = design.footprint(kv_groups(model, tp), blocks)
    held = np.asarray(footprint.stored_bytes["hbm"]) + footprint.staged_bytes
    # Quantising a full residual window frees bytes, but the request had to have them once.
    table = np.maximum.accumulate(held) + state_bytes(model, tp)
    capacity = memory.kv_bytes
    if engine.num_gpu_blocks is not None:
        capacity = engine.num_gpu_blocks * float(table[1] - table[0])
    if capacity < table[1]:
        raise BadInput(
            "--hardware",
            f"{model.name} does not fit: its weights take {gib(memory.weights_bytes)} a GPU and "
            f"{gib(memory.usable_bytes)} are usable, which leaves {gib(max(capacity, 0.0))} for KV",
            "fp8 or int4 weights, a larger engine.tensor_parallel_size, or a larger GPU",
        )
    return KvPool(capacity, size, longest, table)
