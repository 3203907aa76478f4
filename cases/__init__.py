"""Cases shipped with the project: one folder a case, and the seeded generator of their series."""
