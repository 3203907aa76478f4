"""One file, one asset: its fields, units, limits, equations, costs and connection, top to bottom."""
