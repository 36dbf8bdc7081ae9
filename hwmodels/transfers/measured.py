"""What was measured of one node of a system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tierlab.hwmodels.transfers.file import TransferFile
from tierlab.hwmodels.transfers.way import Way
from tierlab.kernels.base.errors import BadInput


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of one node: a drive, or a GPU and its way to the host.

    Attributes
    ----------
    ways
        (``read`` or ``write``, "") of a drive; (``in`` or ``out``, mechanism) of a GPU.
    mixed_bytes_per_s
        Of a drive: what reads and writes reach together; 0 if not measured.
    """

    file: TransferFile
    ways: Mapping[tuple[str, str], Way]
    mixed_bytes_per_s: float = 0.0

    def way(self, what: str, mechanism: str = "") -> Way:
        """Return one of its ways.

        Raises
        ------
        BadInput
            It was not measured.
        """
        found = self.ways.get((what, mechanism))
        if found is None:
            has = ", ".join(" by ".join(filter(None, key)) for key in self.ways)
            wanted = " by ".join(filter(None, (what, mechanism)))
            raise BadInput(str(self.file.path), f"no rows of {_WORDS[what]} ({wanted})", has)
        return found


_WORDS = {
    "read": "a drive's reads",
    "write": "a drive's writes",
    "in": "copies from host to GPU",
    "out": "copies from GPU to host",
}
