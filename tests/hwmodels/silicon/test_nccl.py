"""NCCL: the way that its tuner takes, what each way takes, and the curve of what is left over."""

import json

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device, load_system
from tierlab.hwmodels.time.silicon import nccl, own_reduce
from tierlab.hwmodels.time.silicon.calibration import Calibration, dump, load
from tierlab.hwmodels.time.silicon.curve import Curve, smooth
from tierlab.hwmodels.time.silicon.fit import Options, fit
from tierlab.hwmodels.time.silicon.holdout import split
from tierlab.hwmodels.time.silicon.machine import machine_of
from tierlab.hwmodels.time.silicon.measured import KernelKey, Measured
from tierlab.hwmodels.time.silicon.nccl import CHANNELS, MODELS, PEERS
from tierlab.hwmodels.time.silicon.nccl_tuner import LL, LL128, NVLS, SIMPLE, by_ll, fabric, way
from tierlab.hwmodels.time.silicon.own_reduce import ONE, RINGS, SYMMETRIC, TWO
from tierlab.hwmodels.time.silicon.registry import model_of, model_with
from tierlab.kernels.base.errors import BadInput
from tierlab.kernels.ops.table import OpTable

MIB = 2.0**20
SIZES = 2.0 ** np.arange(9, 30)


def machine(device: str):
    return machine_of(load_device(device, "test"))


def messages(op: str, devices: float, payload) -> OpTable:
    """Payloads as NCCL counts them: of a gather, what all devices bring together."""
    each = np.asarray(payload) / (devices if op == "all_gather" else 1.0)
    return OpTable.build(op, "bf16", "none", devices=devices, bytes=each)


@pytest.mark.parametrize(
    ("device", "op", "devices", "last_ll", "then"),
    [
        ("A100", "all_reduce", 2, 0.5, SIMPLE),
        ("A100", "all_gather", 4, 1, SIMPLE),
        ("A100", "all_gather", 8, 2, LL128),
        ("H100", "all_reduce", 2, 1, SIMPLE),
        ("H100", "all_reduce", 4, 2, LL128),
        ("H100", "all_reduce", 8, 1, NVLS),
        ("H200", "reduce_scatter", 2, 2, SIMPLE),
        ("B200", "reduce_scatter", 4, 4, SIMPLE),
        ("B200", "all_gather", 8, 8, SIMPLE),
        ("L40S", "all_gather", 8, 0.5, SIMPLE),
    ],
)
def test_the_tuner_leaves_ll_where_measured_times_step(device, op, devices, last_ll, then):
    """Steps of the public tables of NCCL 2.27 and 2.29; nothing was fitted to them."""
    ways = way(messages(op, devices, [last_ll * MIB, 2 * last_ll * MIB]), op, machine(device))
    assert ways.tolist() == [LL, then]


def test_pcie_has_no_ll128_and_no_switch():
    assert [fabric(machine(d)) for d in ("A100", "L40S", "RTX-4090")] == ["ampere", "pcie", "pcie"]
    ways = way(messages("all_reduce", 8, SIZES), "all_reduce", machine("L40S"))
    assert set(ways.tolist()) == {LL, SIMPLE}


def test_sends_go_by_ll_up_to_16_kib_of_a_channel():
    ops = messages("all_to_all", 4, [64 * 1024.0, 128 * 1024.0, 2 * MIB, 4 * MIB])
    assert by_ll(ops, machine("H100"), one=True).tolist() == [True, False, False, False]
    assert by_ll(ops, machine("A100"), one=False).tolist() == [True, True, True, False]
    assert by_ll(ops, machine("L40S"), one=False).tolist() == [True, True, False, False]


def measured(
    kernel, device: str, schedule: str, *, name: str = "nccl", **changed: float
) -> Measured:
    counts, sizes = (m.ravel() for m in np.meshgrid([2.0, 4.0, 8.0], SIZES))
    ops = OpTable.build(kernel.op, "bf16", "none", devices=counts, bytes=sizes)
    values = {n: p.start for n, p in kernel.parameters.items()} | changed
    seconds = kernel.seconds(ops, machine(device), schedule, values)
    noise = np.random.default_rng(4).normal(0.0, 0.01, len(ops))
    key = KernelKey(kernel.op, "bf16", "none", "test", "1", name)
    return Measured(key, "synthetic", ops, seconds * np.exp(noise))


CASES = [(kernel, schedule) for kernel in MODELS for schedule in kernel.schedules]


@pytest.mark.parametrize(("kernel", "schedule"), CASES, ids=lambda v: getattr(v, "op", v))
def test_known_parameters_are_found(kernel, schedule):
    seen, unseen = split(measured(kernel, "H100", schedule, launch_us=7.0, simple_gbs=320.0))
    assert model_of(seen, machine("H100")) is kernel
    found = fit(seen, machine("H100"), Options(trees=False))
    assert found.schedule == schedule
    error = np.abs(found.seconds(unseen.ops, machine("H100"))[0] / unseen.seconds - 1.0)
    assert np.median(error) < 0.02
    assert np.quantile(error, 0.9) < 0.06


@pytest.mark.parametrize(("kernel", "schedule"), CASES, ids=lambda v: getattr(v, "op", v))
def test_more_bytes_take_no_less_by_one_way(kernel, schedule):
    values = {n: p.start for n, p in kernel.parameters.items()}
    for count in (2.0, 3.0, 8.0, 16.0):
        ops = messages(kernel.op, count, 2.0 ** np.arange(0, 34, 0.25))
        seconds = kernel.seconds(ops, machine("B200"), schedule, values)
        ways = kernel.asked(ops, machine("B200"), schedule, values, seconds)["way"]
        same = ways[1:] == ways[:-1]
        assert np.isfinite(seconds).all()
        assert (np.diff(seconds)[same] >= 0.0).all()


def test_vllm_s_own_all_reduce_leaves_the_rest_to_nccl():
    sizes = [0.01 * MIB, 0.5 * MIB, 2 * MIB, 128 * MIB]
    taken = own_reduce.way(messages("all_reduce", 8, sizes), machine("B200"))
    assert taken.tolist() == [ONE, TWO, SYMMETRIC, RINGS]
    cards = machine("L40S")
    assert own_reduce.way(messages("all_reduce", 2, sizes), cards).tolist() == [ONE] * 3 + [RINGS]
    assert own_reduce.way(messages("all_reduce", 4, sizes), cards).tolist() == [RINGS] * 4


@pytest.mark.parametrize("devices", [3, 5, 7, 16])
def test_vllm_s_own_all_reduce_is_made_for_even_numbers_up_to_eight(devices):
    sizes = [0.01 * MIB, 0.5 * MIB, 2 * MIB, 128 * MIB]
    for device in ("A100", "H100", "B200", "L40S"):
        ops = messages("all_reduce", devices, sizes)
        assert own_reduce.way(ops, machine(device)).tolist() == [RINGS] * len(sizes)


@pytest.mark.parametrize("device", ["A100", "H100", "B200", "L40S"])
def test_one_device_has_nothing_to_send(device):
    (kernel,) = own_reduce.MODELS
    values = {n: p.start for n, p in kernel.parameters.items()}
    took = kernel.seconds(messages("all_reduce", 1, SIZES), machine(device), "own", values)
    assert took.max() < 30e-6


@pytest.mark.parametrize("device", ["A100", "H100", "B200", "L40S"])
def test_vllm_s_own_all_reduce_is_fitted_with_nccl_behind_it(device):
    (kernel,) = own_reduce.MODELS
    known = {"simple_gbs": 90.0, "one_gbs": 40.0}
    seen, unseen = split(measured(kernel, device, "own", name="vllm_custom_graph", **known))
    assert model_of(seen, machine(device)) is kernel
    found = fit(seen, machine(device))
    error = np.abs(found.seconds(unseen.ops, machine(device))[0] / unseen.seconds - 1.0)
    assert np.median(error) < 0.02
    assert np.quantile(error, 0.9) < 0.06


def test_more_cards_share_their_host_and_nvlink_fills_up():
    values = {n: p.start for n, p in MODELS[0].parameters.items()} | {"wider": 1.2, "host": 0.2}

    def gbs(device: str, count: int) -> float:
        ops = OpTable.build("all_reduce", "bf16", "none", devices=count, bytes=2.0**34)
        sent = 2.0**35 * (count - 1) / count
        (took,) = MODELS[0].seconds(ops, machine(device), "rings", values)
        return sent / took / 1e9

    known = values["simple_gbs"]
    assert gbs("A100", 2) == pytest.approx(known, rel=0.01)
    assert gbs("A100", 4) == pytest.approx(1.2 * known, rel=0.01)
    assert gbs("A100", 64) < 1.3 * known
    assert gbs("L40S", 4) == pytest.approx(0.2 * known, rel=0.01)
    assert gbs("L40S", 8) == pytest.approx(0.24 * known, rel=0.01)


def test_sends_that_nobody_names_belong_to_the_older_model():
    assert model_with("all_to_all", "switched").op == "all_to_all"
    assert "switched" in model_with("all_to_all", "switched").schedules
    assert {PEERS, CHANNELS} == set(model_with("all_to_all", PEERS).schedules)


def test_a_curve_is_a_line_between_knots_and_stays_beyond():
    curve = Curve(np.array([1.0, 3.0]), 10.0, np.array([[0.0, 0.1, 0.2], [0.4, 0.1, 0.0]]))

    def at(devices: float, size: float) -> float:
        features = {"devices": np.array([devices]), "bytes": np.array([size])}
        return float(curve(features, np.ones(1))[0])

    assert at(1.0, 10.25) == pytest.approx(0.05)
    assert at(3.0, 10.25) == pytest.approx(0.25)
    assert at(2.0, 10.25) == pytest.approx(0.15)
    assert [at(1.0, 5.0), at(0.0, 40.0), at(9.0, 40.0)] == pytest.approx([0.0, 0.2, 0.0])
    one = Curve(np.array([1.0]), 10.0, np.array([[0.3]]))
    assert one({"devices": np.array([5.0]), "bytes": np.array([3.0])}, np.ones(1))[0] == 0.3


def test_what_is_smoothed_stays_within_its_way():
    at, way_of = np.arange(10.0, 30.0), np.repeat([0.0, 2.0], 10)
    left = np.where(way_of == 0.0, 0.08, -0.08)
    said = smooth(at, way_of, left, at, way_of)
    assert (np.sign(said) == np.sign(left)).all()
    assert (np.abs(said[[4, 14]]) > 0.05).all()
    far = smooth(at, way_of, left, np.array([60.0, 12.0]), np.array([2.0, 3.0]))
    assert np.abs(far).max() < 1e-6
    wild = left.copy()
    wild[4] = 2.0
    assert np.abs(smooth(at, way_of, wild, at, way_of) - said).max() < 0.02


@pytest.fixture(scope="module")
def fitted():
    kernel = MODELS[0]
    data = measured(kernel, "H200", "rings", launch_us=6.0)
    bent = data.seconds * np.exp(0.05 * np.sin(np.log2(data.ops["bytes"])))
    return fit(Measured(data.key, data.source, data.ops, bent), machine("H200"))


def test_curve_and_band_survive_a_file(fitted, tmp_path):
    path = tmp_path / "c.json"
    path.write_text(dump(Calibration("H200", "test", (fitted,))))
    (again,) = load(path, "test", "H200").kernels
    ops, gpu = messages("all_reduce", 4, SIZES * 1.3), load_system("H200").gpu
    before, after = (k.predict(ops, machine_of(gpu)) for k in (fitted, again))
    assert before.seconds.tolist() == after.seconds.tolist()
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4)
    assert (before.p10 < before.seconds).all()
    assert (before.seconds < before.p90).all()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("devices", [2, 8, 4], "rising"),
        ("devices", [], "list of numbers"),
        ("devices", [2, 4], "one a device count"),
        ("logs", [[0.0], [0.0, 0.1], [0.0]], "as many knots"),
        ("logs", [[0.0], ["x"], [0.0]], "a number from -1 to 1"),
        ("logs", [[0.0], [7.0], [0.0]], "a number from -1 to 1"),
        ("first", None, "a number from 0 to 64"),
    ],
)
def test_a_broken_curve_is_refused(key, value, said, fitted, tmp_path):
    path = tmp_path / "c.json"
    table = json.loads(dump(Calibration("H200", "test", (fitted,))))
    table["kernels"][0]["trees"][key] = value
    path.write_text(json.dumps(table))
    with pytest.raises(BadInput, match=said):
        load(path, "test", "H200")


def test_twice_the_cards_over_pcie_share_their_host():
    """Beyond the eight that were measured each gets half at worst, whatever the fit says of fewer.

    What one device gathers from the others grows with them, too.
    """
    machine = machine_of(load_device("L40S", "test"))
    values = {n: p.start for n, p in nccl.OF_RINGS.items()} | {"wider": 0.25}
    kernel = next(k for k in nccl.MODELS if k.op == "all_gather")
    ops = OpTable.build("all_gather", "bf16", devices=[8.0, 16.0, 32.0], bytes=2.0**28)
    eight, twice, four_times = kernel.seconds(ops, machine, nccl.RINGS, values)
    assert twice / eight == pytest.approx(2 * 15 / 7, rel=0.02)
    assert four_times / twice == pytest.approx(2 * 31 / 15, rel=0.02)
