"""What models compute, made real: a NumPy, a Numba and a CuPy version of each operation."""
