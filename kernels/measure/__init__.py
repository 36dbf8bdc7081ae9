"""What this machine really does: memory, files, kernels and copies, timed and kept with their spread."""
