"""Find tariffs: shipped ones by name, others by path; prices that nobody read at the source are refused by default."""

from __future__ import annotations

from pathlib import Path

from microgrid.errors import InvalidInput, Problem
from microgrid.schema.spelling import did_you_mean
from microgrid.tariffs.model import Tariff
from microgrid.tariffs.read import read_tariff

SHIPPED = Path(__file__).parent / "library"


def tariff_files() -> dict[str, Path]:
    """Shipped tariff files by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.yaml"))}


def tariff_file(name: str | Path, folder: Path | None = None) -> Path:
    """Where the tariff of that name or path (relative to `folder`) is read from."""
    shipped = tariff_files()
    return shipped.get(str(name), Path(name) if folder is None else folder / name)


def list_tariffs() -> dict[str, str]:
    """Shipped tariffs: name → utility, schedule and quality."""
    listed = {}
    for name, path in tariff_files().items():
        tariff = read_tariff(path)
        source = tariff.source
        mark = f" [{source.doubt}]" if source is not None and source.doubt else ""
        listed[name] = f"{tariff.utility}: {tariff.schedule}{mark}"
    return listed


def find_tariff(name: str | Path, *, folder: Path | None = None, allow_secondary: bool = False) -> Tariff:
    """Read the shipped tariff of that name, or the file at that path (relative to `folder`).

    Raises:
        InvalidInput: unknown name or path, a broken file, or a shipped tariff whose prices are secondary or made up,
            unless `allow_secondary`.
    """
    shipped = tariff_files()
    if str(name) in shipped:
        tariff = read_tariff(shipped[str(name)])
        if not allow_secondary and tariff.source is not None and not tariff.source.trusted:
            raise InvalidInput(
                Problem(
                    f"prices are not all from a primary source ({tariff.source.doubt}): {tariff.source.doc}",
                    "read them on the utility's sheet, or state `allow_secondary: true` beside the tariff (`bill`: "
                    "--allow-secondary)",
                    "tariff",
                    str(name),
                )
            )
        return tariff
    path = Path(name) if folder is None else folder / name
    if path.suffix in {".yaml", ".yml"}:
        return read_tariff(path)
    remedy = did_you_mean(str(name), shipped, "see `microgrid list tariffs`, or give the path of a .yaml file")
    raise InvalidInput(Problem("no such tariff", remedy, "tariff", str(name)))


__all__ = ["SHIPPED", "find_tariff", "list_tariffs", "tariff_file", "tariff_files"]
