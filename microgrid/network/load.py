"""Find a network by name or path, build it, and hold it to the contract.

A name is looked for among plug-ins (entry-point group ``microgrid.networks``), then in the networks that ship with the
project. A path ends in ``.py`` (a file with ``build()``, which is run) or ``.json`` (written by pandapower).
"""

from __future__ import annotations

import ast
import importlib.util
import sys
import traceback
from collections.abc import Callable
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pandapower
from pandapower.auxiliary import pandapowerNet

from microgrid.errors import InvalidInput, Problem
from microgrid.network.contract import require_contract
from microgrid.schema.spelling import did_you_mean

GROUP = "microgrid.networks"


def load_network(name_or_path: str | Path) -> Any:
    """Build the network called `name_or_path`, or found at that path.

    Returns:
        a pandapowerNet that fulfils the contract, without assets.

    Raises:
        InvalidInput: unknown name, missing or unreadable file, an error inside ``build()`` (told with its line), or
            broken rules of the contract.
    """
    text = str(name_or_path)
    plugin = _plugins().get(text)
    if plugin is not None:
        return _finish(_call(partial(_run_plugin, plugin), plugin.value), plugin.value)
    packaged = packaged_networks().get(text)
    path = packaged or Path(text)
    if packaged is None and path.suffix not in {".py", ".json"}:
        known = [*_plugins(), *packaged_networks()]
        raise InvalidInput(Problem("there is no such network", _unknown_remedy(text, known), "network", text))
    if not path.is_file():
        siblings = [entry.name for entry in path.parent.glob("*.*")] if path.parent.is_dir() else []
        remedy = did_you_mean(path.name, [name for name in siblings if name.endswith((".py", ".json"))], most=3)
        raise InvalidInput(Problem("there is no such network file", remedy, "network", text))
    read = _read_json if path.suffix == ".json" else _run_file
    return _finish(read(path), str(path))


def list_networks() -> dict[str, str]:
    """First docstring line of every network that can be named, plug-ins first; nothing is run."""
    listed = {name: f"plug-in {plugin.value}" for name, plugin in _plugins().items()}
    for name, path in packaged_networks().items():
        listed.setdefault(name, (ast.get_docstring(_parse(path)) or "").split("\n", 1)[0])
    return listed


def packaged_networks() -> dict[str, Path]:
    """Files of the networks that ship with the project, by name.

    They are the package ``microgrid.networks`` of an installation (wheel or editable), or else the folder
    ``networks`` beside the package in a checkout.
    """
    folder = _packaged_folder()
    if folder is None:
        return {}
    return {path.stem: path for path in sorted(folder.glob("*.py")) if not path.stem.startswith("_")}


def _packaged_folder() -> Path | None:
    specification = importlib.util.find_spec(GROUP)
    places = list(specification.submodule_search_locations or ()) if specification else []
    places.append(str(Path(__file__).parents[2] / "networks"))
    return next((Path(place) for place in places if Path(place).is_dir()), None)


def _plugins() -> dict[str, EntryPoint]:
    return {plugin.name: plugin for plugin in entry_points(group=GROUP)}


def _unknown_remedy(text: str, known: list[str]) -> str:
    return f"{did_you_mean(text, known, most=3)} (a path must end in .py or .json)"


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _run_file(path: Path) -> Any:
    """Run a network file and its ``build()``."""
    name = f"microgrid_network_{path.stem}"
    specification = importlib.util.spec_from_file_location(name, path.resolve())
    if specification is None or specification.loader is None:
        raise InvalidInput(Problem("the file cannot be loaded as Python", "", "network", "", str(path)))
    module = importlib.util.module_from_spec(specification)
    loader = specification.loader

    def run() -> Any:
        sys.modules[name] = module  # dataclasses and pickling look modules up by name
        loader.exec_module(module)
        return _build_function(module, str(path))()

    try:
        return _call(run, str(path))
    finally:
        sys.modules.pop(name, None)


def _run_plugin(plugin: EntryPoint) -> Any:
    return _build_function(plugin.load(), plugin.value)()


def _build_function(found: object, origin: str) -> Callable[[], Any]:
    """``build`` of a module, or the plug-in object itself."""
    build: Callable[[], Any] | object = getattr(found, "build", None) if isinstance(found, ModuleType) else found
    if not callable(build):
        remedy = "define build() that returns a pandapower net; `microgrid new network NAME` writes a start"
        raise InvalidInput(Problem("the file defines no build()", remedy, "build", "", origin))
    return build


def _call(run: Callable[[], Any], origin: str) -> Any:
    """Run a user's code and tell an error inside it with its line."""
    try:
        return run()
    except InvalidInput:
        raise
    except Exception as failure:
        line = _line_of(failure, origin)
        rule = f"building the network raised {type(failure).__name__}: {failure}"
        problem = Problem(rule, "mend the file at this line", "build", "", origin, line)
        raise InvalidInput(problem) from failure


def _line_of(failure: Exception, origin: str) -> int:
    """Last line of the network's own file that the error passed through; 0 where it passed through none."""
    resolved = str(Path(origin).resolve())
    if isinstance(failure, SyntaxError) and failure.filename == resolved:
        return failure.lineno or 0
    frames = [frame for frame in traceback.extract_tb(failure.__traceback__) if frame.filename == resolved]
    return (frames[-1].lineno or 0) if frames else 0


def _read_json(path: Path) -> Any:
    """Read a net written by ``pandapower.to_json``."""
    try:
        return pandapower.from_json(str(path), convert=True)
    except Exception as failure:
        rule = f"the file is not a pandapower network: {type(failure).__name__} {str(failure)[:200]}"
        problem = Problem(rule, "write it with pandapower.to_json(net, path)", "network", "", str(path))
        raise InvalidInput(problem) from failure


def _finish(net: Any, origin: str) -> Any:
    """Hold the result to the contract."""
    if not isinstance(net, pandapowerNet):
        remedy = "return the net that pandapower.create_empty_network() made"
        problem = Problem("build() must return a pandapower net", remedy, "build", type(net).__name__, origin)
        raise InvalidInput(problem)
    require_contract(net, origin)
    return net


__all__ = ["list_networks", "load_network", "packaged_networks"]
