"""Analytic kernel models with fitted parameters: tiles, waves over SMs, L2, launch cost."""
