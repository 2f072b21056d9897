"""DVC stage `check_labels`: stop here if labels contradict the videos, the skeleton, the ethogram or each other."""

from typing import TYPE_CHECKING

from pydantic import Field

from etholoop.io import tables
from etholoop.io.vocabulary import read_ethogram, read_skeleton
from etholoop.params import Section
from etholoop.project import Project
from etholoop.schema.annotations import Bouts, Boxes, Keypoints, LabelledFrames
from etholoop.schema.videos import Images, Videos
from etholoop.stages import _gate

if TYPE_CHECKING:
    from etholoop.checks.engine import Gate


class Params(Section):
    """``tolerance_px``: how far over the image's edge counts as rounding. ``box_margin``: share of a box's size, for warnings."""

    tolerance_px: float = Field(1.0, ge=0)
    box_margin: float = Field(0.2, ge=0)


def run(project: Project, params: Params) -> None:
    _gate.ask(project, gate(project, params))


def gate(project: Project, params: Params) -> "Gate":
    """What is asked."""
    from etholoop.checks import labels

    skeleton = read_skeleton(project.skeleton)
    folder = project.annotations
    annotations = labels.Annotations(
        tables.read(folder / "labelled_frames.parquet", LabelledFrames),
        tables.read(folder / "boxes.parquet", Boxes),
        tables.read(folder / "keypoints.parquet", Keypoints),
        tables.read(folder / "bouts.parquet", Bouts),
    )
    return labels.gate(
        annotations,
        tables.read(project.manifest / "videos.parquet", Videos),
        tables.read(project.manifest / "images.parquet", Images),
        species=skeleton.species,
        keypoint_names=skeleton.keypoint_names,
        behaviours=read_ethogram(project.ethogram).names,
        tolerance_px=params.tolerance_px,
        box_margin=params.box_margin,
    )
