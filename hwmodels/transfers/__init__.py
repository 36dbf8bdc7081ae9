"""Measured transfers: what a device really did in place of what its data sheet says."""
