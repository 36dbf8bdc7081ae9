"""Numba as it is imported here: without what takes long, and with all that it can do."""

import subprocess
import sys
from textwrap import dedent

import pytest


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", dedent(program)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_compiling_imports_no_linear_algebra():
    said = run("""
        import sys
        from tierlab.kernels.base.jit import numba
        jitted = numba().njit(lambda x: x + 1)
        print(jitted(1), "scipy.linalg" in sys.modules, "numba.np.arraymath" in sys.modules)
        import scipy.linalg
        print(scipy.linalg.det([[2.0, 0.0], [0.0, 3.0]]))
    """)
    assert said.split() == ["2", "False", "True", "6.0"]


@pytest.mark.parametrize("before", ["", "import scipy.linalg"])
def test_products_of_matrices_still_compile(before):
    said = run(f"""
        {before}
        import numpy as np
        from tierlab.kernels.base.jit import numba
        square = numba().njit(lambda a: np.dot(a, a) + np.linalg.inv(a) + np.cov(a))
        a = np.array([[2.0, 1.0], [0.0, 4.0]])
        expected = a @ a + np.linalg.inv(a) + np.cov(a)
        print(np.abs(square(a) - expected).max() < 1e-12)
    """)
    assert said == "True"
