"""``vllm serve MODEL --max-num-seqs 64 ...``: a command line as names and values."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

from tierlab.kernels.base.errors import BadInput

SERVER = "vllm.entrypoints.openai.api_server"
SHORT = {
    "-tp": "tensor-parallel-size",
    "-pp": "pipeline-parallel-size",
    "-dp": "data-parallel-size",
    "-dcp": "decode-context-parallel-size",
    "-pcp": "prefill-context-parallel-size",
    "-ep": "enable-expert-parallel",
    "-q": "quantization",
    "-O": "optimization-level",
    "-cc": "compilation-config",
    "-ac": "attention-config",
    "-n": "nnodes",
    "-r": "node-rank",
}
_IMAGE = re.compile(r"/api_server\.py$|(^|/)vllm-openai(:|@|$)")
"""What starts the server without saying so: its file, or the official container image."""
_OPTION = re.compile(r"--?[A-Za-z]")


def is_command(text: str) -> bool:
    """Tell a command line from the name of a file."""
    return bool(re.search(r"\bvllm\s+\w|(^|\s)--[a-z]", text)) or SERVER in text


def read_command(text: str, where: str) -> dict[str, Any]:
    """Return the arguments of one command; flags are True, ``--no-`` flags False.

    What stands before ``serve`` or the container image (environment, ``docker run``) is not looked
    at.

    Raises
    ------
    BadInput
        It is no ``vllm serve`` or API server, or has something that is no option.
    """
    words = _engine_words(_split(text, where), where)
    values: dict[str, Any] = {}
    if words and not _OPTION.match(words[0]):
        values["model"] = words.pop(0)
    for name, value in _options(words, where):
        if name in values:
            raise BadInput(where, f"--{name} is given twice", "each option once")
        values[name] = value
    return values


def _split(text: str, where: str) -> list[str]:
    try:
        return shlex.split(text.replace("\\\n", " "), comments=True)
    except ValueError as error:
        raise BadInput(where, f"broken command line: {error}", "balanced quotes") from None


def _engine_words(words: list[str], where: str) -> list[str]:
    """Return what follows ``vllm serve``, the API server's module, or nothing at all."""
    if "bench" in words[:3]:
        raise BadInput(where, "vllm bench is a client", "the engine's vllm serve command")
    for i, word in enumerate(words):
        if word in ("serve", SERVER) or _IMAGE.search(word):
            return words[i + 1 :]
    if words and words[0].startswith("--"):
        return words
    raise BadInput(where, "no vllm serve in the command line", "vllm serve MODEL --option value")


def _options(words: list[str], where: str) -> Iterator[tuple[str, Any]]:
    """Yield name and value: True and False of flags, text, or a list of several texts."""
    i = 0
    while i < len(words):
        if not _OPTION.match(words[i]):
            raise BadInput(where, f"{words[i]!r} belongs to no option", "MODEL right after serve")
        option, equals, value = words[i].partition("=")
        end = i + 1
        while not equals and end < len(words) and not _OPTION.match(words[end]):
            end += 1
        yield _pair(option, [value] if equals else words[i + 1 : end], where)
        i = end


def _pair(option: str, given: list[str], where: str) -> tuple[str, Any]:
    if re.fullmatch(r"-O\.?\d", option):
        option, given = "-O", [option[-1]]
    if option not in SHORT and not option.startswith("--"):
        raise BadInput(where, f"unknown short option {option!r}", ", ".join(SHORT))
    name = SHORT.get(option, option.removeprefix("--")).replace("_", "-")
    if not given:
        negated = name.startswith("no-")
        return name.removeprefix("no-"), not negated
    return name, given[0] if len(given) == 1 else given
