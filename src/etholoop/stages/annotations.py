"""annotations: the snapshot of labels → tables, after checking every label against its source, the skeleton and the ethogram."""

import json
from collections import Counter
from typing import Any, Literal

import pandas as pd

from etholoop.core import labels
from etholoop.core.labels import Extent, Record, Rows
from etholoop.core.naming import source_id
from etholoop.errors import FaultsError
from etholoop.io import atomic, snapshot, tables
from etholoop.io.vocabulary import read_ethogram, read_skeleton
from etholoop.params import Section, nearest
from etholoop.project import Project
from etholoop.schema.annotations import Bouts, Boxes, Dropped, Keypoints, LabelledFrames, LookedAt
from etholoop.schema.columns import frame_uid, parse_frame_uid
from etholoop.schema.ethogram import Ethogram
from etholoop.schema.skeleton import Skeleton
from etholoop.schema.videos import Gaps, Images, Quarantine, Videos

REMEDY = "No table was written. Correct these labels (or skeleton.yaml, ethogram.yaml), or add the source that is missing."

TABLES = {
    "labelled_frames": (LabelledFrames, ["video_id", "frame"]),
    "boxes": (Boxes, ["video_id", "frame", "instance"]),
    "keypoints": (Keypoints, ["video_id", "frame", "instance"]),
    "bouts": (Bouts, ["video_id", "subject", "start_frame", "stop_frame", "behaviour"]),
    "looked_at": (LookedAt, ["video_id", "subject", "start_frame"]),
}
"""Schema and order of rows of each table; keypoints of one animal stay in the order of the skeleton."""


class Params(Section):
    """Whose label counts, and what happens to places outside of the image."""

    prefer: tuple[str, ...] = ()
    """Annotators by precedence where several labelled the same frame or time; the others follow by name."""
    out_of_frame: Literal["fault", "clip"] = "fault"
    """``clip`` cuts boxes at the image's edge and makes keypoints outside of it missing. Up to 1 pixel is always moved onto the edge."""


def run(project: Project, params: Params) -> None:
    """Write the annotation tables, what was dropped and why, and a status.

    Raises:
        FaultsError: every label that cannot be true, each with its frame and annotator.
    """
    given = snapshot.read(project.snapshot)
    skeleton, ethogram = read_skeleton(project.skeleton), read_ethogram(project.ethogram)
    videos, images = tables.read(project.manifest / "videos.parquet", Videos), tables.read(project.manifest / "images.parquet", Images)
    quarantine = tables.read(project.manifest / "quarantine.parquet", Quarantine)
    extents = extents_of(videos, images)
    frames, behaviours, dropped = _without_quarantine(given, _quarantined(quarantine), extents)
    faults = _faults(frames, behaviours, skeleton, ethogram, extents, clip=params.out_of_frame == "clip")
    if faults:
        raise FaultsError(str(project.snapshot), faults, REMEDY)
    frames, lost = _clipped(frames, extents)
    rows = labels.rows_of(frames, behaviours, skeleton, params.prefer)
    in_gaps = _in_gaps(rows, _gaps(project))
    for line in _told_gaps(in_gaps):
        print(f"annotations: {line}")
    _write(project, rows, dropped + lost, _status(given, rows, dropped + lost, params, in_gaps))


def extents_of(videos: pd.DataFrame, images: pd.DataFrame) -> dict[str, Extent]:
    """Size and frames of every source of the manifest."""
    numbers: dict[str, set[int]] = {}
    for image in images.to_dict("records"):
        numbers.setdefault(image["video_id"], set()).add(int(image["frame"]))
    extents = {}
    for video in videos.to_dict("records"):
        frames = frozenset(numbers[video["video_id"]]) if video["video_id"] in numbers else None
        extents[video["video_id"]] = Extent(int(video["width"]), int(video["height"]), int(video["n_frames"]), frames)
    return extents


def _quarantined(quarantine: pd.DataFrame) -> dict[str, str]:
    """Reasons by what cannot be used: the id that a file in quarantine would have had, or the uid of a single image."""
    reasons = {}
    for row in quarantine.to_dict("records"):
        kind, _, name = row["path"].partition("/")
        reason = f"in quarantine: {row['reason']} ({row['path']})"
        if pd.notna(row.get("frame")):
            reasons[frame_uid(source_id(name.rpartition("/")[0], is_folder=True), int(row["frame"]))] = reason
        else:
            reasons[source_id(name, is_folder=kind == "images")] = reason
    return reasons


def _without_quarantine(
    given: snapshot.Snapshot, quarantined: dict[str, str], extents: dict[str, Extent]
) -> tuple[list[Record], list[Record], list[dict[str, str]]]:
    """A broken file must not stop the others, so its labels wait until it is mended; they are counted."""
    # a file may be in quarantine because another one, which is good, has its id or content
    waiting = {name: reason for name, reason in quarantined.items() if name not in extents}
    frames, behaviours, dropped = [], [], []
    for record in given.frames:
        reason = waiting.get(record["uid"]) or waiting.get(parse_frame_uid(record["uid"])[0])
        if reason:
            dropped.append({"what": "frame", "name": record["uid"], "source": record["annotator"], "reason": reason})
        else:
            frames.append(record)
    for record in given.behaviours:
        reason = waiting.get(record["video"])
        if reason:
            dropped.append({"what": "behaviour", "name": record["video"], "source": record["annotator"], "reason": reason})
        else:
            behaviours.append(record)
    return frames, behaviours, dropped


def _faults(
    frames: list[Record], behaviours: list[Record], skeleton: Skeleton, ethogram: Ethogram, extents: dict[str, Extent], *, clip: bool
) -> list[str]:
    """Every label that cannot be true; a source that is not there is named once, however many labels it has."""
    unknown: dict[str, Counter[str]] = {}
    known_frames, known_behaviours = [], []
    for record in frames:
        video_id = parse_frame_uid(record["uid"])[0]
        if video_id in extents:
            known_frames.append(record)
        else:
            unknown.setdefault(video_id, Counter())["frames"] += 1
    for record in behaviours:
        if record["video"] in extents:
            known_behaviours.append(record)
        else:
            unknown.setdefault(record["video"], Counter())["behaviour records"] += 1
    faults = [
        f"there is no source '{name}'; {nearest(name, list(extents))} (labels of it: "
        f"{', '.join(f'{n} {what}' for what, n in sorted(counts.items()))})"
        for name, counts in sorted(unknown.items())
    ]
    faults += [fault for record in known_frames for fault in labels.frame_faults(record, skeleton, extents, clip=clip)]
    return faults + [fault for record in known_behaviours for fault in labels.behaviour_faults(record, ethogram, extents)]


def _gaps(project: Project) -> dict[str, list[tuple[int, int]]]:
    """Frames of each video that cannot be used, as half-open intervals; none in a manifest that knows no gaps."""
    path = project.manifest / "gaps.parquet"
    found: dict[str, list[tuple[int, int]]] = {}
    for row in tables.read(path, Gaps).to_dict("records") if path.is_file() else []:
        found.setdefault(row["video_id"], []).append((int(row["start_frame"]), int(row["stop_frame"])))
    return found


def _in_gaps(rows: Rows, gaps: dict[str, list[tuple[int, int]]]) -> dict[str, list[str]]:
    """Labels on frames that cannot be used: whole frames, and bouts of which no frame can be used. They stay in the tables."""

    def unusable(video_id: str, start: int, stop: int) -> bool:
        return not labels.outside([(start, stop)], sorted(gaps.get(video_id, [])))

    frames = [
        frame_uid(row["video_id"], row["frame"])
        for row in rows.labelled_frames
        if unusable(row["video_id"], row["frame"], row["frame"] + 1)
    ]
    bouts = [
        f"{row['video_id']} {row['behaviour']} {row['start_frame']} to {row['stop_frame'] - 1}"
        for row in rows.bouts
        if unusable(row["video_id"], row["start_frame"], row["stop_frame"])
    ]
    return {"bouts": sorted(bouts), "frames": sorted(frames)}


def _told_gaps(in_gaps: dict[str, list[str]]) -> list[str]:
    what = {"frames": "labelled frames cannot be read", "bouts": "bouts lie wholly on frames that cannot be read"}
    return [
        f"{len(names)} {what[kind]} (data/manifest/gaps.parquet), so nothing can be learned from them: {', '.join(names[:3])}"
        f"{' …' if len(names) > 3 else ''}"
        for kind, names in sorted(in_gaps.items(), reverse=True)
        if names
    ]


def _clipped(frames: list[Record], extents: dict[str, Extent]) -> tuple[list[Record], list[dict[str, str]]]:
    clipped, dropped = [], []
    for record in frames:
        inside, lost = labels.clipped_frame(record, extents[parse_frame_uid(record["uid"])[0]])
        clipped.append(inside)
        dropped += [{"what": "keypoint", "name": record["uid"], "source": record["annotator"], "reason": reason} for reason in lost]
    return clipped, dropped


def _status(
    given: snapshot.Snapshot, rows: Rows, dropped: list[dict[str, str]], params: Params, in_gaps: dict[str, list[str]]
) -> dict[str, Any]:
    annotators = sorted({record["annotator"] for record in given.frames + given.behaviours})
    return {
        "annotators_by_precedence": labels.preference(annotators, params.prefer),
        "contested_behaviours": rows.contested_behaviours,
        "contested_frames": len(rows.contested_frames),
        "dropped": dict(Counter(row["what"] for row in dropped)),
        "frames_by_annotator": dict(Counter(row["source"] for row in rows.labelled_frames)),
        "in_gaps": {kind: len(names) for kind, names in in_gaps.items()},
        "frames_by_status": dict(Counter(row["status"] for row in rows.labelled_frames)),
        "n_boxes": len(rows.boxes),
        "preferred_without_labels": sorted(set(params.prefer) - set(annotators)),
        "n_bouts": len(rows.bouts),
    }


def _write(project: Project, rows: Rows, dropped: list[dict[str, str]], status: dict[str, Any]) -> None:
    """All tables or none: a stage killed in between leaves the old ones together."""
    with atomic.new_folder(project.annotations) as folder:
        for name, (schema, order) in TABLES.items():
            table = tables.from_rows(getattr(rows, name), schema)
            tables.write(_sorted(table, order), schema, folder / f"{name}.parquet")
        table = tables.from_rows(dropped, Dropped)
        tables.write(_sorted(table, ["what", "name", "source", "reason"]), Dropped, folder / "dropped.parquet")
        atomic.write_text(folder / "status.json", json.dumps(status, sort_keys=True, indent=2, ensure_ascii=False) + "\n")


def _sorted(table: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    return table.sort_values(order, kind="stable", ignore_index=True)
