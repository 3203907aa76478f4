"""The case file: read with positions, validated at once, aligned to its time steps."""
