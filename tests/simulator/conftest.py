"""A served run on a small pool whose times are known in advance; the command in this process."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from tierlab.hwmodels.time.times import DATASHEET, Times
from tierlab.kernels.ops.table import OPS, OpTable
from tierlab.simulator.cli.main import run_cli
from tierlab.simulator.scenario.load import validate
from tierlab.simulator.serving.build import build
from tierlab.simulator.serving.memory import KvPool
from tierlab.simulator.serving.run import Run, serve
from tierlab.traces.schema import Trace

SAMPLE, PREFILL = OPS.index("sample"), OPS.index("prefill_attention")


@dataclass(frozen=True)
class KnownTimes:
    """Every step takes `step_s`; a prefill chunk adds `token_s` a token, all layers together."""

    step_s: float
    token_s: float
    layers: int
    name: str = "known"

    def predict(self, ops: OpTable) -> Times:
        seconds = np.where(ops.op == SAMPLE, self.step_s, 0.0)
        chunk = ops["q_len"] * self.token_s / self.layers
        seconds = np.where(ops.op == PREFILL, chunk, seconds)
        n = len(ops)
        return Times(
            seconds,
            seconds,
            seconds,
            np.full(n, DATASHEET, np.uint8),
            np.zeros(n, np.bool_),
            np.zeros(n, np.int32),
        )


def make_trace(
    arrival_s: list[float],
    input_tokens: list[int],
    output_tokens: list[int],
    session: list[int] | None = None,
    think_s: list[float] | None = None,
    parent: list[int] | None = None,
    block_tokens: int = 0,
    ids: list[list[int]] | None = None,
) -> Trace:
    n = len(arrival_s)
    ids = ids or [[]] * n
    sessions = np.arange(n) if session is None else np.array(session)
    turn = np.array([int((sessions[:i] == sessions[i]).sum()) for i in range(n)])
    made = Trace(
        name="test",
        arrival_s=np.array(arrival_s, np.float64),
        input_tokens=np.array(input_tokens, np.int64),
        output_tokens=np.array(output_tokens, np.int64),
        session=sessions.astype(np.int64),
        turn=turn.astype(np.int64),
        think_s=np.array(think_s if think_s is not None else [np.nan] * n, np.float64),
        parent=np.array([-1] * n if parent is None else parent, np.int64),
        adapter=np.full(n, -1, np.int64),
        block_tokens=block_tokens,
        partial_tail=False,
        run_offsets=np.cumsum([0, *(len(each) for each in ids)]),
        run_start=np.array([i for each in ids for i in each], np.int64),
        run_count=np.ones(sum(len(each) for each in ids), np.int64),
    )
    made.validate("test")
    return made


@pytest.fixture
def trace() -> Callable[..., Trace]:
    return make_trace


@pytest.fixture
def served() -> Callable[..., Run]:
    """Serve a trace on SmolLM2-135M with known times: `served(trace, blocks=..., **engine)`."""

    def run(
        requests: Trace,
        step_s: float = 1.0,
        token_s: float = 0.0,
        blocks: int = 10_000,
        arrivals: str = "open",
        design: str = "baseline",
        seed: int = 0,
        hardware: str | None = None,
        workload: dict[str, object] | None = None,
        host: dict[str, object] | None = None,
        **engine: object,
    ) -> Run:
        several = f"{engine['replicas']}xH200" if "replicas" in engine else "H200"
        data = {
            "model": "SmolLM2-135M",
            "hardware": hardware or several,
            "design": design,
            "seed": seed,
            "workload": {"generator": "poisson", "arrivals": arrivals, **(workload or {})},
            "engine": {
                "max_model_len": 8192,
                "num_gpu_blocks": blocks,
                "async_scheduling": False,
                **engine,
            },
            "time": {"host": host or "none"},
        }
        scenario = validate(data, "test")
        parts = build(scenario)
        known = KnownTimes(step_s, token_s, len(parts.model.layers))
        return serve(scenario, replace(parts, times=known), requests)

    return run


@pytest.fixture
def known_times() -> type[KnownTimes]:
    return KnownTimes


@pytest.fixture
def pool() -> KvPool:
    """Return a pool of 10 blocks of 4 tokens, 8 B a token."""
    return KvPool(10 * 32.0, 4, 400, np.arange(101) * 32.0)


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    """Return a function that runs `tierlab` here: (exit status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        status = run_cli([str(each) for each in arguments])
        out = capsys.readouterr()
        return status, out.out, out.err

    return call
