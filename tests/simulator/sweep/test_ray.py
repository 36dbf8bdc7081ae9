"""A real Ray cluster of two nodes on this machine gives what local cores give."""

import importlib.util
import json
import sys
from types import SimpleNamespace

import polars as pl
import pytest

from tierlab.simulator.sweep.on_ray import results

ABSENT = importlib.util.find_spec("ray") is None
needs_ray = pytest.mark.skipif(ABSENT, reason="needs ray, not installed (extra `ray`)")


@pytest.fixture(scope="module")
def cluster():
    """Start a head and a second node, one core each; only their own processes are ended."""
    import ray
    from ray.cluster_utils import Cluster

    quiet = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=quiet)
    made.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    yield made.address
    ray.shutdown()
    made.shutdown()


@needs_ray
def test_ray_gives_the_same_bytes_as_local_cores(cluster, sweep_file, tierlab, tmp_path, cli):
    text = sweep_file.read_text().replace("[2, 8]", "[2, 8, 16]")
    sweep_file.write_text(text.replace("[vary]", '[vary]\ndesign = ["vllm", "nil"]'))
    told = json.loads(tierlab("sweep", sweep_file, "-o", "ray", "--ray", cluster, "--json").stdout)
    assert (told["points"], told["failed"]) == (18, 9)
    assert cli("sweep", sweep_file, "-o", "local")[0] == 0
    for name in ("points.parquet", "manifest.json", "chosen.parquet"):
        one, two = ((tmp_path / folder / name).read_bytes() for folder in ("ray", "local"))
        assert one == two, name


@needs_ray
def test_ray_resumes_what_was_begun_on_local_cores(cluster, sweep_file, tierlab, tmp_path, cli):
    assert cli("sweep", sweep_file, "-o", "whole")[0] == 0
    assert cli("sweep", sweep_file, "-o", "begun", "--objective", "no-such-figure")[0] == 2
    told = tierlab("sweep", sweep_file, "-o", "begun", "--resume", "--ray", cluster).stderr
    assert "5 points ran, 1 were there" in told
    one, two = ((tmp_path / f / "points.parquet").read_bytes() for f in ("whole", "begun"))
    assert one == two


@needs_ray
def test_a_worker_that_dies_costs_its_point_alone(cluster, deadly_sweep, tierlab, tmp_path):
    json.loads(tierlab("sweep", deadly_sweep, "-o", "out", "--ray", cluster, "--json").stdout)
    points = pl.read_parquet(tmp_path / "out" / "points.parquet")
    assert points["status"].to_list() == ["ok", "ok", "failed", "failed", "ok", "ok"]
    assert points["error"][2] == "the worker process died; perhaps out of memory"


@needs_ray
@pytest.mark.parametrize("name", ["WorkerCrashedError", "NodeDiedError", "OutOfMemoryError"])
def test_a_call_whose_worker_is_gone_has_no_result(name):
    """As Ray tells it: of a process, of its node, and of one that was killed for memory."""
    import ray

    class OneNode:
        exceptions = ray.exceptions
        cluster_resources = staticmethod(dict)

        @staticmethod
        def remote(**_options):
            return lambda work: SimpleNamespace(remote=lambda given: (work, given))

        @staticmethod
        def wait(calls):
            return calls[:1], calls[1:]

        @staticmethod
        def get(call):
            return call[0](call[1])

    def work(given):
        if given == 2:
            raise getattr(ray.exceptions, name)("gone")
        return 10 * given

    assert list(results(OneNode, work, [1, 2, 3])) == [(1, 10), (2, None), (3, 30)]


@needs_ray
def test_an_address_where_nothing_answers(sweep_file, cli):
    status, _, err = cli("sweep", sweep_file, "--ray", "nowhere")
    assert status == 2
    assert "tierlab: error: --ray: no cluster at nowhere" in err.splitlines()[-1]


def test_without_ray_it_says_what_to_install(sweep_file, cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    status, _, err = cli("sweep", sweep_file, "--ray", "auto")
    assert status == 2
    assert "Ray is not installed; accepted: pip install 'tierlab[ray]'" in err
