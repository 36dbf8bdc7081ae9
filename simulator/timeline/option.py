"""What ``--timeline`` and ``--timeline-window`` ask for."""

from __future__ import annotations

from pathlib import Path

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.timeline.sink import WHERE
from tierlab.simulator.timeline.timeline import Timeline
from tierlab.simulator.timeline.window import WHERE as WINDOW
from tierlab.simulator.timeline.window import Window

IN_RUN = "timeline.json.gz"
"""Its name in a run directory."""


def open_timeline(file: str | None, window: str | None, output: Path | None) -> Timeline | None:
    """Open the file that is asked for; None where none is.

    Parameters
    ----------
    file
        Its path, or empty: `IN_RUN` in the run directory `output`.

    Raises
    ------
    BadInput
        There is no run directory, the file stands in it, it cannot be written, or the window is
        none.
    """
    if file is None:
        if window is not None:
            raise BadInput(WINDOW, "without --timeline", "--timeline as well")
        return None
    shown = Window() if window is None else Window.parse(window)
    if file:
        return Timeline(_outside(Path(file), output), shown)
    if output is None:
        raise BadInput(WHERE, "names no file", "--timeline FILE, or -o DIR as well")
    return Timeline(_beside(output), shown, in_run=True)


def _outside(file: Path, output: Path | None) -> Path:
    """Refuse a file in the run directory, which is replaced as a whole."""
    if output is not None and output.resolve() in file.resolve().parents:
        raise BadInput(
            WHERE, f"{file} lies in {output}", "--timeline without FILE to have it there"
        )
    return file


def _beside(output: Path) -> Path:
    """Return where the file grows until the run directory stands."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput("-o", f"cannot write {output}: {reason}", "a writable place") from None
    return output.parent / f"{output.name}.{IN_RUN}"
