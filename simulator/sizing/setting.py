"""A scenario loaded once, whose tiers are then sized and simulated many times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from tierlab.hwmodels.device import Device
from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.scenario.schema import Scenario
from tierlab.simulator.scenario.tiers import NAMES
from tierlab.simulator.serving.build import Parts, build
from tierlab.simulator.serving.places import Places, find_places
from tierlab.simulator.tiers.build import tier_specs
from tierlab.simulator.tiers.spec import TierSpec

_PROBE_BYTES = 1.0


def with_capacities(scenario: Scenario, sizes_bytes: Mapping[str, float]) -> Scenario:
    """Return the scenario with these capacities; 0 takes a tier away."""
    changed = {
        name: getattr(scenario.tiers, name).model_copy(update={"capacity": size, "hbm_ratio": 0.0})
        for name, size in sizes_bytes.items()
    }
    return scenario.model_copy(update={"tiers": scenario.tiers.model_copy(update=changed)})


@dataclass(frozen=True, eq=False)
class Setting:
    """What does not change while sizes do.

    Attributes
    ----------
    scenario
        As asked, with whatever tiers it has.
    parts
        Its model, system, prices and KV pool.
    """

    scenario: Scenario
    parts: Parts

    @staticmethod
    def of(scenario: Scenario) -> Setting:
        """Build the parts of a scenario.

        Raises
        ------
        BadInput
            As `build`; or the design keeps nothing for other requests.
        """
        parts = build(scenario)
        if not parts.design.policies["reuse"].declares.shares:
            what = f"{parts.design.name} keeps nothing for other requests, so no tier is of use"
            raise BadInput("--design", what, "vllm, or another whose reuse is not none")
        return Setting(scenario, parts)

    @property
    def token_bytes(self) -> float:
        """KV bytes of one token, all ranks of a replica together."""
        engine = self.scenario.engine
        return self.parts.pool.block_bytes * engine.tensor_parallel_size / engine.block_size

    @property
    def hbm_bytes(self) -> float:
        """The KV pool of one replica, whole blocks."""
        pool = self.parts.pool
        ranks = self.scenario.engine.tensor_parallel_size
        return pool.num_blocks * pool.block_bytes * ranks

    @cached_property
    def available(self) -> tuple[str, ...]:
        """The tiers that the hardware has a place for, in the scenario's order."""
        return tuple(name for name in self.scenario.tiers.order if self._has(name))

    def _has(self, name: str) -> bool:
        try:
            self.places(name)
        except BadInput:
            return False
        return True

    def spec(self, name: str) -> TierSpec:
        """Return one tier as the scenario describes it, whatever its size.

        Raises
        ------
        BadInput
            The scenario's keys for it do not fit together.
        """
        alone = with_capacities(self.scenario, dict.fromkeys(NAMES, 0.0) | {name: _PROBE_BYTES})
        engine, tensors = self.scenario.engine, self.parts.model.kv_tensors()
        (spec,) = tier_specs(
            alone.tiers, engine.block_size, self.token_bytes, self.hbm_bytes, tensors
        )
        return spec

    def places(self, name: str) -> list[Places]:
        """Return where each replica's tier of that name lives.

        Raises
        ------
        BadInput
            The hardware has no place for it.
        """
        engine = self.scenario.engine
        specs = (self.spec(name),)
        return find_places(self.parts.system, specs, engine.replicas, engine.tensor_parallel_size)

    def device(self, name: str) -> Device:
        """Return the kind of device that a tier lives on."""
        return self.parts.system.nodes[self.places(name)[0].nodes[name][0]]

    def instances(self, name: str) -> int:
        """Return how many tiers of that name there are: one, or one for each replica."""
        return 1 if self.spec(name).shared else self.scenario.engine.replicas

    def room_bytes(self, name: str) -> float:
        """Return the most bytes that each tier of that name can have on this hardware."""
        each = [place.nodes[name] for place in self.places(name)][: self.instances(name)]
        users = Counter(node for nodes in each for node in nodes)
        system = self.parts.system
        return min(
            len(nodes) * min(system.nodes[node].capacity_bytes / users[node] for node in nodes)
            for nodes in each
        )

    def existing(self) -> dict[str, float]:
        """Return the tiers that the scenario has, name -> bytes of each."""
        section = self.scenario.tiers
        return {
            name: tier.capacity or tier.hbm_ratio * self.hbm_bytes
            for name in section.names()
            if (tier := section.section(name)) is not None
        }
