"""What every program has: the meter at which it is settled, and a page of mathematics written after the assets'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from microgrid.formulation.block import Block
from microgrid.schema.quantity import Declared


class Program(Declared):
    """A contract at one meter that pays for what the campus does, or can do, with its power."""

    example: ClassVar[Mapping[str, object]] = {}
    """Fields of a small working instance, for docs and the conformance test."""

    poi: str = Field(description="point of interconnection whose meter settles the program")

    def formulate(self, block: Block) -> None:
        """Write the program's variables, rules and money."""
        raise NotImplementedError


__all__ = ["Program"]
