"""vLLM's engine arguments as the tables of a scenario."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import fold
from tierlab.kernels.models.architecture import Model, Moe
from tierlab.kernels.models.load import catalogue, load_model, model_aliases
from tierlab.simulator.fromvllm.arguments import Arguments
from tierlab.simulator.fromvllm.connectors import tiers_of
from tierlab.simulator.fromvllm.graphs import graph_settings
from tierlab.simulator.fromvllm.known import (
    DTYPES,
    ENGINE,
    HARMLESS,
    KNOWN,
    KV_DTYPES,
    REFUSED,
    SPEED,
    WEIGHTS,
)
from tierlab.simulator.fromvllm.values import flag, read

_TUNED = re.compile(
    r"-(instruct|chat|it|base|fp8|fp8-dynamic|awq|gptq|int4|w4a16|fp4|nvfp4|\d{4})$", re.I
)
"""Endings of names of the same architecture: tuned, or quantised."""


@dataclass
class Translated:
    """Tables of a scenario, and what is not in them.

    Attributes
    ----------
    data
        As a scenario file has it; without `hardware` where the arguments name none.
    notes
        What a reader should know, one line each.
    """

    data: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def translate(arguments: Arguments) -> Translated:
    """Return the scenario's tables that the arguments stand for.

    Raises
    ------
    BadInput
        An argument that tierlab cannot honour, with the reason; or a value of the wrong kind.
    """
    values, out = arguments.values, Translated()
    _refuse(arguments)
    out.data["model"] = _model(arguments, out)
    out.data["engine"] = _engine(arguments, out)
    out.data["engine"] |= _replicas(arguments, out.data["model"]["name"], out)
    out.data["design"] = _design(arguments)
    if isinstance(values.get("device_name"), str):
        out.data["hardware"] = _hardware(values["device_name"], out.data["engine"])
    tiers = tiers_of(arguments, out.notes)
    if tiers is not None:
        _check_shared(arguments, out.data["design"])
        out.data["tiers"] = tiers
    _ignore(arguments, out)
    return out


def _check_shared(arguments: Arguments, design: dict[str, Any]) -> None:
    if design["preset"] == "baseline":
        what = "false, with a place below HBM: there would be nothing to find there"
        raise BadInput(f"{arguments.where}: enable_prefix_caching", what, "true")


def _ignore(arguments: Arguments, out: Translated) -> None:
    """Note what is not looked at; refuse what is nearly the name of something that is."""
    unknown = sorted(name for name in arguments.values if name not in KNOWN)
    speed = [name for name in unknown if name in SPEED]
    rest = [name for name in unknown if name not in SPEED]
    for name in rest:
        meant = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.88)
        if meant and name not in HARMLESS:
            raise BadInput(arguments.where, f"no argument {name}", f"did you mean {meant[0]}?")
    if speed:
        text = f"not seen by the time model: {', '.join(speed)}"
        out.notes.append(f"{arguments.where}: {text}")
    if rest:
        out.notes.append(f"{arguments.where}: ignored, no effect here: {', '.join(rest)}")


def _refuse(arguments: Arguments) -> None:
    for name, (harmless, why) in REFUSED.items():
        if name not in arguments.values:
            continue
        given = arguments.values[name]
        if given in (None, {}, [], "") or _same(given, harmless):
            continue
        raise BadInput(
            f"{arguments.where}: {name}",
            f"{given!r} cannot be honoured: {why}",
            "no such argument" if harmless is None else f"{name} = {harmless}",
        )


def _same(given: Any, harmless: object) -> bool:
    if isinstance(harmless, bool):
        return flag(given) is harmless
    if isinstance(harmless, int):
        try:
            return float(given) == harmless
        except (TypeError, ValueError):
            return False
    return bool(given == harmless)


def _model(arguments: Arguments, out: Translated) -> dict[str, Any]:
    given = arguments.values.get("model")
    if not isinstance(given, str) or not given:
        raise BadInput(f"{arguments.where}: model", "no model", "a Hugging Face name or a folder")
    known = _names()
    name = _known_name(given, known)
    if name != given and fold(given) not in known:
        out.notes.append(f"{given} is taken as {name}: the same architecture")
    model = load_model(name, f"{arguments.where}: model")
    return {"name": name, "weights": _weights(arguments, given, model)}


def _names() -> dict[str, str]:
    """Return every folded name and alias of a model -> its name in the catalogue."""
    return {fold(n): n for n in catalogue()} | {fold(a): n for a, n in model_aliases().items()}


def _known_name(given: str, known: dict[str, str]) -> str:
    """Return the catalogue's name of a model, tuned and quantised variants included."""
    tried = given
    while True:
        for candidate in (tried, tried.rsplit("/", 1)[-1]):
            if fold(candidate) in known:
                return known[fold(candidate)]
        shorter = _TUNED.sub("", tried)
        if shorter == tried:
            return given
        tried = shorter


def _weights(arguments: Arguments, given: str, model: Model) -> str:
    quantization, dtype = (arguments.values.get(k) for k in ("quantization", "dtype"))
    if dtype is not None and str(dtype).removeprefix("torch.") not in DTYPES:
        raise BadInput(f"{arguments.where}: dtype", f"{dtype!r}", ", ".join(sorted(DTYPES)))
    if quantization is None:
        ending = given.lower()
        return next((w for tag, w in _BY_NAME.items() if tag in ending), model.stored_weights)
    if quantization not in WEIGHTS:
        known = ", ".join(WEIGHTS)
        raise BadInput(f"{arguments.where}: quantization", f"{quantization!r}", known)
    return WEIGHTS[str(quantization)]


_BY_NAME = {"-fp8": "fp8", "-awq": "int4", "-gptq": "int4", "-int4": "int4", "-w4a16": "int4",
            "-fp4": "nvfp4", "-nvfp4": "nvfp4"}  # fmt: skip


def _engine(arguments: Arguments, out: Translated) -> dict[str, Any]:
    engine: dict[str, Any] = {}
    for name, (key, kind) in ENGINE.items():
        given = arguments.values.get(name)
        if given is None:
            continue
        if name == "max_model_len" and str(given).lower() in ("auto", "-1"):
            out.notes.append("max_model_len auto: the model's context, whether it fits or not")
            continue
        engine[key.removeprefix("engine.")] = read(given, kind, f"{arguments.where}: {name}")
    engine |= graph_settings(arguments.values, arguments.where)
    _check_budget(engine, arguments.where)
    return engine


def _check_budget(engine: dict[str, Any], where: str) -> None:
    """Refuse what vLLM refuses (`SchedulerConfig`): fewer tokens a step than sequences."""
    tokens, seqs = engine.get("max_num_batched_tokens"), engine.get("max_num_seqs")
    if tokens is not None and seqs is not None and tokens < seqs:
        what = f"{tokens} is less than max_num_seqs, {seqs}: vLLM does not start"
        raise BadInput(f"{where}: max_num_batched_tokens", what, f"{seqs} or more")


def _replicas(arguments: Arguments, model: str, out: Translated) -> dict[str, Any]:
    """Return dense data parallelism as replicas: its engines share nothing but the balancer."""
    given = arguments.values.get("data_parallel_size")
    where = f"{arguments.where}: data_parallel_size"
    ranks = 1 if given is None else read(given, "integer", where)
    if ranks == 1:
        return {}
    if any(isinstance(layer.ffn, Moe) for layer in load_model(model, where).layers):
        what = f"{ranks} of a mixture of experts: its ranks exchange tokens in every layer"
        raise BadInput(where, what, "data_parallel_size = 1")
    text = f"{ranks} data parallel ranks are {ranks} replicas behind a least-loaded router"
    out.notes.append(f"{text}; vLLM's own weighs who waits four times as much as who runs")
    return {"replicas": ranks, "routing": "least_loaded"}


def _design(arguments: Arguments) -> dict[str, Any]:
    caching = arguments.values.get("enable_prefix_caching")
    out: dict[str, Any] = {"preset": "baseline" if flag(caching) is False else "vllm"}
    kv_dtype = str(arguments.values.get("kv_cache_dtype") or "auto")
    if kv_dtype not in KV_DTYPES:
        where = f"{arguments.where}: kv_cache_dtype"
        raise BadInput(where, f"{kv_dtype!r}", ", ".join(KV_DTYPES))
    if KV_DTYPES[kv_dtype]:
        out["representation"] = KV_DTYPES[kv_dtype]
    return out


def _hardware(device: str, engine: dict[str, Any]) -> str:
    """Return the catalogue's name of what a driver calls its GPU."""
    name = re.sub(r"^NVIDIA\s+", "", device.strip(), flags=re.I).replace(" ", "-")
    name = re.sub(r"-(\d+)GB.*$", "", name, flags=re.I)
    ranks = engine.get("tensor_parallel_size", 1) * engine.get("replicas", 1)
    return name if ranks == 1 else f"{ranks}x{name}"
