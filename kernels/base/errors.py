"""Errors that are the user's to fix, told in one line."""


class BadInput(Exception):
    """Input that tierlab refuses: where it stands, what is wrong, what would be accepted.

    The command line prints it as one line and exits with status 2.

    Parameters
    ----------
    where
        The file, with line or key; or the option (``--model``).
    what
        What is wrong, with the offending value.
    accepted
        What would be accepted instead; empty where `what` already says it.
    """

    def __init__(self, where: str, what: str, accepted: str = "") -> None:
        self.where = where
        self.what = what
        self.accepted = accepted
        super().__init__(where, what, accepted)  # SimPy and pickle make it anew from these

    def __str__(self) -> str:
        """Return the one line."""
        return self.line()

    def line(self) -> str:
        """Return the one line that a person reads."""
        tail = f"; accepted: {self.accepted}" if self.accepted else ""
        return " ".join(f"{self.where}: {self.what}{tail}".split())


class BrokenLaw(Exception):
    """A conservation law did not hold: a defect in tierlab, never the user's fault."""
