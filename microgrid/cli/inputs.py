"""Commands on inputs: economics and import of real-world files."""

from __future__ import annotations

COMMANDS: tuple[()] = ()
