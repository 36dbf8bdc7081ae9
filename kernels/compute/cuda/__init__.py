"""CUDA sources, how they are compiled and how they are launched."""
