"""Pictures that `normalise` cut or padded are not sent: their labels would come back in the wrong place."""

from pathlib import Path
from typing import Any

import pytest

from etholoop.commands.labels_push import _refuse_cut_pictures
from etholoop.errors import EthoLoopError


def task(affine: list[float], width: int, height: int) -> dict[str, Any]:
    return {"frame_uid": "a:00000001", "width": 160, "height": 120, "picture": {"width": width, "height": height, "affine": affine}}


def test_another_size_of_the_whole_source_is_sent():
    untouched = {"frame_uid": "b:00000001", "width": 160, "height": 120}
    _refuse_cut_pictures([untouched, task([0.5, 0.0, 0.0, 0.0, 0.5, 0.0], 80, 60)], Path("tasks.json"))


@pytest.mark.parametrize(
    ("affine", "width", "height"),
    [
        pytest.param([0.5, 0.0, 0.0, 0.0, 0.5, 10.0], 80, 80, id="padded"),
        pytest.param([1.0, 0.0, -20.0, 0.0, 1.0, 0.0], 140, 120, id="cut on the left"),
        pytest.param([1.0, 0.0, 0.0, 0.0, 1.0, 0.0], 100, 120, id="cut on the right"),
    ],
)
def test_a_cut_or_padded_picture_is_refused(affine, width, height):
    with pytest.raises(EthoLoopError, match="a:00000001"):
        _refuse_cut_pictures([task(affine, width, height)], Path("tasks.json"))
