"""The same on an NVIDIA GPU: its memory, its kernels, and copies between it and its host."""
