"""Refiners: a second look inside each box that moves the keypoints to sub-pixel places. One file per model, found by name.

A plug-in file holds:

* ``class Params(Section)``: its settings; they live in ``_<name>_settings.py``, so that checking them loads no network library;
* ``VERSION``: a number, raised when the same inputs would give other results;
* ``train(images, validation, skeleton, params, *, seed, out, scratch, init_weights=None, progress=None) -> TrainResult``;
* ``class Refiner`` with ``load(path, device="cpu")`` and ``refine(image, boxes, keypoints) -> keypoints``; with
  ``export(path)``, ``use(network)`` and ``answer(image, boxes)`` it runs with other backends than torch too.
"""

from typing import Any

from etholoop import registry
from etholoop.params import Section


def settings_of(name: str, settings: dict[str, Any], where: str) -> Section:
    """Checked settings of the refiner ``name``; see :func:`etholoop.registry.settings_of`."""
    return registry.settings_of(__name__, name, settings, where)
