"""Grid interconnection and behind-the-meter microgrid modeler."""
