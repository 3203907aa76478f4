"""Concave curves as segments: output against power of many alike machines, without binaries.

Identical machines that may each take any of several working points reach together exactly the convex hull of those
points. Seen from the starting point, the upper hull is a row of segments with falling slope; filled in that order they
give the most output for any power, so one bounded variable a segment and no row at all describes the fleet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

Point = tuple[float, float]


@dataclass(frozen=True)
class Segment:
    """A straight piece: its length along power, and the output gained per power."""

    width: float
    slope: float


def upper_hull(start: Point, points: Iterable[Point]) -> list[Point]:
    """Corners of the upper concave hull from `start` to the largest output, in ascending power.

    Points above which a mix of others gives more output are dropped, and so are points that draw more power than the
    one with the largest output.
    """
    ordered = sorted({start, *points})
    top = max(ordered, key=lambda point: (point[1], -point[0]))
    hull: list[Point] = []
    for point in ordered[: ordered.index(top) + 1]:
        while len(hull) >= 2 and _slope(hull[-2], hull[-1]) <= _slope(hull[-1], point) + 1e-12:
            hull.pop()
        hull.append(point)
    return hull


def thin(hull: Sequence[Point], loss: float) -> list[Point]:
    """Drop corners while the straight line past each loses at most `loss` of output; the ends always stay."""
    kept = list(hull)
    while len(kept) > 2:
        losses = [
            corner[1] - before[1] - _slope(before, after) * (corner[0] - before[0])
            for before, corner, after in zip(kept, kept[1:], kept[2:], strict=False)
        ]
        least = min(range(len(losses)), key=losses.__getitem__)
        if losses[least] > loss:
            break
        del kept[least + 1]
    return kept


def segments(hull: Iterable[Point]) -> list[Segment]:
    """Segments between consecutive corners."""
    return [Segment(after[0] - before[0], _slope(before, after)) for before, after in pairwise(hull)]


def _slope(before: Point, after: Point) -> float:
    return (after[1] - before[1]) / (after[0] - before[0])


__all__ = ["Point", "Segment", "segments", "thin", "upper_hull"]
