"""Settings of ``ocsort``."""

from pydantic import Field

from etholoop.modeling.trackers._ultralytics_settings import UltralyticsParams


class Params(UltralyticsParams):
    """``ocsort.yaml`` of ultralytics 8.4.190."""

    delta_t: int = Field(3, ge=1, description="looks over which the direction of motion is taken")
    inertia: float = Field(0.2, ge=0, description="weight of the direction of motion")
    use_byte: bool = Field(False, description="a second round with detections of low confidence")
