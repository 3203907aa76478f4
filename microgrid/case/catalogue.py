"""What is shipped or installed, by name, with one line each."""

from __future__ import annotations

from microgrid.case.kinds import built_in, is_asset
from microgrid.case.library import list_cases
from microgrid.case.source import read_source


def entries(what: str) -> dict[str, str]:
    """Names and meanings of ``cases``, ``networks``, ``assets``, ``programs``, ``tariffs`` or ``charges``."""
    if what == "cases":
        return {name: str(read_source(file).data.get("title", "")) for name, file in list_cases().items()}
    if what == "networks":
        from microgrid.network.load import list_networks  # noqa: PLC0415 - pandapower is slow to load

        return list_networks()
    if what in {"assets", "programs"}:
        return {
            kind: _first_line(found.__doc__)
            for kind, found in built_in().items()
            if is_asset(found) == (what == "assets")
        }
    if what == "tariffs":
        from microgrid.tariffs.library import list_tariffs  # noqa: PLC0415 - reads files

        return list_tariffs()
    from microgrid.tariffs.model import charge_kinds  # noqa: PLC0415

    return {kind: _first_line(found.__doc__) for kind, found in charge_kinds().items()}


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


__all__ = ["entries"]
