"""Checks of a policy's parameters: a ``ValueError`` that says what the range is."""


def check_count(name: str, value: object, least: int = 0) -> None:
    """Refuse what is no whole number of at least `least`.

    Raises
    ------
    ValueError
        Said so.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} = {value!r} is no whole number of at least {least}")


def check_share(name: str, value: object) -> None:
    """Refuse what is no number in [0, 1].

    Raises
    ------
    ValueError
        Said so.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1:  # type: ignore[operator]
        raise ValueError(f"{name} = {value!r} is not in [0, 1]")
