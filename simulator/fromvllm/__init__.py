"""vLLM's engine arguments, read into a scenario."""
