"""Label Studio's labelling screens, written from ``skeleton.yaml`` and ``ethogram.yaml``: one source, so that screen and pipeline agree.

The names of the controls below are the language of every label that comes back; ``io/label_studio_annotations.py`` reads them.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence

from etholoop.schema.ethogram import Behaviour, Ethogram
from etholoop.schema.skeleton import Skeleton

IMAGE, VIDEO = "image", "video"
ANIMAL, KEYPOINT = "animal", "keypoint"
VISIBILITY, IDENTITY, STATUS, NOTE = "visibility", "identity", "frame", "note"
VISIBLE, HIDDEN = "visible", "hidden"
NO_ANIMAL, UNUSABLE = "no_animal", "unusable"
POINT_HINT = "Keypoint inside a box: hold Ctrl and click (a plain click selects the box). Key u lets go of what is selected."
LOOKED_AT = "looked_at"
"""Control and label of time that was looked at, where that was not the whole window."""

PALETTE = (
    "#d55e00",
    "#0072b2",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#8c6bb1",
    "#a6761d",
    "#e7298a",
    "#66a61e",
    "#f0e442",
    "#666666",
)
"""Okabe and Ito's colours first (told apart by colour-blind people too), then others."""

RETIRED = "#bbbbbb"
KEYPOINT_KEYS = "1234567890qwetyiopasfgjklcvm"
CLASS_KEYS = "bdzwetyiopasfgjklcv"
STATUS_KEYS = {NO_ANIMAL: "n", UNUSABLE: "x"}
VISIBLE_KEY, HIDDEN_KEY = "=", "-"
"""Label Studio gives numbers to choices without a key, and those belong to the keypoints."""
BEHAVIOUR_KEYS = "1234567890qwetyiopasfgjklcvbdzmnx"
"""Candidates where the files name no key. Label Studio itself uses h, r, u and combinations with Ctrl and Alt."""


def frames_config(skeleton: Skeleton) -> str:
    """The screen for frames: boxes by class, keypoints that belong to a box, visibility, identity, frame status, a note."""
    view = ET.Element("View")
    ET.SubElement(view, "Header", value="$title", size="5")
    ET.SubElement(
        view, "Image", name=IMAGE, value="$image", zoom="true", zoomControl="true", rotateControl="false", brightnessControl="true",
        contrastControl="true",
        crosshair="true", defaultZoom="auto",
    )  # fmt: skip
    _labels(view, "RectangleLabels", ANIMAL, IMAGE, _with_keys(skeleton.species, _class_keys(skeleton)), canRotate="false")
    if skeleton.keypoints:
        ET.SubElement(view, "Header", value=POINT_HINT, size="6")
        points = _labels(view, "KeyPointLabels", KEYPOINT, IMAGE, _with_keys(skeleton.keypoint_names, KEYPOINT_KEYS), strokeWidth="6")
        for index, label in enumerate(points):
            label.set("model_index", str(index))
        _choices(view, VISIBILITY, [(VISIBLE, VISIBLE_KEY), (HIDDEN, HIDDEN_KEY)], perRegion="true", whenTagName=KEYPOINT)
    ET.SubElement(
        view, "TextArea", name=IDENTITY, toName=IMAGE, perRegion="true", whenTagName=ANIMAL, maxSubmissions="1", editable="true",
        placeholder="identity: name of this individual, if known",
    )  # fmt: skip
    _choices(view, STATUS, list(STATUS_KEYS.items()))
    _note(view, IMAGE)
    return _text(view)


def behaviour_config(ethogram: Ethogram, retired: Mapping[str, str] | None = None) -> str:
    """The screen for behaviour: a video and a timeline, one control for each exclusive group and for each free behaviour.

    ``retired``: words of an earlier ethogram that labels on the server still hold, and their controls; they stand last, grey, keyless.
    """
    view = ET.Element("View")
    ET.SubElement(view, "Header", value="$title", size="5")
    ET.SubElement(view, "Video", name=VIDEO, value="$video", frameRate="$fps", timelineHeight="160")
    keys = _behaviour_keys(ethogram)
    colours = {name: PALETTE[index % len(PALETTE)] for index, name in enumerate(ethogram.names)}
    for name, members in behaviour_controls(ethogram).items():
        control = ET.SubElement(view, "TimelineLabels", name=name, toName=VIDEO)
        for behaviour in members:
            label = ET.SubElement(control, "Label", value=behaviour.name, background=colours[behaviour.name], hint=behaviour.definition)
            key = keys[behaviour.name]
            if key:
                label.set("hotkey", key)
    for word, name in (retired or {}).items():
        known = [element for element in view if element.get("name") == name]
        control = known[0] if known else ET.SubElement(view, "TimelineLabels", name=name, toName=VIDEO)
        ET.SubElement(control, "Label", value=word, background=RETIRED, hint="an earlier word of the ethogram: please use those of today")
    control = ET.SubElement(view, "TimelineLabels", name=LOOKED_AT, toName=VIDEO)
    ET.SubElement(control, "Label", value=LOOKED_AT, background="#cccccc")
    _note(view, VIDEO)
    return _text(view)


def behaviour_controls(ethogram: Ethogram) -> dict[str, list[Behaviour]]:
    """Behaviours by control: those of an exclusive group together, every other one alone; order of the file."""
    controls: dict[str, list[Behaviour]] = {}
    for behaviour in ethogram.behaviours:
        kind, name = ("group", behaviour.exclusive_group) if behaviour.exclusive_group else ("behaviour", behaviour.name)
        controls.setdefault(f"{kind}_{re.sub(r'[^0-9A-Za-z_]', '_', name)}", []).append(behaviour)
    return controls


def hotkeys(config: str) -> dict[str, str]:
    """Label or choice by key, as the screen has them."""
    elements = ET.fromstring(config).iter()
    return {element.get("hotkey", ""): element.get("value", "") for element in elements if element.get("hotkey")}


def _labels(view: ET.Element, tag: str, name: str, to: str, labels: Iterable[tuple[str, str | None]], **attributes: str) -> ET.Element:
    control = ET.SubElement(view, tag, {"name": name, "toName": to, **attributes})
    for index, (value, key) in enumerate(labels):
        label = ET.SubElement(control, "Label", value=value, background=PALETTE[index % len(PALETTE)])
        if key:
            label.set("hotkey", key)
    return control


def _choices(view: ET.Element, name: str, choices: Sequence[tuple[str, str | None]], **attributes: str) -> None:
    control = ET.SubElement(view, "Choices", {"name": name, "toName": IMAGE, "choice": "single-radio", "showInline": "true", **attributes})
    for value, key in choices:
        choice = ET.SubElement(control, "Choice", value=value)
        if key:
            choice.set("hotkey", key)


def _note(view: ET.Element, to: str) -> None:
    ET.SubElement(view, "TextArea", name=NOTE, toName=to, maxSubmissions="1", editable="true", placeholder="note about this frame or video")


def _with_keys(names: Sequence[str], keys: Sequence[str]) -> list[tuple[str, str | None]]:
    """Names beyond the last key have none and are chosen with the mouse."""
    return [(name, keys[index] if index < len(keys) else None) for index, name in enumerate(names)]


def _class_keys(skeleton: Skeleton) -> list[str]:
    taken = {*KEYPOINT_KEYS[: len(skeleton.keypoints)], *STATUS_KEYS.values()}
    return [key for key in CLASS_KEYS if key not in taken]


def _behaviour_keys(ethogram: Ethogram) -> dict[str, str | None]:
    given = {behaviour.name: behaviour.key for behaviour in ethogram.behaviours if behaviour.key}
    free = iter([key for key in BEHAVIOUR_KEYS if key not in given.values()])
    return {name: given.get(name) or next(free, None) for name in ethogram.names}


def _text(view: ET.Element) -> str:
    ET.indent(view)
    return ET.tostring(view, encoding="unicode") + "\n"
