"""The scenario schema: every key that a TOML file or ``--set`` may use.

Unknown keys are errors. A section that has a ``name`` may be written as that name alone:
``model = "Llama-3.1-8B"``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from tierlab.kernels.ops.routing import ACCEPTED, UNIFORM, routing_of
from tierlab.simulator.scenario.section import Section
from tierlab.simulator.scenario.tiers import TiersSection

TIME_MODEL = "silicon"
"""What tells how long operations take, where a scenario names nothing."""


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _share(value: Any) -> Any:
    return {"none": 0.0, "all": 1.0}.get(value, value) if isinstance(value, str) else value


def _routing(value: Any) -> Any:
    try:
        return routing_of(value)
    except (TypeError, ValueError):
        raise ValueError("is no routing") from None


_RATED = ("poisson", "gamma")
_KEYS_OF_ARRIVALS = {
    "arrival_scale": ("open", "closed"),
    "rate_per_s": _RATED,
    "burstiness": ("gamma",),
    "session_starts": ("closed",),
    "sessions_per_s": ("closed",),
    "max_open_sessions": ("closed",),
}

Policy = str | dict[str, Any] | None
"""A policy of `tierlab list policies`, the path of one's own, or a table with parameters."""


class ModelSection(Section):
    """``[model]``: what is served."""

    name: str = Field(description="catalogue name, or path of a Hugging Face config.json")
    weights: Literal["bf16", "fp8", "int4", "mxfp4", "nvfp4"] = Field(
        "bf16", description="stored weights: bf16, fp8, int4, mxfp4 or nvfp4"
    )
    expert_routing: Annotated[float, BeforeValidator(_routing)] = Field(
        UNIFORM,
        description=f"how tokens choose experts: {ACCEPTED}",
    )


class HardwareSection(Section):
    """``[hardware]``: on what."""

    name: str = Field(description="GPU, system, 8xGPU, or path of a TOML")
    prices: dict[str, float] = Field(
        default_factory=dict, description="overrides of the dated price assumptions"
    )
    transfers: str | list[str] | dict[str, str] | None = Field(
        None,
        description="measured times of copies: a file of calibrate --device, several, or "
        "{ ssd = FILE, gpu = FILE }, by node, group or kind",
    )


class WorkloadSection(Section):
    """``[workload]``: the requests, from a log or a seeded generator."""

    trace: str | None = Field(None, description="path of a request log")
    format: str | None = Field(None, description="log format; detected when absent")
    columns: dict[str, str] = Field(
        default_factory=dict, description="tierlab column -> column of a generic log"
    )
    skip_bad: bool = Field(
        False, description="leave malformed records out and count them, instead of stopping"
    )
    generator: str | None = Field(None, description="name of a generator, instead of a trace")
    parameters: dict[str, float | int | str] = Field(
        default_factory=dict, description="parameters of the generator"
    )
    limit: int | None = Field(None, ge=1, description="only the first so many requests")
    sessions: int | None = Field(
        None, ge=1, description="only the sessions that begin first, so many"
    )
    arrivals: Literal["open", "poisson", "gamma", "closed"] = Field(
        "open",
        description="open: at the logged times; poisson, gamma: in the logged order at a rate; "
        "closed: a think time after each answer",
    )
    arrival_scale: float = Field(1.0, gt=0, description="arrival times are multiplied by this")
    rate_per_s: float | None = Field(None, gt=0, description="requests/s of poisson and gamma")
    burstiness: float = Field(
        1.0, gt=0, description="shape of gamma's gaps; below 1: bursts, above 1: more even"
    )
    session_starts: Literal["trace", "poisson"] | None = Field(
        None,
        description="when closed sessions start; by default as logged, or poisson where the log "
        "lets all start at once",
    )
    sessions_per_s: float = Field(0.1, gt=0, description="rate of poisson session starts")
    max_open_sessions: int = Field(
        64, ge=1, description="closed: one more session waits until one ends"
    )
    reuse_output: Annotated[float, BeforeValidator(_share)] = Field(
        0.0,
        ge=0,
        le=1,
        description="share of a reply that the next prompt reuses: none, all or 0-1",
    )

    @model_validator(mode="after")
    def _one_source(self) -> WorkloadSection:
        if (self.trace is None) == (self.generator is None):
            raise ValueError("needs exactly one of `trace` and `generator`")
        return self

    @model_validator(mode="after")
    def _bad_records_are_a_logs(self) -> WorkloadSection:
        if self.skip_bad and self.trace is None:
            raise ValueError("`skip_bad` needs a `trace`")
        return self

    @model_validator(mode="after")
    def _keys_of_these_arrivals(self) -> WorkloadSection:
        """Refuse a key that these arrivals would not look at."""
        for key, modes in _KEYS_OF_ARRIVALS.items():
            default = type(self).model_fields[key].get_default()
            if getattr(self, key) != default and self.arrivals not in modes:
                raise ValueError(f"`{key}` needs `arrivals` = {' or '.join(modes)}")
        if self.rate_per_s is None and self.arrivals in _RATED:
            raise ValueError(f"`arrivals` = {self.arrivals} needs `rate_per_s`")
        return self


def _folded(value: Any) -> Any:
    return value.strip().lower().replace("-", "_") if isinstance(value, str) else value


GraphMode = Annotated[
    Literal["full_and_piecewise", "full", "full_decode_only", "piecewise", "none"],
    BeforeValidator(_folded),
]


class EngineSection(Section):
    """``[engine]``: the serving engine; names and meanings are vLLM's."""

    block_size: int = Field(16, ge=1, le=8192, description="tokens per KV block")
    max_num_seqs: int = Field(256, ge=1, description="most requests in one step")
    max_num_batched_tokens: int = Field(8192, ge=1, description="most tokens in one step")
    max_model_len: int | None = Field(None, ge=1, description="longest prompt plus output")
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1, description="share of GPU memory")
    num_gpu_blocks: int | None = Field(None, ge=1, description="overrides the memory formula")
    non_torch_bytes: float | None = Field(
        None, ge=0, description="GPU memory of context and collectives"
    )
    async_scheduling: bool = Field(
        True, description="fix the next batch when a step starts, not when it ends"
    )
    cudagraph_mode: GraphMode = Field(
        "full_and_piecewise",
        description="what is recorded as CUDA graphs; none launches every kernel (enforce_eager)",
    )
    cudagraph_capture_sizes: list[int] | None = Field(
        None, description="recorded token counts; by default vLLM's 1, 2, 4, 8, 16, ..."
    )
    max_cudagraph_capture_size: int | None = Field(
        None, ge=1, description="largest recorded token count; by default min(2 max_num_seqs, 512)"
    )
    cudagraph_memory_bytes: float = Field(
        0.0, ge=0, description="GPU memory of graphs; vLLM counts it from 0.21 on"
    )
    sampling: Literal["greedy", "random", "top_k_top_p"] = Field(
        "greedy", description="how a token is chosen from its logits"
    )
    fidelity: Literal["step", "layer"] = Field(
        "step",
        description="step: loads and steps overlap by a closed form; layer: every layer is an "
        "event, which needs tiers below HBM to differ",
    )
    tensor_parallel_size: int = Field(1, ge=1, description="GPUs of a replica")
    replicas: int = Field(1, ge=1, description="engines like this one, behind a router")
    routing: str | dict[str, Any] = Field(
        "round_robin",
        description="round_robin, least_loaded, prefix_aware, session_sticky, the path of a "
        "router, or a table with parameters",
    )


class HostSection(Section):
    """``[time.host]``: what the engine costs the processor."""

    name: str | None = Field(
        None,
        description="none, vllm-v1, or path of a TOML; by default vllm-v1, and none with a "
        "profile, whose steps contain it",
    )
    step_s: float | None = Field(None, ge=0, description="fixed work of a step")
    sequence_s: float | None = Field(None, ge=0, description="work of a step for each sequence")
    launch_s: float | None = Field(None, ge=0, description="launching one kernel")
    piece_s: float | None = Field(None, ge=0, description="launching a piece of a piecewise graph")
    graph_s: float | None = Field(None, ge=0, description="launching the graph of a whole step")
    request_s: float | None = Field(None, ge=0, description="before a request queues")
    token_s: float | None = Field(None, ge=0, description="the same, for each prompt token")
    first_launch_s: float = Field(
        0.0, ge=0, description="a cold start: a replica's first launch blocks its host so long"
    )


class TimeSection(Section):
    """``[time]``: where durations come from."""

    model: str = Field(
        TIME_MODEL,
        description="silicon, roofline, path of a measured table, or profile:FOLDER of whole steps",
    )
    band: Literal["p10", "mid", "p90"] = Field("mid", description="which end of the band to use")
    ragged: bool | None = Field(
        None,
        description="whether unlike lengths in a batch lengthen attention; by default with "
        "silicon, with profile:FOLDER (its skew.csv) only if true",
    )
    prefill_schedule: str | None = Field(
        None,
        description="attention of prompts by a schedule: materialised, flash1, flash2, flash3; "
        "none: the kernel that the model knows",
    )
    decode_schedule: str | None = Field(
        None,
        description="attention of decodes by a schedule: unsplit, flash_decoding, lean; none: the "
        "kernel that the model knows",
    )
    host: Annotated[HostSection, BeforeValidator(_named)] = HostSection()


class SloSection(Section):
    """``[slo]``: what a request must meet to count as goodput."""

    ttft_s: float | None = Field(None, gt=0, description="most time to first token")
    tpot_s: float | None = Field(None, gt=0, description="most time per output token")


class DesignSection(Section):
    """``[design]``: a preset, and policies that replace its members."""

    preset: str = Field("baseline", description="preset name, or path of a TOML")
    retention: Policy = Field(None, description="which tokens stay: a name or { name, ... }")
    representation: Policy = Field(None, description="how they are stored")
    selection: Policy = Field(None, description="which of them a step reads")
    placement: Policy = Field(None, description="in which tier they live")
    reuse: Policy = Field(None, description="what is kept for other requests")


def _design(value: Any) -> Any:
    return {"preset": value} if isinstance(value, str) else value


class Scenario(Section):
    """A whole scenario, as resolved: what the manifest of a run holds."""

    title: str = Field("", description="one line for reports")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of every random choice")
    model: Annotated[ModelSection, BeforeValidator(_named)]
    hardware: Annotated[HardwareSection, BeforeValidator(_named)]
    workload: WorkloadSection
    engine: EngineSection = EngineSection()
    design: Annotated[DesignSection, BeforeValidator(_design)] = DesignSection()
    tiers: Annotated[TiersSection, BeforeValidator(_design)] = TiersSection()
    time: TimeSection = TimeSection()
    slo: SloSection = SloSection()
