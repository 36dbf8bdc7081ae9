"""Few rows, before numba is imported, are answered to the last bit as many are."""

import subprocess
import sys

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon import tiles, trees
from tierlab.hwmodels.time.silicon.make import silicon
from tierlab.kernels.ops.table import OpTable

ATTENTION = {"heads": 32, "kv_heads": 8, "head_dim": 128}
ASKED = {
    "gemm": OpTable.build("gemm", "bf16", m=2.0 ** np.arange(14), n=4096, k=[64, 14336] * 7),
    "fp8": OpTable.build("gemm", "fp8", m=[1, 17, 513], n=2560, k=8192),
    "decode": OpTable.build(
        "decode_attention", "bf16", "fp8", batch=[1, 77, 900], q_len=1, kv_len=[9, 4097, 1e6],
        kv_len_spread=[0, 1.5, 0], **ATTENTION,
    ),
    "prefill": OpTable.build(
        "prefill_attention", "bf16", "bf16", batch=1, q_len=[7, 2048, 1e5], kv_len=1e5, **ATTENTION
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("device", ["H200", "L40S", "A6000"])
def test_both_forms_say_the_same(name, device, monkeypatch):
    model = silicon(None, load_device(device, "test"), None, "test")
    found = []
    for few in (True, False):
        for module in (tiles, trees):
            monkeypatch.setattr(module, "plain", lambda rows, few=few: few)
        found.append(model.predict(ASKED[name]))
    for field in ("seconds", "p10", "p90"):
        np.testing.assert_array_equal(*(getattr(times, field) for times in found))


def test_a_plan_does_not_import_numba():
    words = (
        "['tierlab', 'plan', '--model', 'Llama-3.1-8B', '--hardware', 'H100', '--context', '4096']"
    )
    code = (
        f"import sys; sys.argv = {words}\n"
        "from tierlab.simulator.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert 'numba' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
