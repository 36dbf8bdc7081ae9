"""Systems of one host and some GPUs on a link that a test shapes, and a network on them."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import simpy

from tierlab.hwmodels.catalogue import load_device, load_link, load_system
from tierlab.hwmodels.system import System
from tierlab.hwmodels.topology import assemble
from tierlab.simulator.network.network import Network

Build = Callable[..., Network]


def make_system(gpus: int = 1, **link: float) -> System:
    wire = replace(load_link("pcie5-x16", "test"), **link)
    groups = {
        "host": (load_device("ddr5-server", "test"), 1),
        "gpu": (load_device("h200", "t"), gpus),
    }
    return assemble("bench", "a test's own", "test", groups, [(wire, "host", "gpu")])


def make_network(system: System | str | None = None, **options: bool) -> Network:
    if system is None:
        system = make_system()
    if isinstance(system, str):
        system = load_system(system)
    return Network(simpy.Environment(), system, **options)


@pytest.fixture(scope="session")
def system() -> Callable[..., System]:
    return make_system


@pytest.fixture(scope="session")
def network() -> Build:
    return make_network
