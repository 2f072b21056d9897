"""Derived videos, made: pieces encoded side by side and remembered, joined, checked, put in their place."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from etholoop.core.chunks import label_of, runs
from etholoop.errors import FaultsError
from etholoop.io.memo import Memo
from etholoop.project import Project
from etholoop.stages._map import Unit, map_memo
from etholoop.stages._normalise_chunks import Chunk, Feed, chunks_of, make_chunk
from etholoop.stages._normalise_plan import Plan

if TYPE_CHECKING:
    from etholoop.io.sources import Source
    from etholoop.io.transcode import Encoding
    from etholoop.io.video import VideoIndex

STEP = "normalise"
"""Name of the memo; proxies share it, because a piece is a piece."""


@dataclass(frozen=True)
class Quality:
    """How derived videos are encoded; the meaning of each is that of ``normalise`` in params.yaml."""

    codec: str = "h264"
    crf: int = 18
    gop: int = 50
    speed: str = "medium"
    encoder: str = "cpu"


@dataclass(frozen=True)
class Job:
    """One derived video: its source, what is done, and what its pixels depend on."""

    source: "Source"
    plan: Plan
    identity: str


@dataclass(frozen=True)
class Made:
    """The pieces of one derived video in their order, and how they are encoded."""

    job: Job
    parts: tuple[Path, ...]
    encoding: "Encoding"


def make(project: Project, jobs: Sequence[Job], quality: Quality) -> list[Made]:
    """Encode what is not yet in the memo.

    With ``encoder: auto`` hardware that fails half-way is given up for everything, and the CPU does it.

    Raises:
        FaultsError: every piece that could not be made.
    """
    encodings = [encoding_of(job, quality) for job in jobs]
    try:
        return _made(project, jobs, encodings)
    except FaultsError as error:
        software = [encoding_of(job, replace(quality, encoder="cpu")) for job in jobs]
        if quality.encoder != "auto" or software == encodings:
            raise
        print(f"{error}\nThe hardware encoder is given up; the CPU encodes everything again.", file=sys.stderr)
        return _made(project, jobs, software)


def encoding_of(job: Job, quality: Quality) -> "Encoding":
    """The encoding of one derived video, with an encoder that works here."""
    from etholoop.io.transcode import Encoding, working_encoder

    width, height = job.plan.layout.canvas
    encoder = working_encoder(quality.codec, quality.encoder, width, height)
    return Encoding(width, height, job.plan.tick, quality.codec, quality.crf, quality.gop, quality.speed, encoder)


def place(made: Made, path: Path, **facts: Any) -> "VideoIndex":
    """Join the pieces into ``path`` and write the frame map beside it (``<stem>.map.npz``); the index of the video.

    The video is checked, frame count and all times, before it gets its name. The old one goes first and the map comes before the new
    one, so that no video is ever seen beside a map that is not its own.
    """
    from etholoop.io import frame_maps, transcode

    plan = made.job.plan
    path.unlink(missing_ok=True)
    frame_maps.save(path.with_suffix(".map.npz"), plan.frame_map, plan.layout.affine, tick=str(plan.tick), **facts)
    transcode.join(made.parts, plan.ticks, made.encoding, path)
    return transcode.check_times(path, plan.ticks, plan.tick)


def _made(project: Project, jobs: Sequence[Job], encodings: Sequence["Encoding"]) -> list[Made]:
    pieces: list[list[tuple[str, Chunk]]] = []
    units: list[Unit] = []
    for job, encoding in zip(jobs, encodings, strict=True):
        chunks = chunks_of(job.source, job.plan, encoding)
        pieces.append([(chunk.key(job.identity), chunk) for chunk in chunks])
        units += _units(job, pieces[-1])
    folders = map_memo(Memo(project.memo, STEP), units, make_chunk, project, what="encoding", begin=Feed.of)
    return [
        Made(job, tuple(folders[key] / "chunk.mp4" for key, _ in video), encoding)
        for job, video, encoding in zip(jobs, pieces, encodings, strict=True)
    ]


def _units(job: Job, pieces: Sequence[tuple[str, Chunk]]) -> list[Unit]:
    """Units of one derived video; pieces far behind their keyframe are made in one go with the piece before them."""
    shown = [np.unique(chunk.frames) for _, chunk in pieces]
    keyframes = job.source.index().keyframes if job.source.index_path else job.source.frames
    run_of = {place: run for run, places in enumerate(runs(shown, keyframes, len(shown))) for place in places}
    return [
        Unit(key, f"{chunk.video_id} {label_of(shown[place])}", (chunk,), chunk.cost_s, chunk.video_id, f"{chunk.video_id} {run_of[place]}")
        for place, (key, chunk) in enumerate(pieces)
    ]
