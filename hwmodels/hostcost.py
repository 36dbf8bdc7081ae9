"""What a serving engine costs the processor: per step, per sequence, per launch, per request.

A step's work on the host is `step_s` and, for every sequence in it, `sequence_s`: choosing the
batch, preparing its inputs, settling its outputs. Kernels are launched one by one, or as recorded
graphs. Before a request can queue, it is parsed (`request_s`), tokenised and hashed (`token_s`).

Detokenising is not here: since V1 it runs in the API server, another process, beside all this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path

from tierlab.hwmodels.quantity import Field, Quantity, read_quantities
from tierlab.hwmodels.tomlfile import HERE, aliases_of, kind_of, read_toml, text_of
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import as_path, pick

_KEYS = ("step", "sequence", "launch", "piece", "graph", "request", "token")
_FIELDS = {key: Field(f"{key}_s", "s") for key in _KEYS}
_HEAD = ("kind", "name", "aliases", "summary")


@dataclass(frozen=True)
class HostCosts:
    """Seconds of one processor.

    Attributes
    ----------
    step_s, sequence_s
        A step's fixed work, and what each sequence in it adds.
    launch_s, piece_s, graph_s
        One kernel launched alone; one piece of a piecewise graph; one graph of a whole step.
    request_s, token_s
        Before a request queues: fixed, and for each token of its prompt.
    sources
        Key of the file -> provenance.
    """

    name: str
    step_s: float = 0.0
    sequence_s: float = 0.0
    launch_s: float = 0.0
    piece_s: float = 0.0
    graph_s: float = 0.0
    request_s: float = 0.0
    token_s: float = 0.0
    sources: Mapping[str, Quantity] = field(default_factory=dict, repr=False, compare=False)

    def with_overrides(self, values: Mapping[str, float], where: str) -> HostCosts:
        """Replace single costs, by attribute, in seconds.

        Raises
        ------
        BadInput
            A cost is below zero.
        """
        for key, value in values.items():
            if value < 0:
                raise BadInput(f"{where}.{key}", f"{value!r} is below zero", "seconds")
        return replace(self, **values) if values else self  # type: ignore[arg-type]


NO_HOST = HostCosts("none")
"""A host that takes no time: where step times contain its share already."""


def load_host_costs(name: str, where: str) -> HostCosts:
    """Load host costs by name (``none``, ``vllm-v1``) or by path to one's own file.

    Raises
    ------
    BadInput
        There are none, or the file is bad.
    """
    path = as_path(name, (".toml",))
    if path is not None:
        return _read(path, where)
    return pick(name, _shipped(), where, "host costs")


@lru_cache(maxsize=1)
def _shipped() -> dict[str, HostCosts]:
    """Return those of the catalogue, which the points of a sweep ask for again, by name."""
    known = {"none": NO_HOST}
    for file in sorted((HERE / "hostcosts").glob("*.toml")):
        table = read_toml(file, str(file))
        names = (file.stem, *aliases_of(table, str(file)))
        known.update(dict.fromkeys(names, _read(file, str(file))))
    return known


def _read(path: Path, where: str) -> HostCosts:
    table, file = read_toml(path, where), str(path)
    kind_of(table, ("host_costs",), file)
    text_of(table, "summary", file)
    aliases_of(table, file)
    sources = read_quantities({k: v for k, v in table.items() if k not in _HEAD}, _FIELDS, file)
    values = {_FIELDS[key].attribute: sources[key].value_si for key in sources}
    return HostCosts(text_of(table, "name", file), **values, sources=sources)


COSTS = tuple(f.name for f in fields(HostCosts) if f.name.endswith("_s"))
"""The attributes that hold seconds."""
