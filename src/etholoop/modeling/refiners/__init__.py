"""Refiners: a second look inside each box that moves the keypoints to sub-pixel places. One file per model, found by name.

A plug-in file holds:

* ``class Params(Section)``: its settings; they live in ``_<name>_settings.py``, so that checking them loads no network library;
* ``VERSION``: a number, raised when the same inputs would give other results;
* ``train(images, validation, skeleton, params, *, seed, out, scratch, init_weights=None, progress=None) -> TrainResult``;
* ``class Refiner`` with ``load(path, device="cpu")`` and ``refine(image, boxes, keypoints) -> keypoints``.
"""

import importlib
from typing import Any

from etholoop import registry
from etholoop.errors import EthoLoopError
from etholoop.params import Section, nearest, section_from


def settings_of(name: str, settings: dict[str, Any], where: str) -> Section:
    """Checked settings of the refiner ``name``; all unknown keys and impossible values are named together.

    Raises:
        EthoLoopError: no such refiner.
        FaultsError: faulty settings.
    """
    known = registry.names(__name__)
    if name not in known:
        raise EthoLoopError(f"unknown refiner '{name}'; {nearest(name, known)} (known: {', '.join(known)})")
    module = importlib.import_module(f"{__name__}._{name}_settings")
    return section_from({"settings": settings}, "settings", module.Params, where)
