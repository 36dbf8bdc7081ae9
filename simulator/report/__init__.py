"""Runs and sweeps as one page from which people decide."""
