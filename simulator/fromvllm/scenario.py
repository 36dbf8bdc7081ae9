"""``tierlab run --from-vllm``: engine arguments on top of a scenario, settings on top of both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.models.load import load_model
from tierlab.simulator.fromvllm.arguments import OPTION, Arguments, read_arguments
from tierlab.simulator.fromvllm.defaults import SEQS, TOKENS, batch_defaults
from tierlab.simulator.fromvllm.translate import translate
from tierlab.simulator.scenario.load import apply_settings, read_scenario, validate
from tierlab.simulator.scenario.schema import Scenario

_ON_TOP = ("design", "engine")
"""Tables whose single keys the arguments replace; `model` and `hardware` they replace whole."""


def scenario_from_vllm(
    config: str, path: Path | None, settings: Sequence[str]
) -> tuple[Scenario, list[str]]:
    """Return the scenario, and notes for the reader.

    Parameters
    ----------
    config
        vLLM's engine arguments: a file, or a command line.
    path
        A scenario file with what they do not say: the workload, and mostly the hardware.

    Raises
    ------
    BadInput
        Something cannot be read or honoured, or nothing says on what hardware or for which
        requests.
    """
    arguments = read_arguments(config)
    found = translate(arguments)
    data = {} if path is None else read_scenario(path)
    for key, value in found.data.items():
        data[key] = {**_table(data.get(key)), **value} if key in _ON_TOP else value
    apply_settings(data, settings)
    for key, example in (("hardware", "hardware=H100"), ("workload", "workload.trace=log.jsonl")):
        if key not in data:
            raise BadInput(OPTION, f"nothing says which {key}", f"a SCENARIO, or --set {example}")
    _choose(data, arguments, found.notes)
    return validate(data, arguments.where if path is None else str(path)), found.notes


def _choose(data: dict[str, Any], arguments: Arguments, notes: list[str]) -> None:
    """Put what vLLM would choose where nobody said anything; what is malformed is left alone."""
    names = [_name(data.get(key)) for key in ("hardware", "model")]
    engine = data.get("engine")
    if names[0] is None or names[1] is None or not isinstance(engine, dict):
        return
    longest = engine.get("max_model_len") or load_model(names[1], "model").max_position
    twice = str(arguments.values.get("performance_mode")).lower() == "throughput"
    if not all(isinstance(engine.get(key, 1), int) for key in (TOKENS, SEQS)):
        return
    chosen = batch_defaults(names[0], arguments.server, twice, longest, engine, "hardware")
    data["engine"] = {**chosen, **engine}
    if chosen:
        text = ", ".join(f"{key} = {value}" for key, value in chosen.items())
        notes.append(f"vLLM's defaults on {names[0]}: {text}")


def _name(value: Any) -> str | None:
    name = value.get("name") if isinstance(value, dict) else value
    return name if isinstance(name, str) else None


def _table(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"preset": value}
    return value if isinstance(value, dict) else {}
