"""What vLLM's arguments say about CUDA graphs.

vLLM 0.19: ``enforce_eager``, ``cudagraph_capture_sizes``, ``max_cudagraph_capture_size``,
``compilation_config`` and ``optimization_level`` (``vllm/config/vllm.py`` OPTIMIZATION_LEVEL_00 to
_03: O0 records nothing, O1 pieces, O2 and O3 whole decodes too).
"""

from __future__ import annotations

from typing import Any

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.fromvllm.values import flag, read, table

MODES = ("none", "piecewise", "full", "full_decode_only", "full_and_piecewise")
BY_NUMBER = {0: "none", 1: "piecewise", 2: "full", (2, 0): MODES[3], (2, 1): MODES[4]}
"""`CUDAGraphMode`'s values (``vllm/config/compilation.py``) -> their names."""
BY_LEVEL = {0: "none", 1: "piecewise", 2: MODES[4], 3: MODES[4]}
SIZES, MOST = "cudagraph_capture_sizes", "max_cudagraph_capture_size"


def graph_settings(values: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the `engine` keys about graphs that these arguments set.

    Raises
    ------
    BadInput
        A mode or level that vLLM does not have, or a value of the wrong kind.
    """
    out: dict[str, Any] = {}
    level = values.get("optimization_level")
    if level is not None:
        out["cudagraph_mode"] = _of_level(level, f"{where}: optimization_level")
    own = values.get("compilation_config")
    compiled = {} if own is None else table(own, f"{where}: compilation_config")
    if compiled.get("cudagraph_mode") is not None:
        given = compiled["cudagraph_mode"]
        out["cudagraph_mode"] = _mode(given, f"{where}: compilation_config.cudagraph_mode")
    for key, kind in ((SIZES, "integers"), (MOST, "integer")):
        given = values.get(key, compiled.get(key))
        if given is not None:
            out[key] = read(given, kind, f"{where}: {key}")
    if SIZES in out:
        out.pop(MOST, None)
    if flag(values.get("enforce_eager")):
        return {"cudagraph_mode": "none"}
    return out


def _mode(given: Any, where: str) -> str:
    number = tuple(given) if isinstance(given, list) else given
    if isinstance(number, int | tuple) and number in BY_NUMBER:
        return BY_NUMBER[number]
    name = str(given).rpartition(".")[2].strip().lower()
    if name not in MODES:
        raise BadInput(where, f"{given!r}", ", ".join(MODES).upper())
    return name


def _of_level(given: Any, where: str) -> str:
    text = str(given).upper().removeprefix("O").removeprefix("PTIMIZATIONLEVEL.O")
    if not text.isdigit() or int(text) not in BY_LEVEL:
        raise BadInput(where, f"{given!r}", "0, 1, 2 or 3")
    return BY_LEVEL[int(text)]
