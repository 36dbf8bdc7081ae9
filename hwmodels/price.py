"""Prices: dated assumptions with their sources, and what a system costs an hour.

A rented GPU brings its share of the server: processors, power, and host DRAM up to
``included_dram_per_gpu``. What a design adds is bought and written off: host DRAM beyond that
share, CXL modules and drives, each with its power at full load. The cost of an hour is

    sum over GPUs of the rental
    + (DRAM beyond the share + CXL + NVMe, each bytes x price) / amortisation
    + (power of CXL modules, drives and CXL switches) x PUE x electricity
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from tierlab.hwmodels.device import Cxl, Device, Ssd, Switch
from tierlab.hwmodels.quantity import Field, Fields, Quantity, read_quantities, read_quantity
from tierlab.hwmodels.system import System
from tierlab.hwmodels.tomlfile import HERE, aliases_of, kind_of, read_toml, table_of, text_of
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.base.names import as_path, fold, near, pick

_SCALARS: dict[str, Field] = {
    "electricity_usd_per_kwh": Field("electricity_usd_per_j", "usd_per_j"),
    "pue": Field("pue", "one"),
    "amortisation_years": Field("amortisation_s", "s"),
    "included_dram_gib_per_gpu": Field("included_dram_bytes_per_gpu", "bytes"),
}
_UNIT_IN_NAME = {
    "electricity_usd_per_kwh": "USD/kWh",
    "pue": "1",
    "amortisation_years": "year",
    "included_dram_gib_per_gpu": "GiB",
    "gpu_usd_per_h": "USD/h",
    "memory_usd_per_gb": "USD/GB",
}
_GPU, _MEMORY = Field("gpu", "usd_per_h"), Field("memory", "usd_per_byte")


@dataclass(frozen=True)
class Prices:
    """Prices in USD and SI.

    Attributes
    ----------
    gpu_usd_per_h
        GPU name, folded (``h200``) -> rental.
    memory_usd_per_byte
        ``ddr4``, ``ddr5``, ``cxl``, ``nvme`` -> purchase.
    electricity_usd_per_j, pue, amortisation_s, included_dram_bytes_per_gpu
        See the module.
    sources
        Key of the file -> provenance.
    """

    name: str
    summary: str
    where: str
    gpu_usd_per_h: Mapping[str, float] = field(hash=False)
    memory_usd_per_byte: Mapping[str, float] = field(hash=False)
    electricity_usd_per_j: float
    pue: float
    amortisation_s: float
    included_dram_bytes_per_gpu: float
    sources: Mapping[str, Quantity] = field(repr=False, compare=False)

    def with_overrides(
        self, overrides: Mapping[str, float], where: str = "prices", source: str = "scenario"
    ) -> "Prices":
        """Replace single entries.

        Parameters
        ----------
        overrides
            Key of the file -> value in the unit that the key names, e.g.
            ``{"gpu_usd_per_h.h200": 2.5, "electricity_usd_per_kwh": 0.1}``. A GPU that the file
            does not have may be added.
        where, source
            What to call them in errors and in the provenance.

        Raises
        ------
        BadInput
            A key does not exist, or a value is no number above zero.
        """
        changed = dict(self.sources)
        for key, value in overrides.items():
            table, _, entry = key.partition(".")
            if key not in changed and not (table == "gpu_usd_per_h" and entry):
                raise BadInput(where, f"unknown price {key!r}", near(key, changed))
            raw = {"value": value, "unit": _UNIT_IN_NAME[table], "source": source}
            name = f"{table}.{fold(entry)}" if entry else table
            changed[name] = read_quantity(raw, _field(table), f"{where}: {key}")
        return replace(self, **_values(changed), sources=changed)

    def gpu_rental(self, name: str) -> float:
        """Return the rental of one GPU, USD/h.

        Raises
        ------
        BadInput
            The prices do not have it.
        """
        if fold(name) not in self.gpu_usd_per_h:
            accepted = (
                f'one of {", ".join(self.gpu_usd_per_h)}; or override "gpu_usd_per_h.{fold(name)}"'
            )
            raise BadInput(f"{self.where}: gpu_usd_per_h", f"no price of {name!r}", accepted)
        return self.gpu_usd_per_h[fold(name)]

    def memory_usd(self, tier: str, size_bytes: float) -> float:
        """Return what `size_bytes` of a tier (ddr4, ddr5, cxl, nvme) cost to buy, USD."""
        if tier not in self.memory_usd_per_byte:
            accepted = ", ".join(self.memory_usd_per_byte)
            raise BadInput(f"{self.where}: memory_usd_per_gb", f"no price of {tier!r}", accepted)
        return self.memory_usd_per_byte[tier] * size_bytes


def load_prices(name_or_path: str = "default", where: str = "prices") -> Prices:
    """Load a price file by name, or by path to one's own.

    Raises
    ------
    BadInput
        There is none, or the file is bad.
    """
    path = as_path(name_or_path, (".toml",))
    return _shipped(name_or_path, where) if path is None else _read(path, where)


@lru_cache(maxsize=8)
def _shipped(name: str, where: str) -> Prices:
    """Return what the points of a sweep ask for again."""
    known = {file.stem: file for file in (HERE / "prices").glob("*.toml")}
    return _read(pick(name, known, where, "prices"), where)


def system_usd_breakdown(system: System, prices: Prices) -> dict[str, float]:
    """Return USD/h by part: ``gpu``, ``dram``, ``cxl``, ``nvme``, ``power``."""
    hours = prices.amortisation_s / 3600
    extra = [d for d in system.nodes.values() if isinstance(d, Cxl | Ssd) or _cxl_switch(d)]
    cxl = sum(d.capacity_bytes for d in system.cxl().values())
    nvme = sum(d.capacity_bytes for d in system.ssds().values())
    kw = sum(device.tdp_w for device in extra) / 1e3
    return {
        "gpu": sum(prices.gpu_rental(gpu.name) for gpu in system.gpus().values()),
        "dram": _extra_dram_usd(system, prices) / hours,
        "cxl": prices.memory_usd("cxl", cxl) / hours,
        "nvme": prices.memory_usd("nvme", nvme) / hours,
        "power": kw * prices.pue * prices.electricity_usd_per_j * 3.6e6,
    }


def system_usd_per_h(system: System, prices: Prices) -> float:
    """Return what an hour of the system costs, USD; the formula is in the module."""
    return sum(system_usd_breakdown(system, prices).values())


def _cxl_switch(device: Device) -> bool:
    return isinstance(device, Switch) and device.name.startswith("cxl")


def _extra_dram_usd(system: System, prices: Prices) -> float:
    left = prices.included_dram_bytes_per_gpu * len(system.gpus())
    usd = 0.0
    for host in system.hosts().values():
        beyond = max(0.0, host.memory_bytes - left)
        left = max(0.0, left - host.memory_bytes)
        if beyond:
            usd += prices.memory_usd(fold(host.memory_type), beyond)
    return usd


def _field(table: str) -> Field:
    return {"gpu_usd_per_h": _GPU, "memory_usd_per_gb": _MEMORY}.get(table) or _SCALARS[table]


def _read(path: Path, where: str) -> Prices:
    table = read_toml(path, where)
    file = str(path)
    kind_of(table, ("prices",), file)
    aliases_of(table, file)
    texts: dict[str, Any] = {key: text_of(table, key, file) for key in ("name", "summary")}
    tables = ("gpu_usd_per_h", "memory_usd_per_gb")
    head = ("kind", "name", "aliases", "summary", *tables)
    sources = read_quantities({k: v for k, v in table.items() if k not in head}, _SCALARS, file)
    for name in tables:
        entries = table_of(table, name, file)
        fields: Fields = dict.fromkeys(entries, _field(name))
        for key, quantity in read_quantities(entries, fields, f"{file}: {name}").items():
            sources[f"{name}.{fold(key)}"] = quantity
    return Prices(**texts, **_values(sources), where=file, sources=sources)


def _values(sources: Mapping[str, Quantity]) -> dict[str, Any]:
    values: dict[str, Any] = {f.attribute: sources[k].value_si for k, f in _SCALARS.items()}
    for table, name in (("gpu_usd_per_h",) * 2, ("memory_usd_per_gb", "memory_usd_per_byte")):
        start = f"{table}."
        values[name] = {
            key.removeprefix(start): q.value_si
            for key, q in sources.items()
            if key.startswith(start)
        }
    return values
