"""Plug-ins are files: a plug-in's name is its module's name inside a package.

Names are listed without importing anything, so that ``--help`` stays fast and heavy libraries stay asleep.
"""

import importlib
import importlib.util
import pkgutil
from types import ModuleType
from typing import Any

from etholoop.errors import EthoLoopError
from etholoop.params import Section, nearest_of, section_from


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
        raise EthoLoopError(f"unknown {_kind(package)} '{name}'; {nearest_of(name, known)}")
    return importlib.import_module(f"{package}.{name}")


def _kind(package: str) -> str:
    room = package.rsplit(".", 1)[-1]
    return "family" if room == "families" else room.removesuffix("s")


def exported(package: str, name: str) -> ModuleType:
    """What runs an exported network of the plug-in ``name``: ``_<name>_exported.py`` beside it, which loads no heavy library.

    Where there is no such file it is the plug-in itself.

    Raises:
        EthoLoopError: no such plug-in.
    """
    if name in names(package) and importlib.util.find_spec(f"{package}._{name}_exported"):
        return importlib.import_module(f"{package}._{name}_exported")
    return load(package, name)


def settings_of(package: str, name: str, settings: dict[str, Any], where: str) -> Section:
    """Checked settings of the plug-in ``name``: the class ``Params`` of ``_<name>_settings.py`` beside it, which loads no heavy library.

    Args:
        where: the file that the settings come from, for the message; all unknown keys and impossible values are named together.

    Raises:
        EthoLoopError: no such plug-in.
        FaultsError: faulty settings.
    """
    known = names(package)
    if name not in known:
        raise EthoLoopError(f"unknown {_kind(package)} '{name}'; {nearest_of(name, known)}")
    module = importlib.import_module(f"{package}._{name}_settings")
    return section_from({"settings": settings}, "settings", module.Params, where)
