"""Plug-ins are files: a plug-in's name is its module's name inside a package.

Names are listed without importing anything, so that ``--help`` stays fast and heavy libraries stay asleep.
"""

import importlib
import importlib.util
import pkgutil
from types import ModuleType

from etholoop.errors import EthoLoopError
from etholoop.params import nearest


def names(package: str) -> list[str]:
    """Names of all plug-ins of a package, for example ``names("etholoop.acquisition")``."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise EthoLoopError(f"{package} is not a package of plug-ins.")
    found = pkgutil.iter_modules(spec.submodule_search_locations)
    return sorted(module.name for module in found if not module.name.startswith("_"))


def load(package: str, name: str) -> ModuleType:
    """Import the plug-in ``name``.

    Raises:
        EthoLoopError: no such plug-in; the message names the nearest and lists the known ones.
    """
    known = names(package)
    if name not in known:
        kind = package.rsplit(".", 1)[-1]
        raise EthoLoopError(f"unknown {kind} '{name}'; {nearest(name, known)} (known: {', '.join(known)})")
    return importlib.import_module(f"{package}.{name}")
