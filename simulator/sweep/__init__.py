"""Many points of one scenario: which they are, running them side by side, keeping what came."""
