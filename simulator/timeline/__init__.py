"""A run as a timeline: what happened when, for Perfetto (``--timeline``)."""
