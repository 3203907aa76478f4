"""Real-world files into clean series: `import_series` reads a format and writes down what it changed."""

from __future__ import annotations

from microgrid.case.imports.formats import FORMATS, formats_of, import_series
from microgrid.case.imports.options import ImportOptions
from microgrid.case.imports.reference import LagCheck, compare_in_time
from microgrid.case.imports.regular import CleanSeries

__all__ = ["FORMATS", "CleanSeries", "ImportOptions", "LagCheck", "compare_in_time", "formats_of", "import_series"]
