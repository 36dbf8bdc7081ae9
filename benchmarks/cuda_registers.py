"""Registers and spills of every CUDA kernel, compiled here without a GPU.

python benchmarks/cuda_registers.py
"""

import ctypes

import click

from tierlab.kernels.compute.cuda import nvrtc


def version() -> str:
    """Return NVRTC's own."""
    path = nvrtc.library()
    if path is None:
        raise click.ClickException("the package nvidia-cuda-nvrtc-cu12 is not installed")
    major, minor = ctypes.c_int(), ctypes.c_int()
    ctypes.CDLL(str(path)).nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return f"{major.value}.{minor.value}"


@click.command()
def main() -> None:
    """Print one row a kernel and set of constants."""
    print(f"NVRTC {version()}\n")
    print(f"| source.kernel | constants | {' | '.join(nvrtc.ARCHITECTURES)} | spilt bytes |")
    print(f"|---|---|{'---|' * len(nvrtc.ARCHITECTURES)}---|")
    for name, constants in nvrtc.VARIANTS:
        said = ", ".join(f"{key} {value}" for key, value in constants.items())
        found = [nvrtc.needs(name, arch, constants) for arch in nvrtc.ARCHITECTURES]
        for column in zip(*found, strict=True):
            registers = " | ".join(str(need.registers) for need in column)
            spilt = max(need.spill_bytes for need in column)
            print(f"| {name}.{column[0].kernel} | {said} | {registers} | {spilt} |")


if __name__ == "__main__":
    main()
