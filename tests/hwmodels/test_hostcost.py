import pytest

from tierlab.hwmodels.hostcost import COSTS, NO_HOST, load_host_costs
from tierlab.hwmodels.tomlfile import HERE
from tierlab.kernels.base.errors import BadInput

FILES = sorted((HERE / "hostcosts").glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_shipped_costs_have_a_source_each(path):
    costs = load_host_costs(path.stem, "test")
    assert costs.name == path.stem
    assert set(costs.sources) == {key.removesuffix("_s") for key in COSTS}
    assert all(0 < getattr(costs, key) < 1e-2 for key in COSTS)
    assert all(len(q.source) > 20 for q in costs.sources.values())


def test_none_takes_no_time():
    assert load_host_costs("None", "test") is NO_HOST
    assert not any(getattr(NO_HOST, key) for key in COSTS)


def test_aliases_and_paths():
    path = HERE / "hostcosts/vllm-v1.toml"
    assert load_host_costs("VLLM", "test") == load_host_costs(str(path), "test")


def test_single_costs_can_be_replaced():
    costs = load_host_costs("vllm", "test").with_overrides({"step_s": 0.5}, "time.host")
    assert costs.step_s == 0.5
    assert costs.launch_s == load_host_costs("vllm", "test").launch_s


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('step = { value = 1, unit = "GB", source = "x" }', "does not measure s"),
        ('step = { value = -1, unit = "us", source = "x" }', "is not above zero"),
        ('stp = { value = 1, unit = "us", source = "x" }', "unknown key 'stp'"),
        ("", "required key 'step' is missing"),
    ],
)
def test_a_bad_file_is_refused_by_name_and_key(tmp_path, line, message):
    text = (HERE / "hostcosts/vllm-v1.toml").read_text()
    bad = [line if row.startswith("step =") else row for row in text.splitlines()]
    path = tmp_path / "mine.toml"
    path.write_text("\n".join(bad))
    with pytest.raises(BadInput, match=message) as refused:
        load_host_costs(str(path), "time.host")
    assert "mine.toml" in str(refused.value)


def test_an_unknown_name_suggests_one():
    with pytest.raises(BadInput, match="did you mean vllm"):
        load_host_costs("vlm", "time.host")


def test_a_negative_override_is_refused():
    with pytest.raises(BadInput, match="time.host.step_s"):
        NO_HOST.with_overrides({"step_s": -1.0}, "time.host")
