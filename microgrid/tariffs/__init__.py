"""Tariffs: one definition, read by the exact bill and by the optimiser."""
