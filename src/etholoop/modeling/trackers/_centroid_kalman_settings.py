"""Settings of ``centroid_kalman``. The names and defaults are those of kabr-tools."""

from pydantic import Field

from etholoop.params import Section


class Params(Section):
    """kabr-tools' own tracker."""

    max_disappeared: int = Field(40, ge=0, description="looks for which a lost animal is kept; tracks of no more looks are forgotten")
    max_distance: float = Field(300.0, gt=0, description="pixels between where an animal is expected and where it is seen")
    interpolation: bool = Field(True, description="fill the frames between two detections of one animal")
