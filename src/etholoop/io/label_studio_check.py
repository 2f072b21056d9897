"""Label Studio's own offline check of what is drawn into tasks, before anything is sent."""

from collections.abc import Iterable, Mapping
from typing import Any

from label_studio_sdk.label_interface import LabelInterface

TIMELINE = "timelinelabels"


def prediction_faults(config: str, tasks: Iterable[Mapping[str, Any]]) -> list[str]:
    """Why the server would refuse the predictions of these tasks, each with the task's uid; empty when it will take them.

    SDK 2.0.19 knows no value of TimelineLabels and calls each one invalid, so those are checked here, by the rule of SDK 2.1.2
    (at least one range with start and end, and a label of that control).
    """
    screen = LabelInterface(config)
    faults = []
    for task in tasks:
        for prediction in task.get("predictions") or []:
            other = [item for item in prediction["result"] if item["type"] != TIMELINE]
            found = screen.validate_prediction({**prediction, "result": other}, return_errors=True)
            found += [fault for item in prediction["result"] if item["type"] == TIMELINE for fault in _timeline_faults(screen, item)]
            faults += [f"{task['data']['uid']}: {fault}" for fault in found]
    return faults


def _timeline_faults(screen: LabelInterface, item: Mapping[str, Any]) -> list[str]:
    controls = {control.name: list(control.labels) for control in screen.controls}
    name, value = item["from_name"], item["value"]
    if name not in controls:
        return [f"no control '{name}' on the screen (there are {', '.join(controls)})"]
    faults = [f"label '{label}' is not one of {', '.join(controls[name])}" for label in value[TIMELINE] if label not in controls[name]]
    whole = value.get("ranges") and all(1 <= part["start"] <= part["end"] for part in value["ranges"])
    return faults if whole else [*faults, f"ranges {value.get('ranges')} are not frames from 1, start before end"]
