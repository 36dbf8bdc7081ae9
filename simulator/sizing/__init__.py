"""Sizing: how large a tier must be, what the next doubling buys, when a load beats computing."""
