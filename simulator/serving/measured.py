"""``hardware.transfers``: the measured copies that a scenario asks for, in its system."""

from __future__ import annotations

from tierlab.hwmodels.device import Ssd
from tierlab.hwmodels.system import System
from tierlab.hwmodels.transfers.machine import Asked, with_transfers
from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.network.route import find_route
from tierlab.simulator.network.rules import rules_of
from tierlab.simulator.scenario.schema import Scenario
from tierlab.simulator.scenario.tiers import TierSection
from tierlab.simulator.serving.places import nodes_called

_WHERE = "hardware.transfers"


def measured(system: System, scenario: Scenario) -> System:
    """Return the system with measured transfers in the place of typed figures.

    Raises
    ------
    BadInput
        As `with_transfers`; a tier copies in a way that its file did not measure; or a queue
        depth is given for what has no measured times.
    """
    asked = scenario.hardware.transfers
    depths = _depths(system, scenario)
    if asked not in (None, [], {}):
        files = (
            {key: (path,) for key, path in asked.items()}
            if isinstance(asked, dict)
            else {"": (asked,) if isinstance(asked, str) else tuple(asked)}
        )
        system = with_transfers(system, Asked(files, depths, scenario.time.band, _WHERE))
    for node in depths:
        if node not in system.measured:
            what = f"{node} has no measured times, and its data sheet knows no depth"
            raise BadInput("tiers", f"queue_depth: {what}", f"{_WHERE} of its reads and writes")
    _check_tiers(system, scenario)
    return system


def _tiers(scenario: Scenario) -> list[tuple[str, TierSection]]:
    section = scenario.tiers
    return [(name, getattr(section, name)) for name in section.names()]


def _depths(system: System, scenario: Scenario) -> dict[str, int]:
    """Return the drives whose depth a tier says."""
    out: dict[str, int] = {}
    for name, tier in _tiers(scenario):
        if tier.queue_depth is None:
            continue
        where = f"tiers.{name}.queue_depth"
        for node in nodes_called(system, tier.device or name, f"tiers.{name}.device"):
            if not isinstance(system.nodes[node], Ssd):
                raise BadInput(where, f"{node} is no drive", "a tier on a drive")
            if out.setdefault(node, tier.queue_depth) != tier.queue_depth:
                what = f"{tier.queue_depth}, but another tier on {node} says {out[node]}"
                raise BadInput(where, what, "one depth for a drive")
    return out


def _check_tiers(system: System, scenario: Scenario) -> None:
    """Find the ways of all tiers before the run, so that none proves unmeasured in its middle."""
    if not system.measured:
        return
    rules, gpu = rules_of(system), next(iter(system.gpus()))
    for name, tier in _tiers(scenario):
        nodes = nodes_called(system, tier.device or name, f"tiers.{name}.device")
        for node in (n for n in nodes if system.connects(n, gpu)):
            find_route(system, rules, node, gpu, tier.mechanism, False)
            if tier.write != "never":
                find_route(system, rules, gpu, node, tier.mechanism, False)
