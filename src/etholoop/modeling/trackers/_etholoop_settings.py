"""Settings of EthoLoop's tracker."""

from typing import Literal

from pydantic import Field

from etholoop.params import Section


class Params(Section):
    """Little is to be set: reach, spread and doubt come from each video's own detections."""

    animals: int | None = Field(None, ge=1, description="animals in view; null = the skeleton's number")
    world: Literal["auto", "closed", "open"] = Field(
        "auto", description="closed: exactly so many animals; open: they come and go; auto: closed where their number is known"
    )
    confidence: float = Field(0.25, gt=0, lt=1, description="a detection of this confidence is as likely an animal as not")
    least_confidence: float = Field(0.1, ge=0, lt=1, description="detections below it are not used")
    keypoint_confidence: float = Field(0.05, ge=0, le=1, description="keypoints below it count as missing")
    lost_s: float = Field(10.0, gt=0, description="open world: an animal lost for longer is a new one")
    fill_s: float = Field(0.5, ge=0, description="longest gap that is filled with marked boxes on the line between two detections")
