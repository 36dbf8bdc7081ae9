"""A run held against measurements of the real thing, or against another run."""
