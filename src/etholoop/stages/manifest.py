"""Stage ``manifest``: every source of frames with its true frame count, and every file that was put aside, with the reason."""

import json
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import field_validator

from etholoop.params import Section
from etholoop.project import Project

if TYPE_CHECKING:
    from etholoop.io.images import ImageFault
    from etholoop.io.memo import Memo
    from etholoop.io.raw import Candidate, PutAside
    from etholoop.io.video import VideoFault

Row = dict[str, Any]


class Params(Section):
    """``pattern`` reads session, subject, camera and start_time from file and folder names, for example ``{session}_{camera}``.

    Values in data/raw/metadata.csv win. Where neither gives a session, a source is a session of its own.
    """

    pattern: str | None = None

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
    from etholoop.io.memo import Memo

    candidates, aside = raw.scan(project / "data/raw")
    described = describe(project, candidates, aside, params.pattern)
    candidates, digests, clashes = _without_clashes(candidates)
    aside = aside + clashes
    memo = Memo(project.memo, "manifest")
    videos, images, indexes = [], [], {}
    for candidate in _progress(candidates):
        look = _video if candidate.kind == "video" else _images
        row, image_rows, index, faults = look(candidate, digests[candidate.path], memo)
        aside += faults
        if row:
            videos.append(row | described[candidate.path])
            images += image_rows
        if row and index:
            indexes[candidate.video_id] = index
    _write(project.manifest, videos, images, aside, indexes)


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


def _without_clashes(candidates: list["Candidate"]) -> tuple[list["Candidate"], dict[str, str], list["PutAside"]]:
    """Candidates with a content and an id of their own, the digests of all by path, and the others with the reason."""
    from etholoop.io.raw import PutAside

    digests: dict[str, str] = {}
    aside: list[PutAside] = []
    first: dict[str, str] = {}
    ids: dict[str, list[Candidate]] = {}
    for candidate in _progress(candidates, "reading"):
        try:
            digests[candidate.path] = _digest(candidate)
        except OSError as error:
            aside.append(PutAside(candidate.path, "unreadable", f"The file cannot be read: {error.strerror}."))
            continue
        twin = first.setdefault(digests[candidate.path], candidate.path)
        if twin != candidate.path:
            aside.append(PutAside(candidate.path, "duplicate", f"The content is the same as that of {twin}. Remove one of them."))
            continue
        ids.setdefault(candidate.video_id, []).append(candidate)
    for video_id, same in ids.items():
        aside += [_same_id(candidate, same, video_id) for candidate in same if len(same) > 1]
    return sorted((same[0] for same in ids.values() if len(same) == 1), key=lambda item: item.path), digests, aside


def _same_id(candidate: "Candidate", same: list["Candidate"], video_id: str) -> "PutAside":
    from etholoop.io.raw import PutAside

    others = ", ".join(other.path for other in same if other is not candidate)
    return PutAside(candidate.path, "same_id", f"The id '{video_id}' would also be that of {others}. Rename all but one.")


def _digest(candidate: "Candidate") -> str:
    """SHA-256 of the file; for a folder, of the sorted digests of its images."""
    import hashlib

    from etholoop.io.memo import file_digest

    if candidate.kind == "video":
        return file_digest(candidate.files[0])
    return hashlib.sha256("".join(sorted(map(file_digest, candidate.files))).encode()).hexdigest()


def _video(candidate: "Candidate", sha256: str, memo: "Memo") -> tuple[Row | None, list[Row], Path | None, list["PutAside"]]:
    """Row of a video, no image rows, its index file; or the fault."""
    from etholoop.io import video
    from etholoop.io.memo import digest
    from etholoop.io.raw import PutAside

    path = candidate.files[0]
    # the container is guessed from content and extension
    key = digest(version=video.PROBE_VERSION, sha256=sha256, suffix=path.suffix.lower())
    result = memo.result(key, lambda folder: _probe_into(folder, path))
    seen = json.loads((result / "probe.json").read_text(encoding="utf-8"))
    if "fault" in seen:
        return None, [], None, [PutAside(candidate.path, seen["fault"]["reason"], seen["fault"]["detail"])]
    info = seen["info"]
    fps = Fraction(info["fps"]) if info["fps"] else Fraction(0)
    copied = ("n_frames", "n_frames_header", "duration_s", "width", "height", "codec", "pix_fmt", "rotation", "variable_rate")
    row = _source_row(candidate, sha256) | {"fps_num": fps.numerator, "fps_den": fps.denominator} | {name: info[name] for name in copied}
    return row, [], result / "index.npz", []


def _probe_into(folder: Path, path: Path) -> None:
    """Make the memo of one video: probe.json, and index.npz if it can be used."""
    from etholoop.io import video

    try:
        info, index = video.probe(path)
    except video.VideoFault as fault:
        _keep_fault(folder, fault)
        return
    index.save(folder / "index.npz")
    content = {"info": {**asdict(info), "fps": str(info.fps) if info.fps else None}}
    (folder / "probe.json").write_text(json.dumps(content, sort_keys=True), encoding="utf-8")


def _keep_fault(folder: Path, fault: "VideoFault | ImageFault") -> None:
    if fault.reason == "unreadable":
        raise fault  # may be gone at the next run, so it must not be remembered
    content = {"fault": {"reason": fault.reason, "detail": fault.detail}}
    (folder / "probe.json").write_text(json.dumps(content, sort_keys=True), encoding="utf-8")


def _images(candidate: "Candidate", sha256: str, memo: "Memo") -> tuple[Row | None, list[Row], None, list["PutAside"]]:
    """Row of a folder of images, one row per image; images that cannot be used are put aside one by one."""
    from etholoop.io.images import frame_numbers
    from etholoop.io.raw import PutAside

    numbers = frame_numbers(candidate.files)
    seen = {number: _image(path, memo) for number, path in numbers.items()}
    places = {number: f"{candidate.path}/{path.name}" for number, path in numbers.items()}
    aside = [PutAside(places[number], *item["fault"]) for number, item in seen.items() if "fault" in item]
    good = {number: item for number, item in seen.items() if "fault" not in item}
    if not good:
        return None, [], None, [*aside, PutAside(candidate.path, "empty", "The folder holds no usable image.")]
    size = _common_size([tuple(item["size"]) for item in good.values()])
    odd = [number for number, item in good.items() if tuple(item["size"]) != size]
    aside += [_odd_size(places[number], good.pop(number)["size"], size) for number in odd]
    rows = [{"video_id": candidate.video_id, "frame": n, "path": places[n], "sha256": good[n]["sha256"]} for n in good]
    nothing = {"n_frames_header": None, "duration_s": None, "fps_num": 0, "fps_den": 1, "rotation": 0, "variable_rate": False}
    codec = numbers[min(good)].suffix.lower().lstrip(".").replace("jpg", "jpeg")
    row = _source_row(candidate, sha256) | nothing
    row |= {"n_frames": max(good) + 1, "width": size[0], "height": size[1], "codec": codec, "pix_fmt": "rgb24"}
    return row, rows, None, aside


def _image(path: Path, memo: "Memo") -> Row:
    """``sha256`` and ``size`` (width, height) of an image, or its ``fault`` (reason, detail)."""
    from etholoop.io import images
    from etholoop.io.memo import digest, file_digest

    sha256 = file_digest(path)

    def look(folder: Path) -> None:
        try:
            height, width = images.read_rgb(path).shape[:2]
        except images.ImageFault as fault:
            _keep_fault(folder, fault)
            return
        (folder / "probe.json").write_text(json.dumps({"size": [width, height]}), encoding="utf-8")

    result = memo.result(digest(version=images.READ_VERSION, sha256=sha256), look)
    seen = json.loads((result / "probe.json").read_text(encoding="utf-8"))
    return {"fault": (seen["fault"]["reason"], seen["fault"]["detail"])} if "fault" in seen else {"sha256": sha256, "size": seen["size"]}


def _common_size(sizes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The most frequent size; of equally frequent ones the first."""
    return max(dict.fromkeys(sizes), key=sizes.count)


def _odd_size(place: str, found: list[int], expected: tuple[int, ...]) -> "PutAside":
    from etholoop.io.raw import PutAside

    sentence = f"{found[0]}x{found[1]} pixels, most images of this folder have {expected[0]}x{expected[1]}. Give each size its own folder."
    return PutAside(place, "other_size", sentence)


def _source_row(candidate: "Candidate", sha256: str) -> Row:
    return {"video_id": candidate.video_id, "kind": candidate.kind, "path": candidate.path, "sha256": sha256}


def _write(manifest: Path, videos: list[Row], images: list[Row], aside: list["PutAside"], indexes: dict[str, Path]) -> None:
    from etholoop.io import atomic, memo, tables
    from etholoop.io.sources import index_path
    from etholoop.schema.videos import Images, Quarantine, Videos

    videos.sort(key=lambda row: row["video_id"])
    images.sort(key=lambda row: (row["video_id"], row["frame"]))
    with atomic.new_folder(manifest) as folder:
        (folder / "index").mkdir()
        tables.write(tables.from_rows(videos, Videos), Videos, folder / "videos.parquet")
        tables.write(tables.from_rows(images, Images), Images, folder / "images.parquet")
        faults = [asdict(item) for item in sorted(aside, key=lambda item: item.path)]
        tables.write(tables.from_rows(faults, Quarantine), Quarantine, folder / "quarantine.parquet")
        for video_id, index in indexes.items():
            memo.place(index, index_path(folder, video_id))


def _progress(candidates: list["Candidate"], what: str = "probing") -> Any:
    from tqdm import tqdm

    return tqdm(candidates, desc=what, unit="source", disable=None)
