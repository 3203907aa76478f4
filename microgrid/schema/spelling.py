"""What a user may have meant by a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

LISTED = 12


def did_you_mean(name: str, known: Iterable[str], otherwise: str | None = None, *, most: int = 1) -> str:
    """Remedy for an unknown name: ``did you mean …?`` with up to `most` near names, whatever their case.

    Where none is near, `otherwise`; where that is not given, the first known names, or nothing when there are none.
    """
    folded = {entry.casefold(): entry for entry in known}
    near = [folded[key] for key in get_close_matches(str(name).strip().casefold(), folded, n=most)]
    if near:
        return f"did you mean {' or '.join(near)}?"
    if otherwise is not None or not folded:
        return otherwise or ""
    return f"known: {', '.join(list(folded.values())[:LISTED])}{' …' if len(folded) > LISTED else ''}"


__all__ = ["did_you_mean"]
