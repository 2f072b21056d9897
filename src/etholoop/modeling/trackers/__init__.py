"""Trackers: the detections of one video become tracks. One file per tracker, found by name.

A plug-in file holds:

* ``class Params(Section)``: its settings; they live in ``_<name>_settings.py``, so that checking them loads no library;
* ``VERSION``: a number, raised when the same inputs would give other tracks;
* ``track(frames, settings, *, fps, width, height) -> DataFrame``: the columns of ``schema.tracks.Tracks`` without ``video_id``, sorted
  by track and frame. A pure function of one video's detections: no state outlives the call.
"""

import importlib
from typing import Any

from etholoop import registry
from etholoop.errors import EthoLoopError
from etholoop.params import Section, nearest_of, section_from


def settings_of(name: str, settings: dict[str, Any], where: str) -> Section:
    """Checked settings of the tracker ``name``; all unknown keys and impossible values are named together.

    Raises:
        EthoLoopError: no such tracker.
        FaultsError: faulty settings.
    """
    known = registry.names(__name__)
    if name not in known:
        raise EthoLoopError(f"unknown tracker '{name}'; {nearest_of(name, known)}")
    module = importlib.import_module(f"{__name__}._{name}_settings")
    return section_from({"settings": settings}, "settings", module.Params, where)
