"""What ``tierlab show`` shows: one thing as data, and as text with units and sources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import fold, near
from tierlab.kernels.base.units import duration, gib, si
from tierlab.simulator.cli.columns import columns

Shown = tuple[Any, Callable[[], str]]


def hardware(name: str) -> Shown:
    """Show a system, drawn, with every quantity's unit and source; or one device or link."""
    from tierlab.hwmodels.catalogue import kind_called, load_device, load_link, load_system

    kind = kind_called(name, "NAME")
    if kind in ("system", "gpu"):
        return _system(load_system(name, "NAME"))
    part = load_link(name, "NAME") if kind == "link" else load_device(name, "NAME")
    return _data(part.name, part.summary, part.sources), lambda: _titled(part)


def _system(system: Any) -> Shown:
    from tierlab.hwmodels.drawing import draw

    sources = system.sources()
    data = _data(system.name, system.summary, sources) | {"warnings": list(system.warnings)}
    return data, lambda: "\n".join([draw(system), "", _quantities(sources)])


def _titled(part: Any) -> str:
    return f"{part.name}: {part.summary}\n\n{_quantities(part.sources)}"


def _data(name: str, summary: str, sources: Any) -> dict[str, Any]:
    return {
        "name": name,
        "summary": summary,
        "quantities": {k: asdict(q) for k, q in sources.items()},
    }


def _quantities(sources: Any) -> str:
    rows = [(key, _written(q), q.source) for key, q in sources.items()]
    return columns(rows)


def _written(quantity: Any) -> str:
    unit = "" if quantity.unit == "1" else f" {quantity.unit}"
    return f"{quantity.written}{unit}"


def model(name: str) -> Shown:
    """Show a model: its sizes, and its KV cache."""
    from tierlab.kernels.models.kv import kv_bytes_per_token, kv_groups, state_bytes
    from tierlab.kernels.models.load import load_model
    from tierlab.kernels.models.weights import active_parameters, parameters, weight_bytes

    found = load_model(name, "NAME")
    formats = ("bf16", "fp8", "int4")
    data = {
        "name": found.name,
        "source": found.source,
        "layers": len(found.layers),
        "hidden": found.hidden,
        "vocab": found.vocab,
        "max_position": found.max_position,
        "parameters": parameters(found),
        "active_parameters": active_parameters(found),
        "weight_bytes": {f: weight_bytes(found, f, 1) for f in formats},
        "kv_bytes_per_token": kv_bytes_per_token(found),
        "state_bytes": state_bytes(found),
        "kv_groups": [asdict(g) for g in kv_groups(found)],
    }
    return data, lambda: columns([(k, _value(k, v)) for k, v in data.items()])


def _value(key: str, value: Any) -> str:
    if key == "weight_bytes":
        return ", ".join(f"{name} {gib(size)}" for name, size in value.items())
    if key == "kv_groups":
        return "; ".join(
            f"{g['layers']} layers x {g['elements_per_token']} elements a token ({g['kind']}"
            + (f", window {g['window']})" if g["window"] else ")")
            for g in value
        )
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def design(name: str) -> Shown:
    """Show a design: its policy on each axis, with papers."""
    from tierlab.policies.design import load_preset, make_design

    preset, axes = load_preset(name, "NAME")
    made = make_design(preset, axes, "NAME")
    data = {a: {"policy": p.name, "paper": p.paper} for a, p in made.policies.items()}
    rows = [(axis, p.name, p.paper) for axis, p in made.policies.items()]
    return {"name": made.name, "axes": data}, lambda: f"{made.name}\n" + columns(rows, 2)


def policy(name: str) -> Shown:
    """Show a policy, named ``axis/name``: its paper, parameters and declarations."""
    from tierlab.policies.registry import POLICIES, policy_class

    axis, _, short = name.partition("/")
    if axis not in POLICIES or not short:
        known = [f"{a}/{n}" for a, names in POLICIES.items() for n in names]
        raise BadInput("NAME", f"unknown policy {name!r}", near(name, known))
    found: Any = policy_class(axis, short, "NAME")
    data = {
        "name": name,
        "summary": (found.__doc__ or "").strip(),
        "paper": found.paper,
        "parameters": {f.name: str(f.type) for f in fields(found)},
        "declares": asdict(found.declares),
    }
    return data, lambda: columns([(k, str(v)) for k, v in data.items()])


def tiers(name: str) -> Shown:
    """Show a preset of ``[tiers]``: every value with its source."""
    from tierlab.simulator.tiers.preset import load_preset

    preset = load_preset(name, "NAME")
    data = asdict(preset)
    rows = [(k, str(v), preset.sources.get(k, "")) for k, v in preset.values().items()]
    title = f"{preset.name}: {preset.summary} ({preset.version})"
    return data, lambda: f"{title}\n\n{columns(rows)}"


def transfers(name: str) -> Shown:
    """Show what a file of ``calibrate --device`` measured of copies, as a run reads it."""
    from pathlib import Path

    from tierlab.hwmodels.transfers.file import read_transfers
    from tierlab.hwmodels.transfers.machine import drive_ways, gpu_ways

    found = read_transfers(Path(name).expanduser(), "NAME")
    ways = [*drive_ways(found, None, "mid").values(), *gpu_ways(found, None, "mid").values()]
    data = {"source": found.source, "ways": [way.told() for way in ways]}
    head = ("way", "by", "latency", "at best", "pieces", "depths", "between sizes")
    rows = [head, *((w.what, w.mechanism, *_of_way(w)) for w in ways)]
    return data, lambda: f"{found.source}\n\n{columns(rows)}"


def _of_way(way: Any) -> tuple[str, ...]:
    low, high = (si(size, "B") for size in way.curve.sizes())
    depths = ", ".join(f"{depth:g}" for depth in way.curve.depths) if way.drive else "all"
    latency, best = duration(way.latency_s), si(way.bytes_per_s, "B/s")
    return latency, best, f"{low} to {high}", depths, f"+- {way.curve.between:.0%}"


def trace(name: str) -> Shown:
    """Show a log format, or a generator with its parameters and their sources."""
    from tierlab.traces.readers import registry as readers
    from tierlab.traces.synth import registry as generators

    key = fold(name)
    if key in readers.READERS:
        data = {"name": key, "summary": readers.load(key).summary}
        return data, lambda: columns(list(data.items()))
    if key not in generators.GENERATORS:
        both = [*readers.READERS, *generators.GENERATORS]
        raise BadInput("NAME", f"unknown format or generator {name!r}", near(name, both))
    return _generator(key, generators.load(key, "NAME"))


def _generator(name: str, generator: Any) -> Shown:
    found = fields(generator.parameters)
    data = {
        "name": name,
        "summary": generator.summary,
        "parameters": {
            f.name: {"default": f.default, "source": f.metadata.get("source", "")} for f in found
        },
    }
    rows = [(f.name, str(f.default), f.metadata.get("source", "")) for f in found]
    return data, lambda: f"{name}: {generator.summary}\n\n{columns(rows)}"
