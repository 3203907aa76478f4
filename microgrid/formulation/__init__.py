"""Readable mathematics: time steps, variables, named rules, costs and injections, free of any solver."""
