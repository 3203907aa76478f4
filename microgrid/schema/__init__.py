"""Declared data: what a field is, its unit and limits, and how a broken rule is told."""
