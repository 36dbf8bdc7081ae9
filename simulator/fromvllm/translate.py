"""vLLM's engine arguments as the tables of a scenario."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import fold
from tierlab.kernels.models.load import catalogue, model_aliases
from tierlab.simulator.fromvllm.arguments import Arguments
from tierlab.simulator.fromvllm.known import (
    DTYPES,
    ENGINE,
    KNOWN,
    KV_DTYPES,
    REFUSED,
    WEIGHTS,
)

_TUNED = re.compile(r"-(instruct|chat|it|base|fp8|fp8-dynamic|awq|gptq|int4|w4a16|\d{4})$", re.I)
"""Endings of names of the same architecture: tuned, or quantised."""
_TRUE, _FALSE = {"true", "1", "yes"}, {"false", "0", "no"}


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
    out.data["engine"] = _engine(arguments)
    out.data["design"] = _design(arguments)
    if isinstance(values.get("device_name"), str):
        out.data["hardware"] = _hardware(values["device_name"], out.data["engine"])
    ignored = sorted(name for name in values if name not in KNOWN)
    if ignored:
        out.notes.append(f"{arguments.where}: ignored, no effect here: {', '.join(ignored)}")
    return out


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
        return _flag(given) is harmless
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
    return {"name": name, "weights": _weights(arguments, given)}


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


def _weights(arguments: Arguments, model: str) -> str:
    quantization, dtype = (arguments.values.get(k) for k in ("quantization", "dtype"))
    if dtype is not None and str(dtype).removeprefix("torch.") not in DTYPES:
        raise BadInput(f"{arguments.where}: dtype", f"{dtype!r}", ", ".join(sorted(DTYPES)))
    if quantization is None:
        ending = model.lower()
        return next((w for tag, w in _BY_NAME.items() if tag in ending), "bf16")
    if quantization not in WEIGHTS:
        known = ", ".join(WEIGHTS)
        raise BadInput(f"{arguments.where}: quantization", f"{quantization!r}", known)
    return WEIGHTS[str(quantization)]


_BY_NAME = {"-fp8": "fp8", "-awq": "int4", "-gptq": "int4", "-int4": "int4", "-w4a16": "int4"}


def _engine(arguments: Arguments) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, (key, kind) in ENGINE.items():
        given = arguments.values.get(name)
        if given is not None:
            where = f"{arguments.where}: {name}"
            out[key.removeprefix("engine.")] = _read(given, kind, where)
    if _flag(arguments.values.get("enforce_eager")):
        out["cudagraph_mode"] = "none"
    return out


def _read(given: Any, kind: str, where: str) -> Any:
    if kind == "flag":
        flag = _flag(given)
        if flag is None:
            raise BadInput(where, f"{given!r}", "true or false")
        return flag
    value = _number(str(given))
    if value is None or (kind == "integer" and value != int(value)):
        raise BadInput(where, f"{given!r}", "a whole number" if kind == "integer" else "a number")
    return int(value) if kind == "integer" else value


def _number(text: str) -> float | None:
    """Read a number, ``16k`` (16,000) or ``16K`` (16,384), as vLLM's command line does."""
    try:
        return float(text.replace(",", ""))
    except ValueError:
        pass
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgG])", text.strip())
    if match is None:
        return None
    power = "kmg".index(match[2].lower()) + 1
    scale = 1024.0 if match[2].isupper() else 1000.0
    value: float = float(match[1]) * scale**power
    return value


def _flag(given: Any) -> bool | None:
    if isinstance(given, bool):
        return given
    text = str(given).strip().lower()
    return True if text in _TRUE else False if text in _FALSE else None


def _design(arguments: Arguments) -> dict[str, Any]:
    caching = arguments.values.get("enable_prefix_caching")
    out: dict[str, Any] = {"preset": "baseline" if _flag(caching) is False else "vllm"}
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
    ranks = engine.get("tensor_parallel_size", 1)
    return name if ranks == 1 else f"{ranks}x{name}"
