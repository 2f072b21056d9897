"""Settings of ``bytetrack``."""

from etholoop.modeling.trackers._ultralytics_settings import UltralyticsParams


class Params(UltralyticsParams):
    """``bytetrack.yaml`` of ultralytics 8.4.190."""
