"""What this machine really does: memory, files, kernels and copies, timed with their spread."""
