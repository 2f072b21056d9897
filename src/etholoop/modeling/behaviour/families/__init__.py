"""Families of behaviour models: frames of one animal → the probability of every behaviour. One file per family, found by name.

A plug-in file holds:

* ``class Params(Section)``: its settings; they live in ``_<name>_settings.py``, so that checking them loads no network library;
* ``VERSION``: a number, raised when the same inputs would give other results;
* ``view(params, init) -> View``: the pictures that it wants of each animal;
* ``reach(params, init) -> (int, int)``: frames before and after a labelled one that its clips need;
* ``train(train_set, val_set, task, params, *, seed, out, scratch, init, progress) -> Trained``;
* ``class Predictor`` with ``load(path, device, backend)``, ``behaviours``, ``head``, ``view``, ``offsets`` and ``predict(clips)``;
* optionally in ``Predictor``: ``see(picture, window)``, what is kept of a picture (h, w, 3) cut from a window (4,) of the frame, and
  ``clip(list of these)``, what ``predict`` is given of a clip: for families that measure each picture once, not once for each clip;
* optionally ``SEES = BODIES``, and ``sees`` and ``keypoints`` in ``Predictor``: it looks at no pictures but at where the animals are
  (``_bodies.py``), in training (``Strip.images``) and in use;
* ``own_weights(path) -> Init | None`` and ``slowfast_config(values, where)``: files to start from.

The words are those of ``_shared.py``. ``init`` is None or an :class:`~etholoop.modeling.behaviour._shared.Init`.
"""

import importlib
from typing import Any

from etholoop import registry
from etholoop.errors import EthoLoopError
from etholoop.params import Section, nearest_of, section_from


def settings_of(name: str, settings: dict[str, Any], where: str) -> Section:
    """Checked settings of the family ``name``; all unknown keys and impossible values are named together.

    Raises:
        EthoLoopError: no such family.
        FaultsError: faulty settings.
    """
    known = registry.names(__name__)
    if name not in known:
        raise EthoLoopError(f"unknown family of behaviour models '{name}'; {nearest_of(name, known)}")
    module = importlib.import_module(f"{__name__}._{name}_settings")
    return section_from({"settings": settings}, "settings", module.Params, where)
