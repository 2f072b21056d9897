"""Settings of ``botsort``."""

from typing import Literal

from pydantic import Field

from etholoop.modeling.trackers._ultralytics_settings import UltralyticsParams


class Params(UltralyticsParams):
    """``botsort.yaml`` of ultralytics 8.4.190, but for the camera's motion: a tracker sees no pixels here, so it is always "none"."""

    gmc_method: Literal["none"] = Field("none", description="compensation of the camera's motion needs pixels: none")
    proximity_thresh: float = Field(0.5, ge=0, le=1, description="least IoU at which appearance is looked at")
    appearance_thresh: float = Field(0.8, ge=0, le=1, description="least similarity of appearance")
    with_reid: bool = Field(False, description="use the detections' embeddings; an error where they have none")
