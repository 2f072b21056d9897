"""CVAT 1.1 XML ("CVAT for video"): tracks of boxes and points with their marks and attributes, in and out.

This is the public face: records (`_cvat_records`), reading (`_cvat_read`), writing (`_cvat_write`), our tables (`_cvat_tables`). The format
counts frames from 0 and puts coordinates on a plane whose origin is the outer corner of the first pixel, as we do.
"""

from etholoop.io._cvat_read import read
from etholoop.io._cvat_records import BOX, POINTS, Annotations, Meta, Shape, Track
from etholoop.io._cvat_tables import from_tracks, labels_by_frame, to_tracks, upright, without_hidden
from etholoop.io._cvat_write import text, write

__all__ = [
    "BOX",
    "POINTS",
    "Annotations",
    "Meta",
    "Shape",
    "Track",
    "from_tracks",
    "labels_by_frame",
    "read",
    "text",
    "to_tracks",
    "upright",
    "without_hidden",
    "write",
]
