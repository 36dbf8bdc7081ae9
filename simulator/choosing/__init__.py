"""Choosing among the points of a sweep: objectives, constraints, the Pareto set, sensitivity."""
