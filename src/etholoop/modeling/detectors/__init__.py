"""Detectors: models that find animals and, if the skeleton has any, their keypoints. One file per model, found by name.

A plug-in file holds:

* ``class Params(Section)``: its settings; they live in ``_<name>_settings.py``, so that checking them loads no network library;
* ``VERSION``: a number, raised when the same inputs would give other predictions;
* ``train(dataset, out, scratch, skeleton, params, *, init_weights, seed, progress=None) -> TrainResult``;
* ``class Predictor`` with ``load(path, device)``, ``species``, ``n_keypoints`` and
  ``predict(images, *, confidence, iou, max_detections, imgsz, flip) -> list[Prediction]``.

A ``Predictor`` may have more, and then runs with other backends than torch (:mod:`etholoop.modeling.backends`):
``export(path)`` as ONNX, ``known()``: what belongs beside it as JSON, ``use(network)`` to run an exported network,
``answer(image, imgsz)``: everything the network says, to compare backends, and for 8 bits ``picture(image, imgsz)``: what the network
sees, and ``exact_operations()``. Tiles ask for its ``imgsz``. ``_<name>_exported.py`` then holds ``VERSION`` and
``class Finder`` with ``of(known, network)``, which predicts as the ``Predictor`` does and loads no network library.
"""

from typing import Any

from etholoop import registry
from etholoop.params import Section


def settings_of(name: str, settings: dict[str, Any], where: str) -> Section:
    """Checked settings of the detector ``name``; see :func:`etholoop.registry.settings_of`."""
    return registry.settings_of(__name__, name, settings, where)
