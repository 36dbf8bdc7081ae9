"""How much of a prompt that lower tiers hold is loaded, and how much is computed again."""
