"""Stage ``manifest``: every source of frames with its true frame count, the frames in it that cannot be used, and every file that was
put aside, with the reason."""

import json
import sys
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator

from etholoop.params import Section
from etholoop.project import Project

if TYPE_CHECKING:
    from etholoop.io.raw import Candidate, PutAside
    from etholoop.stages._manifest_look import Probing
    from etholoop.stages._map import Failure

Row = dict[str, Any]


class Limits(Section):
    """What a video may cost; a file beyond a limit is put aside. The time for probing one grows with its size: one more second for each
    0.1 MB."""

    max_file_gb: Annotated[float, Field(gt=0)] = 2048
    max_megapixels: Annotated[float, Field(gt=0)] = 67.2
    max_frames: Annotated[int, Field(ge=1)] = 100_000_000
    max_hours: Annotated[float, Field(gt=0)] = 744
    probe_s: Annotated[float, Field(gt=0)] = 300


class Params(Section):
    """``pattern`` reads session, subject, camera and start_time from file and folder names, for example ``{session}_{camera}``.

    Values in data/raw/metadata.csv win. Where neither gives a session, a source is a session of its own.

    ``damaged``: a video with damaged frames is kept for its good ones, the others are listed in gaps.parquet (keep), or is not used
    at all (put_aside). A video without any good frame is put aside either way.

    ``decode_all``: decode every frame of every new video once. Otherwise long videos are decoded at a few places only, and damage
    elsewhere stops the stage that first reads it.
    """

    pattern: str | None = None
    damaged: Literal["keep", "put_aside"] = "keep"
    decode_all: bool = False
    limits: Limits = Limits()

    @field_validator("pattern")
    @classmethod
    def _known_fields(cls, pattern: str | None) -> str | None:
        from etholoop.io.metadata import pattern_fields

        if pattern is not None:
            pattern_fields(pattern)
        return pattern


def run(project: Project, params: Params) -> None:
    """Probe what is new in ``data/raw``, check the metadata, write the manifest.

    Raises:
        FaultsError: rows of metadata.csv that fit nothing, or names that do not fit the pattern. No source at all is no error
            here; the gate after this stage says it.
    """
    from etholoop.io import raw
    from etholoop.stages import _manifest_look as look

    candidates, aside = raw.scan(project / "data/raw")
    described = describe(project, candidates, aside, params.pattern)
    digests, unread = look.digests_of(project, candidates)
    aside += [put_aside for candidate in candidates if (put_aside := _unread(candidate, unread))]
    candidates, whole, clashes = _without_clashes([item for item in candidates if not unread.keys() & set(item.files)], digests)
    probed, crashed = look.probe_videos(project, [item for item in candidates if item.kind == "video"], digests, _probing(params))
    seen, dead = look.look_at_images(project, [item for item in candidates if item.kind == "images"], digests)
    found = _Found(aside=aside + clashes + [_crashed(path, failure) for path, failure in crashed.items()])
    for candidate in candidates:
        if candidate.path in crashed:
            continue
        sha256 = whole[candidate.path]
        if candidate.kind == "video":
            row, image_rows, index, faults = _video(candidate, sha256, probed[candidate.path])
        else:
            row, image_rows, index, faults = _images(candidate, digests, seen, dead)
        found.aside += faults
        gaps = _gaps(candidate, index) if index else []
        if gaps and params.damaged == "put_aside":
            found.aside.append(_with_gaps(candidate, gaps))
        elif row:
            found.add(row | described[candidate.path], image_rows, gaps, index)
    _warn(found)
    _write(project.manifest, found)


def _probing(params: Params) -> "Probing":
    from etholoop.io.video import VideoLimits
    from etholoop.stages._manifest_look import Probing

    given = params.limits
    limits = VideoLimits(
        max_bytes=int(given.max_file_gb * 1024**3),
        max_pixels=int(given.max_megapixels * 1e6),
        max_frames=given.max_frames,
        max_duration_s=given.max_hours * 3600,
        probe_s=given.probe_s,
    )
    return Probing(decode=True if params.decode_all else None, limits=limits)


@dataclass
class _Found:
    """Rows of the tables to be written, and the index files by id."""

    aside: list["PutAside"]
    videos: list[Row] = field(default_factory=list)
    images: list[Row] = field(default_factory=list)
    gaps: list[Row] = field(default_factory=list)
    indexes: dict[str, Path] = field(default_factory=dict)

    def add(self, row: Row, images: list[Row], gaps: list[Row], index: Path | None) -> None:
        self.videos.append(row)
        self.images += images
        self.gaps += gaps
        if index:
            self.indexes[row["video_id"]] = index


def describe(project: Project, candidates: list["Candidate"], aside: list["PutAside"], pattern: str | None) -> dict[str, Row]:
    """Session, subject, camera and start time of each candidate by path; CSV before pattern before the id.

    Raises:
        FaultsError: all rows that name nothing, or all names that the pattern does not fit and the CSV does not cover.
    """
    from etholoop.errors import FaultsError
    from etholoop.io import metadata

    rows = metadata.read(project.metadata)
    paths = [item.path for item in candidates] + [item.path for item in aside]
    places = {metadata.clean_path(path): path for path in paths}
    faults = metadata.unknown_paths(rows, places)
    if faults:
        raise FaultsError(str(project.metadata), faults, "Paths are below data/raw, for example videos/a.mp4 or images/folder.")
    known = {places[row.path]: row.fields for row in rows}
    described = {item.path: _fields(item, known.get(item.path, {}), pattern, faults) for item in candidates}
    if faults:
        remedy = "Rename the files, change manifest.pattern in params.yaml, or give these sources a row in data/raw/metadata.csv."
        raise FaultsError(f"manifest.pattern '{pattern}'", faults, remedy)
    return described


def _fields(candidate: "Candidate", given: dict[str, str], pattern: str | None, faults: list[str]) -> Row:
    from etholoop.io import metadata

    name = candidate.path.rsplit("/", 1)[-1]
    found = metadata.match(pattern, Path(name).stem if candidate.kind == "video" else name) if pattern else {}
    if found is None and "session" not in given:
        faults.append(f"{candidate.path}: the name does not fit")
    values = {"session": candidate.video_id, "subject": None, "camera": None, "start_time": None, **(found or {}), **given}
    if values["start_time"]:
        time = metadata.iso_time(values["start_time"])
        if time is None:
            faults.append(f"{candidate.path}: '{values['start_time']}' is not a time")
        values["start_time"] = time
    return values


def _unread(candidate: "Candidate", failures: dict[Path, "Failure"]) -> "PutAside | None":
    from etholoop.io.raw import PutAside

    own = [failures[path] for path in candidate.files if path in failures]
    return PutAside(candidate.path, "unreadable", own[0].message) if own else None


def _crashed(path: str, failure: "Failure", frame: int | None = None) -> "PutAside":
    from etholoop.io.raw import PutAside

    sentence = f"Reading it crashed: {failure.message}. Its last words are in {failure.log}. Repair or convert the file."
    return PutAside(path, "crashed", sentence, frame=frame)


def _without_clashes(candidates: list["Candidate"], digests: dict[Path, str]) -> tuple[list["Candidate"], dict[str, str], list["PutAside"]]:
    """Candidates with a content and an id of their own, the digests of all by path, and the others with the reason."""
    from etholoop.io.raw import PutAside
    from etholoop.stages._manifest_look import folder_digest

    whole: dict[str, str] = {}
    aside: list[PutAside] = []
    first: dict[str, str] = {}
    ids: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        own = [digests[path] for path in candidate.files]
        whole[candidate.path] = own[0] if candidate.kind == "video" else folder_digest(own)
        twin = first.setdefault(whole[candidate.path], candidate.path)
        if twin != candidate.path:
            aside.append(PutAside(candidate.path, "duplicate", f"The content is the same as that of {twin}. Remove one of them."))
            continue
        ids.setdefault(candidate.video_id, []).append(candidate)
    for video_id, same in ids.items():
        aside += [_same_id(candidate, same, video_id) for candidate in same if len(same) > 1]
    return sorted((same[0] for same in ids.values() if len(same) == 1), key=lambda item: item.path), whole, aside


def _same_id(candidate: "Candidate", same: list["Candidate"], video_id: str) -> "PutAside":
    from etholoop.io.raw import PutAside

    others = ", ".join(other.path for other in same if other is not candidate)
    return PutAside(candidate.path, "same_id", f"The id '{video_id}' would also be that of {others}. Rename all but one.")


def _video(candidate: "Candidate", sha256: str, probed: Path) -> tuple[Row | None, list[Row], Path | None, list["PutAside"]]:
    """Row of a video, no image rows, its index file; or the fault."""
    from etholoop.io.raw import PutAside

    seen = json.loads((probed / "probe.json").read_text(encoding="utf-8"))
    if "fault" in seen:
        return None, [], None, [PutAside(candidate.path, seen["fault"]["reason"], seen["fault"]["detail"])]
    info = seen["info"]
    fps = Fraction(info["fps"]) if info["fps"] else Fraction(0)
    copied = ("n_frames", "n_frames_header", "duration_s", "width", "height", "codec", "pix_fmt", "rotation", "variable_rate")
    row = _source_row(candidate, sha256) | {"fps_num": fps.numerator, "fps_den": fps.denominator} | {name: info[name] for name in copied}
    return row, [], probed / "index.npz", []


def _gaps(candidate: "Candidate", index: Path) -> list[Row]:
    """The frames of a video that cannot be used."""
    from etholoop.io.video import VideoIndex

    return [{"video_id": candidate.video_id, **asdict(gap)} for gap in VideoIndex.load(index).gaps]


def _with_gaps(candidate: "Candidate", gaps: list[Row]) -> "PutAside":
    from etholoop.io.raw import PutAside

    sentence = f"{_gaps_text(gaps)}. Repair or cut the file, or set manifest.damaged to keep in params.yaml to use its good frames."
    return PutAside(candidate.path, "damaged", sentence)


def _gaps_text(gaps: list[Row]) -> str:
    n_frames = sum(gap["stop_frame"] - gap["start_frame"] for gap in gaps)
    reasons = ", ".join(sorted({gap["reason"] for gap in gaps}))
    return f"{n_frames} frames cannot be used, in {len(gaps)} gap{'s' * (len(gaps) != 1)} ({reasons})"


def _warn(found: _Found) -> None:
    """One line on stderr for each video that is kept with gaps."""
    for row in found.videos:
        own = [gap for gap in found.gaps if gap["video_id"] == row["video_id"]]
        if own:
            print(f"{row['path']}: {_gaps_text(own)}; see data/manifest/gaps.parquet.", file=sys.stderr)


def _without_number(place: str, why: str) -> "PutAside":
    """An image without a number of its own; labels of the number that its name tells wait until it is settled whose they are."""
    from etholoop.io.image_numbers import last_number
    from etholoop.io.raw import PutAside

    return PutAside(place, "no_number", why, frame=last_number(place.rsplit("/", 1)[1]))


def _images(
    candidate: "Candidate", digests: dict[Path, str], looks: dict[Path, Row], dead: dict[Path, "Failure"]
) -> tuple[Row | None, list[Row], None, list["PutAside"]]:
    """Row of a folder of images, one row per image; images that cannot be used are put aside one by one."""
    from etholoop.errors import FaultsError
    from etholoop.io.image_numbers import numbers_of
    from etholoop.io.memo import digest
    from etholoop.io.raw import PutAside

    try:
        found = numbers_of(candidate.files)
    except FaultsError as error:
        return None, [], None, [PutAside(candidate.path, "bad_list", str(error))]
    numbers = found.images
    seen = {number: looks[path] for number, path in numbers.items() if path in looks}
    places = {number: f"{candidate.path}/{path.name}" for number, path in numbers.items()}
    aside = [_without_number(f"{candidate.path}/{path.name}", why) for path, why in found.without.items()]
    aside += [_crashed(places[number], dead[path], number) for number, path in numbers.items() if path in dead]
    aside += [PutAside(places[number], **item["fault"], frame=number) for number, item in seen.items() if "fault" in item]
    good = {number: item for number, item in seen.items() if "fault" not in item}
    if not good:
        return None, [], None, [*aside, PutAside(candidate.path, "empty", "The folder holds no usable image.")]
    size = _common_size([tuple(item["size"]) for item in good.values()])
    odd = [number for number, item in good.items() if tuple(item["size"]) != size]
    aside += [_odd_size(places[number], number, good.pop(number)["size"], size) for number in odd]
    rows = [{"video_id": candidate.video_id, "frame": n, "path": places[n], "sha256": digests[numbers[n]]} for n in good]
    nothing = {"n_frames_header": None, "duration_s": None, "fps_num": 0, "fps_den": 1, "rotation": 0, "variable_rate": False}
    codec = numbers[min(good)].suffix.lower().lstrip(".").replace("jpg", "jpeg")
    # with their numbers: two images that swap their names are other pictures under the old numbers
    row = _source_row(candidate, digest(images=[[n, digests[numbers[n]]] for n in sorted(good)])) | nothing
    row |= {"n_frames": max(good) + 1, "width": size[0], "height": size[1], "codec": codec, "pix_fmt": "rgb24"}
    return row, rows, None, aside


def _common_size(sizes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The most frequent size; of equally frequent ones the first."""
    return max(dict.fromkeys(sizes), key=sizes.count)


def _odd_size(place: str, number: int, found: list[int], expected: tuple[int, ...]) -> "PutAside":
    from etholoop.io.raw import PutAside

    sentence = f"{found[0]}x{found[1]} pixels, most images of this folder have {expected[0]}x{expected[1]}. Give each size its own folder."
    return PutAside(place, "other_size", sentence, frame=number)


def _source_row(candidate: "Candidate", sha256: str) -> Row:
    return {"video_id": candidate.video_id, "kind": candidate.kind, "path": candidate.path, "sha256": sha256}


def _write(manifest: Path, found: _Found) -> None:
    from etholoop.io import atomic, memo, tables
    from etholoop.io.sources import index_path
    from etholoop.schema.videos import Gaps, Images, Quarantine, Videos

    aside = [asdict(item) for item in found.aside]
    contents = (
        ("videos", Videos, found.videos, ["video_id"]),
        ("images", Images, found.images, ["video_id", "frame"]),
        ("gaps", Gaps, found.gaps, ["video_id", "start_frame"]),
        ("quarantine", Quarantine, aside, ["path"]),
    )
    with atomic.new_folder(manifest) as folder:
        (folder / "index").mkdir()
        for name, schema, rows, order in contents:
            rows.sort(key=itemgetter(*order))
            tables.write(tables.from_rows(rows, schema), schema, folder / f"{name}.parquet")
        for video_id, index in found.indexes.items():
            memo.place(index, index_path(folder, video_id))
