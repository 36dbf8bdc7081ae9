"""The manifest names every file of the user's that a run read."""

import json
from hashlib import sha256

import pytest

from tierlab.simulator.results.inputs import input_files
from tierlab.simulator.scenario.load import load_scenario

ROUTER = """from dataclasses import dataclass

@dataclass
class First:
    def choose(self, request, replicas):
        return 0

ROUTER = First
"""
POLICY = "from tierlab.policies.reuse.lru import Lru as POLICY\n"
HOST = 'kind = "host_costs"\n'
SCENARIO = """
model = "SmolLM2-135M"
hardware = "2xH200"
design = "mine.toml"
workload = { generator = "poisson", limit = 3, parameters = { requests_per_s = 4.0 } }
engine = { replicas = 2, routing = { name = "router.py" } }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder, the present one, with a scenario and what it names."""
    files = {
        "scenario.toml": SCENARIO,
        "router.py": ROUTER,
        "mine.toml": 'name = "mine"\nreuse = { name = "./policy.py" }\n',
        "policy.py": POLICY,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_policies_and_routers_are_inputs(tierlab, folder):
    tierlab("run", "scenario.toml", "-o", "out")
    inputs = json.loads((folder / "out/manifest.json").read_text())["inputs"]
    names = {"design": "mine.toml", "design:reuse": "policy.py", "engine.routing": "router.py"}
    assert inputs == {
        key: sha256((folder / name).read_bytes()).hexdigest() for key, name in names.items()
    }


def test_a_changed_router_is_another_input(tierlab, folder):
    found = []
    for line in ("", "# changed\n"):
        (folder / "router.py").write_text(ROUTER + line)
        tierlab("run", "scenario.toml", "-o", "out")
        found.append(json.loads((folder / "out/manifest.json").read_text())["inputs"])
    assert found[0].pop("engine.routing") != found[1].pop("engine.routing")
    assert found[0] == found[1]


def test_a_folder_gives_each_of_its_files(folder):
    (folder / "model").mkdir()
    (folder / "model/config.json").write_text("{}")
    (folder / "times/deep").mkdir(parents=True)
    (folder / "times/a.csv").write_text("")
    (folder / "times/deep/b.csv").write_text("")
    settings = ("model=./model", "time.model=profile:times", "tiers.loading=policy.py")
    named = input_files(load_scenario(folder / "scenario.toml", settings))
    assert {key: path.name for key, path in named.items() if key.startswith(("model", "time"))} == {
        "model": "config.json",
        "time.model/a.csv": "a.csv",
        "time.model/deep/b.csv": "b.csv",
    }
    assert named["tiers.loading"].name == "policy.py"


def test_names_of_the_catalogue_are_no_files(folder):
    (folder / "plain.toml").write_text(
        SCENARIO.replace("mine.toml", "vllm").replace('{ name = "router.py" }', '"round_robin"')
    )
    assert input_files(load_scenario(folder / "plain.toml")) == {}


def test_measured_transfers_are_inputs_whatever_they_are_called(folder):
    text = SCENARIO.replace(
        'hardware = "2xH200"', 'hardware = { name = "2xH200", transfers = { gpu = "g.measured" } }'
    )
    (folder / "scenario.toml").write_text(text)
    (folder / "g.measured").write_text("{}")
    found = input_files(load_scenario(folder / "scenario.toml"))
    assert found["hardware.transfers.gpu"].name == "g.measured"
