"""Our questions as Label Studio tasks, and our label records as Label Studio results.

Label Studio speaks of percent of the image and of video frames from 1 with both ends included; that language ends in this file and in
``label_studio_annotations.py``. A task carries our own uid in its data: numbers of tasks change when tasks are imported again.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from etholoop.core.frame_map import FrameMap, one_to_one
from etholoop.io import label_studio_config as screen
from etholoop.io.label_studio_picture import Picture, picture_of
from etholoop.schema.ethogram import Ethogram

Record = dict[str, Any]
Task = dict[str, Any]
Result = dict[str, Any]

FRAME, BEHAVIOUR = "frame", "behaviour"
LOCAL_FILES = "/data/local-files/?d="
EDGE_PX = 1.0
"""A point so little outside of the picture is rounding, and is drawn on its edge."""


def frame_task(question: Mapping[str, Any], *, model_version: str, image: str, about: Mapping[str, Any] | None = None) -> Task:
    """A frame question of ``select`` (``data/selection/tasks.json``) as a task, its predicted animals drawn in.

    Args:
        image: address under which the server gives out the picture.
        about: more facts for the data, for example cycle and assigned_to.
    """
    names = ("video_id", "frame", "width", "height", "purpose", "rank", "acquisition", "priority", "reason", "session")
    data = {name: question.get(name) for name in names}
    data |= {"uid": question["frame_uid"], "kind": FRAME, "image": image, "title": title(question)} | dict(about or {})
    data |= {"picture": question["picture"]} if question.get("picture") else {}
    task: Task = {"data": data}
    animals = question.get("predictions") or []
    if animals:
        results = animal_results([_predicted(animal) for animal in animals], picture_of(question))
        score = sum(animal["confidence"] for animal in animals) / len(animals)
        task["predictions"] = [{"model_version": model_version, "score": round(score, 6), "result": results}]
    return task


def behaviour_task(
    window: Mapping[str, Any], ethogram: Ethogram, *, model_version: str, video: str, about: Mapping[str, Any] | None = None
) -> Task:
    """A behaviour window as a task.

    Args:
        window: video_id, subject ('' = the only animal), start_frame, stop_frame (exclusive), fps, shown (source frames in the order
            of the proxy, as half-open intervals), and if a model has spoken: bouts and score.
        video: address of the proxy, whose frame k shows the k-th source frame of ``shown``.
    """
    names = ("video_id", "subject", "start_frame", "stop_frame", "fps", "shown", "purpose", "rank", "reason", "session")
    data = {name: window.get(name) for name in names}
    data |= {"uid": window_uid(window), "kind": BEHAVIOUR, "video": video, "title": title(window)} | dict(about or {})
    task: Task = {"data": data}
    if window.get("bouts") is not None:
        results = bout_results(window["bouts"], window["shown"], ethogram)
        task["predictions"] = [{"model_version": model_version, "score": window.get("score"), "result": results}]
    return task


def window_uid(window: Mapping[str, Any]) -> str:
    """One word for one window of one subject, stable over re-imports."""
    return f"{window['video_id']}:{window['start_frame']:08d}-{window['stop_frame']:08d}:{window['subject']}"


def title(question: Mapping[str, Any]) -> str:
    """What stands above the picture."""
    place = f"frame {question['frame']}" if "frame" in question else f"frames {question['start_frame']} to {question['stop_frame'] - 1}"
    subject = f", {question['subject']}" if question.get("subject") else ""
    return f"{question['video_id']}, {place}{subject}: {question.get('reason') or 'please label'}"


def results_of_frame(record: Mapping[str, Any], data: Mapping[str, Any]) -> list[Result]:
    """A frame record of the snapshot as an annotation's result; ``data``: of the task, or width and height alone."""
    results = animal_results(record.get("instances", []), picture_of(data))
    if record["status"] in (screen.NO_ANIMAL, screen.UNUSABLE):
        results.append(_item("status", screen.STATUS, screen.IMAGE, "choices", {"choices": [record["status"]]}))
    if record.get("note"):
        results.append(_item("note", screen.NOTE, screen.IMAGE, "textarea", {"text": [record["note"]]}))
    return results


def results_of_behaviour(record: Mapping[str, Any], shown: Sequence[Sequence[int]], ethogram: Ethogram) -> list[Result]:
    """A behaviour record that lies in one window as an annotation's result; looked_at is written where it is not all that is shown."""
    results = bout_results(record["bouts"], shown, ethogram)
    if [list(part) for part in record["looked_at"]] != [list(part) for part in shown]:
        frames = frame_map(shown)
        marked = [
            _range(f"l{number}", screen.LOOKED_AT, screen.LOOKED_AT, (start, stop), frames)
            for number, (start, stop) in enumerate(record["looked_at"])
        ]
        results += [result for result in marked if result is not None]
    return results


def animal_results(instances: Sequence[Mapping[str, Any]], picture: Picture) -> list[Result]:
    """Keypoints and boxes; a keypoint names its box as parent, so people only move points and never bind them anew.

    Boxes are cut at the edge of the picture; animals and keypoints that it does not show are not drawn.
    Keypoints come first: Label Studio draws what comes first on top, and a point below its box cannot be taken hold of.
    """
    results = []
    for number, instance in enumerate(instances):
        results += _animal_results(f"a{number}", instance, picture)
    results.sort(key=lambda result: "parentID" not in result and result["from_name"] != screen.VISIBILITY)
    width, height = map(round, picture.shown)
    for result in results:
        result |= {"original_width": width, "original_height": height, "image_rotation": 0}
    return results


def _animal_results(name: str, instance: Mapping[str, Any], picture: Picture) -> list[Result]:
    box = picture.cut(instance["box"])
    if box is None:
        return []
    (left, top), (right, bottom) = picture.percent(*box[:2]), picture.percent(*box[2:])
    place = {"x": left, "y": top, "rotation": 0, "width": right - left, "height": bottom - top}
    results = [_item(name, screen.ANIMAL, screen.IMAGE, "rectanglelabels", {**place, "rectanglelabels": [instance["class"]]})]
    if instance.get("confidence") is not None:
        results[0]["score"] = instance["confidence"]
    if instance.get("identity"):
        results.append(_item(name, screen.IDENTITY, screen.IMAGE, "textarea", {**place, "text": [instance["identity"]]}))
    for number, (keypoint, (x, y, visibility)) in enumerate(instance.get("keypoints", {}).items()):
        if picture.shows(x, y, EDGE_PX):
            results += _point_results(f"{name}k{number}", name, keypoint, (*picture.percent(*picture.moved_inside(x, y)), visibility))
    return results


def _point_results(name: str, parent: str, keypoint: str, point: tuple[float, float, int]) -> list[Result]:
    place = {"x": point[0], "y": point[1], "width": 0.5}
    results = [_item(name, screen.KEYPOINT, screen.IMAGE, "keypointlabels", {**place, "keypointlabels": [keypoint]})]
    results[0]["parentID"] = parent
    if point[2] == 1:
        results.append(_item(name, screen.VISIBILITY, screen.IMAGE, "choices", {**place, "choices": [screen.HIDDEN]}))
    return results


def bout_results(bouts: Sequence[Mapping[str, Any]], shown: Sequence[Sequence[int]], ethogram: Ethogram) -> list[Result]:
    """Bouts on the timeline of a proxy, cut to the frames that it shows; one that it does not show at all is not drawn."""
    control = {behaviour.name: name for name, members in screen.behaviour_controls(ethogram).items() for behaviour in members}
    frames = frame_map(shown)
    drawn = [
        _range(f"b{number}", control[bout["behaviour"]], bout["behaviour"], (bout["start"], bout["stop"]), frames)
        for number, bout in enumerate(bouts)
    ]
    return [result for result in drawn if result is not None]


def frame_map(shown: Sequence[Sequence[int]]) -> FrameMap:
    """Which source frame each frame of a proxy shows; ``shown``: half-open intervals of source frames in the order of the proxy."""
    return one_to_one(np.concatenate([np.arange(start, stop) for start, stop in shown]))


def _range(name: str, control: str, label: str, interval: tuple[int, int], frames: FrameMap) -> Result | None:
    """Proxy frames from 1, both ends included; None where no frame of the interval is shown."""
    first, stop = np.searchsorted(frames.source, interval)
    if stop <= first:
        return None
    value = {"ranges": [{"start": int(first) + 1, "end": int(stop)}], "timelinelabels": [label]}
    return _item(name, control, screen.VIDEO, "timelinelabels", value)


def _predicted(animal: Mapping[str, Any]) -> Record:
    """A predicted animal as an instance; its keypoints count as visible until a person says otherwise."""
    points = {name: (x, y, 2) for name, (x, y, _) in animal["keypoints"].items()}
    return {"class": animal["class"], "box": animal["box"], "confidence": animal["confidence"], "keypoints": points}


def _item(name: str, control: str, to: str, kind: str, value: dict[str, Any]) -> Result:
    return {"id": name, "from_name": control, "to_name": to, "type": kind, "value": value}
