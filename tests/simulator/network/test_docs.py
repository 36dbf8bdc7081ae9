"""The example of docs/network.md prints what stands under it."""

import contextlib
import io
import re
from pathlib import Path


def test_the_example_prints_what_the_page_says(repository: Path) -> None:
    page = (repository / "docs" / "network.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    output = re.search(r"```text\n(.*?)```", page, re.DOTALL)
    assert code
    assert output
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code[1], "docs/network.md", "exec"), {})
    assert printed.getvalue() == output[1]
