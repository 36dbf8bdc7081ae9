"""How long steps take: the model's operations through a time model, kept in tables.

A step is what depends on its number of tokens, what depends on its number of sequences, and the
attention of its decodes and of its prefill chunks. Each is predicted on a grid when it is first
asked for and interpolated between the nodes: lengths at eight nodes an octave, sequences at all
counts, tokens as `densetable` says. Predicted times are nearly piecewise linear in lengths, so the
grid costs little accuracy (`benchmarks/clock_error.py` says how much;
`tests/simulator/serving/test_steptime.py` holds it against the time model itself).

Token counts are padded to captured sizes (`graphs`), and the host adds its share (`hosttime`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from tierlab.hwmodels.time.times import SOURCES, KnowsKernels, TimeModel, launched, middles
from tierlab.kernels.models.architecture import Model
from tierlab.kernels.models.step import decode_work, dense_work, prefill_work
from tierlab.kernels.ops.table import Work
from tierlab.policies.design import Design
from tierlab.policies.protocol import Works
from tierlab.simulator.serving.axis import nearest
from tierlab.simulator.serving.chunktable import ChunkTable
from tierlab.simulator.serving.decodetable import DecodeTable
from tierlab.simulator.serving.densetable import DenseTable
from tierlab.simulator.serving.graphs import NO_GRAPHS, CudaGraphs
from tierlab.simulator.serving.hosttime import HostTime
from tierlab.simulator.serving.lookup import Lookups, lookups, nodes
from tierlab.simulator.serving.together import as_arrays

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SPREADS = np.array([0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0])
"""Nodes of how far the longest context of a batch exceeds the mean, over the mean."""
_NOTHING = np.zeros(2)


@dataclass(frozen=True, eq=False)
class StepTimes:
    """Durations of n consecutive steps.

    Attributes
    ----------
    seconds
        float64[n].
    by_source
        float64[len(SOURCES), n], the same seconds split by where they come from; those in which
        the device waits for the host count as ``datasheet``.
    """

    seconds: Floats
    by_source: Floats


@dataclass(eq=False)
class StepTimer:
    """Step times of one replica.

    Attributes
    ----------
    weights, kv_dtype, tp
        Stored weights, stored KV, and GPUs of the replica.
    longest, budget
        Most tokens of a request, and of a step.
    band
        Which prediction to use: ``p10``, ``mid`` or ``p90``.
    graphs
        What is recorded, and so how batches are padded.
    host
        The host's share; None where it has none.
    sampling
        How tokens are chosen, one of `kernels.ops.sampling.PASSES`.
    design
        Whose policies run operations beside the model's; None where there are none.
    sequences
        Most of a step.
    spreads
        float64[nodes] of how far the longest context of a batch exceeds the mean, over the mean;
        0 alone takes all contexts as the mean.
    """

    model: Model
    weights: str
    kv_dtype: str
    tp: int
    times: TimeModel
    longest: int
    budget: int
    band: str = "mid"
    graphs: CudaGraphs = NO_GRAPHS
    host: HostTime | None = None
    sampling: str = "greedy"
    design: Design | None = None
    sequences: int = 1024
    spreads: Floats = field(default_factory=SPREADS.copy)

    def decode(self, kv_len: Ints, steps: int) -> StepTimes:
        """Return `steps` decode steps of a batch that does not change.

        Parameters
        ----------
        kv_len
            int64[batch], keys that each sequence's next query sees, itself included.
        """
        batch = len(kv_len)
        fixed, host = self.by_sequences[0][batch], self.host_s(batch, batch, True)
        times = StepTimes(np.empty(steps), np.empty((len(SOURCES), steps)))
        table = self.keys, self.spreads, self._attention(kv_len, steps)
        out = times.by_source, times.seconds
        self._lookups.decode_times(*table, fixed, host, kv_len, *out)
        return times

    def mixed(self, q_len: Ints, kv_len: Ints, decodes: Ints) -> StepTimes:
        """Return one step of prefill chunks beside decodes.

        Parameters
        ----------
        q_len, kv_len
            int64[chunks], new tokens and keys that the last of them sees.
        decodes
            int64[batch], as in `decode`.
        """
        batch = len(decodes)
        tokens, sequences = int(q_len.sum()) + batch, len(q_len) + batch
        fixed = self.dense.at(tokens) + self.by_sequences[1][sequences]
        host = self.host_s(tokens, sequences, False)
        times = StepTimes(np.empty(1), np.empty((len(SOURCES), 1)))
        chunk_s = self.chunks.need(q_len, kv_len - q_len)
        chunks = self.queries, self.keys, chunk_s, self.chunks.once, q_len, kv_len, *self.together
        others = self.spreads, self._attention(decodes, 1), fixed, host, decodes
        self._lookups.mixed_times(*chunks, *others, times.by_source, times.seconds)
        return times

    def _attention(self, kv_len: Ints, steps: int) -> Floats:
        """Return a batch's lines of the table, filled in for so many steps."""
        batch = len(kv_len)
        if not batch:
            return self.decodes.seconds[:1]
        mean = float(kv_len.sum()) / batch
        spread = nearest(self.spreads, float(kv_len.max()) / mean - 1.0)
        return self.decodes.need(batch, spread, mean, mean + steps - 1)

    def host_s(self, tokens: int, sequences: int, decodes_only: bool) -> Floats:
        """Return the host's seconds before the device and beside it, float64[2]."""
        if self.host is None:
            return _NOTHING
        beside = self.host.beside_s(sequences) + self.host.launch_s(tokens, decodes_only)
        return np.array([float(self.host.before_s(sequences)), float(beside)])

    @cached_property
    def decodes(self) -> DecodeTable:
        """The attention of decodes."""
        return DecodeTable(self.sequences, self.spreads, self.keys, self._decodes_s)

    def _decodes_s(self, batch: Floats, keys: Floats, spread: Floats) -> Floats:
        kv_len = np.maximum(keys, 1.0)
        work = decode_work(self.model, self.tp, self.kv_dtype, batch, kv_len, spread)
        return self._split(launched(self.times, work), len(batch))

    @cached_property
    def together(self) -> tuple[Floats, Floats]:
        """What decodes cost in the launch of chunks (`together`), where that is one launch."""
        found = None
        if isinstance(self.times, KnowsKernels) and not self.works:
            prefill = prefill_work(self.model, self.tp, self.kv_dtype, 1, 1, self.weights)
            decode = decode_work(self.model, self.tp, self.kv_dtype, 1, 1.0, 0.0)
            keys = np.maximum(self.keys, 1.0)
            found = self.times.shared(prefill, decode, keys, self.band)
        return as_arrays(found, len(self.keys))

    @cached_property
    def _lookups(self) -> Lookups:
        return lookups()

    @cached_property
    def keys(self) -> Floats:
        """Nodes of the keys that decodes, or chunks before their own, see."""
        return nodes(self.longest)

    @cached_property
    def queries(self) -> Floats:
        """Nodes of the tokens of a chunk."""
        return nodes(min(self.budget, self.longest))

    @property
    def works(self) -> bool:
        """Whether policies run operations beside the model's."""
        return self.design is not None and works_beside(self.design)

    def works_s(self, batch: int) -> Floats:
        """Return what policies run beside so many decodes, float64[1, len(SOURCES), keys]."""
        keys = np.maximum(self.keys, 1.0).astype(np.int64)
        work = self._beside(False, batch, 1, keys)
        return self._split(work, len(keys))[None]

    def _beside(
        self, prefill: bool, batch: int, queries: Ints | int, keys: Ints, ends: bool = False
    ) -> Work:
        if self.design is None:
            return Work.concat([])
        return self.design.operations(self.model, self.tp, prefill, batch, queries, keys, ends)

    @cached_property
    def chunks(self) -> ChunkTable:
        """A prefill chunk's attention; what policies run beside it is in it.

        One kernel a layer serves all chunks of a step.
        """
        return ChunkTable(self.queries, self.keys, self._chunk_s)

    @cached_property
    def ending(self) -> ChunkTable:
        """The same of a prompt's last chunk."""
        if not self.works:
            return self.chunks
        return ChunkTable(self.queries, self.keys, partial(self._chunk_s, ends=True))

    def _chunk_s(self, q_len: Ints, past: Ints, ends: bool = False) -> Floats:
        kv_len = q_len + past
        work = prefill_work(self.model, self.tp, self.kv_dtype, q_len, kv_len, self.weights)
        work = launched(self.times, work)
        if self.works:
            work = Work.concat([work, self._beside(True, 1, q_len, kv_len, ends)])
        return self._split(work, len(q_len))

    @cached_property
    def dense(self) -> DenseTable:
        """What depends on the tokens of steps with prefill."""
        captured = self.graphs.sizes[-1] if self.graphs.sizes else 0
        return DenseTable(self.budget, captured, self._dense_s)

    def _dense_s(self, tokens: Ints) -> Floats:
        padded, place = np.unique(self.graphs.padded(tokens, False), return_inverse=True)
        dense = dense_work(self.model, self.weights, self.tp, padded, 0)
        return self._split(launched(self.times, dense), len(padded))[:, place]

    @cached_property
    def by_sequences(self) -> tuple[Floats, Floats]:
        """What depends on the number of sequences, float64[sequences + 1, len(SOURCES)] each.

        What decodes alone take beside attention; and of that, logits and sampling.
        """
        counts = np.arange(self.sequences + 1, dtype=np.int64)
        padded, place = np.unique(self.graphs.padded(counts, True), return_inverse=True)
        dense = dense_work(self.model, self.weights, self.tp, padded, 0)
        head = dense_work(self.model, self.weights, self.tp, 0, counts, self.sampling)
        dense, distinct = launched(self.times, dense), len(padded)
        both = Work.concat([dense, Work(head.ops, head.step + distinct, head.repeat)])
        found = self._split(both, distinct + len(counts)).T
        sampled = np.ascontiguousarray(found[distinct:])
        return found[place] + sampled, sampled

    def _split(self, work: Work, steps: int) -> Floats:
        if self.band == "mid":
            times = middles(self.times, work.ops)
            seconds: Floats = times.seconds
        else:
            times = self.times.predict(work.ops)
            seconds = getattr(times, self.band)
        cell = times.source.astype(np.int64) * steps + work.step
        flat = np.bincount(cell, seconds * work.repeat, minlength=len(SOURCES) * steps)
        return flat.astype(np.float64, copy=False).reshape(len(SOURCES), steps)


def works_beside(design: Design) -> bool:
    """Say whether a design's policies run operations beside the model's."""
    return any(isinstance(policy, Works) for policy in design.policies.values())
