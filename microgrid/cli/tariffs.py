"""Commands on tariffs: bill, tariff check, tariff import."""

from __future__ import annotations

COMMANDS: tuple[()] = ()
