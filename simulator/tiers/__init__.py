"""A prefix cache over tiers below HBM: what is where, and what must be copied. It has no clock."""
