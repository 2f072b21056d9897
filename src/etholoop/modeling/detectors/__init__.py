"""Detectors: models that find animals and, if the skeleton has any, their keypoints. One file per model, found by name.

A plug-in file holds:

* ``class Params(Section)``: its settings; they live in ``_<name>_settings.py``, so that checking them loads no network library;
* ``VERSION``: a number, raised when the same inputs would give other predictions;
* ``train(dataset, out, scratch, skeleton, params, *, init_weights, seed, progress=None) -> TrainResult``;
* ``class Predictor`` with ``load(path, device)``, ``species``, ``n_keypoints`` and
  ``predict(images, *, confidence, iou, max_detections, imgsz, flip) -> list[Prediction]``.
"""

import importlib
from typing import Any

from etholoop import registry
from etholoop.errors import EthoLoopError
from etholoop.params import Section, nearest, section_from


def settings_of(name: str, settings: dict[str, Any], where: str) -> Section:
    """Checked settings of the detector ``name``; all unknown keys and impossible values are named together.

    Raises:
        EthoLoopError: no such detector.
        FaultsError: faulty settings.
    """
    known = registry.names(__name__)
    if name not in known:
        raise EthoLoopError(f"unknown detector '{name}'; {nearest(name, known)} (known: {', '.join(known)})")
    module = importlib.import_module(f"{__name__}._{name}_settings")
    return section_from({"settings": settings}, "settings", module.Params, where)
