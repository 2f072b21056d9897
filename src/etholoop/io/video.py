"""Videos: which frames a file really holds, and any of them by number.

This is the public face; each idea has a file of its own: what is opened (`_video_open`), what packets promise (`_video_packets`),
which frames are damaged (`_video_damage`), the index (`_video_index`) and how it is made (`_video_probe`, `_video_apart`), finding a
picture (`_video_cursor`), its pixels (`_video_pixels`), reading (`_video_reader`) and writing (`_video_write`).
"""

from etholoop.io._video_apart import probe_apart
from etholoop.io._video_cursor import Cursor
from etholoop.io._video_index import NO_TIME, Gap, VideoIndex, VideoInfo
from etholoop.io._video_open import CODECS, CONTAINERS, VideoFault, VideoLimits
from etholoop.io._video_probe import PROBE_VERSION, probe
from etholoop.io._video_reader import THREADS_VARIABLE, VideoReader
from etholoop.io._video_write import write_video

__all__ = [
    "CODECS",
    "CONTAINERS",
    "NO_TIME",
    "PROBE_VERSION",
    "THREADS_VARIABLE",
    "Cursor",
    "Gap",
    "VideoFault",
    "VideoIndex",
    "VideoInfo",
    "VideoLimits",
    "VideoReader",
    "probe",
    "probe_apart",
    "write_video",
]
