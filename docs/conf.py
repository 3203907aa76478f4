"""Sphinx configuration; reference pages are generated from declarations before every build."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

project = "microgrid"
author = "The microgrid developers"
copyright = "2026, The microgrid developers"  # noqa: A001 - Sphinx's name
extensions = ["myst_parser", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "microgrid"
exclude_patterns = ["_build"]
suppress_warnings = ["misc.highlighting_failure"]


def setup(app: Any) -> None:
    """Generate the reference before pages are read."""
    app.connect("builder-inited", _generate)


def _generate(app: Any) -> None:
    from generate import write_reference  # noqa: PLC0415 - imports the whole program, so only when a build begins

    write_reference(Path(app.srcdir) / "reference" / "generated")
