"""Settings that the trackers of Ultralytics share. The names are Ultralytics' own, the defaults those of ultralytics 8.4.190.

A test compares the defaults with the files of the installed version, so a new version cannot change them behind our back.
"""

from pydantic import Field

from etholoop.params import Section


class UltralyticsParams(Section):
    """What ``bytetrack.yaml``, ``botsort.yaml`` and ``ocsort.yaml`` have in common."""

    track_high_thresh: float = Field(0.25, ge=0, le=1, description="least confidence of the first round of matching")
    track_low_thresh: float = Field(0.1, ge=0, le=1, description="least confidence of the second round")
    new_track_thresh: float = Field(0.25, ge=0, le=1, description="least confidence of a new track")
    track_buffer: int = Field(30, ge=0, description="looks (frames that the detector saw) for which a lost track is kept")
    match_thresh: float = Field(0.8, ge=0, description="greatest cost of a match")
    fuse_score: bool = Field(True, description="confident detections match more easily")
