"""CVAT 1.1 XML in and out."""

import math
import zipfile
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import cvat, tables
from etholoop.io.cvat import Annotations, Meta, Shape, Track
from etholoop.schema.tracks import Tracks

PIXEL = st.integers(-10_000, 600_000).map(lambda n: n / 100)
TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=12) | st.sampled_from(["a & b", "<x>", '"', "\n", "\t", "é"])
NAME = TEXT.filter(bool)


@st.composite
def shapes(draw, frame):
    common = {
        "outside": draw(st.booleans()),
        "occluded": draw(st.booleans()),
        "keyframe": draw(st.booleans()),
        "z_order": draw(st.integers(-3, 3)),
        "attributes": tuple(draw(st.lists(st.tuples(NAME, TEXT), max_size=2))),
    }
    kind = draw(st.sampled_from(["box", "points", "polygon", "polyline"]))
    if kind == "box":
        x, y = sorted(draw(st.tuples(PIXEL, PIXEL))), sorted(draw(st.tuples(PIXEL, PIXEL)))
        return Shape(frame, (x[0], y[0], x[1], y[1]), rotation=draw(st.integers(0, 35_999)) / 100, **common)
    return Shape(
        frame, tuple(v for point in draw(st.lists(st.tuples(PIXEL, PIXEL), min_size=1, max_size=4)) for v in point), kind, **common
    )


@st.composite
def annotations(draw):
    numbers = draw(st.lists(st.integers(0, 999), unique=True, max_size=4))
    tracks = []
    for number in numbers:
        frames = sorted(draw(st.sets(st.integers(0, 99), max_size=5)))
        own = tuple(draw(shapes(frame)) for frame in frames)
        tracks.append(Track(number, draw(TEXT), own, draw(st.sampled_from(["manual", "auto"]))))
    count = st.none() | st.integers(0, 9999)
    width, height = draw(st.just((None, None)) | st.tuples(st.integers(1, 9999), st.integers(1, 9999)))
    stripped = TEXT.map(str.strip)
    level = draw(st.sampled_from(["", "task", "job"]))
    meta = Meta(level, draw(stripped), draw(count), width, height, draw(stripped), draw(count), draw(count))
    return Annotations(tuple(tracks), meta if level and meta != Meta(level) else Meta())


@settings(max_examples=60, deadline=None)
@given(annotations())
def test_there_and_back(tmp_path_factory, made):
    path = tmp_path_factory.getbasetemp() / "round_trip.xml"
    cvat.write(path, made)
    assert cvat.read(path) == made


def xml(body: str) -> str:
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n{body}\n</annotations>\n'


def box(frame: int, left: float = 0, **marks: object) -> str:
    given = {"outside": 0, "occluded": 0, "keyframe": 1, **marks}
    text = " ".join(f'{name}="{value}"' for name, value in given.items())
    return f'<box frame="{frame}" {text} xtl="{left}" ytl="10" xbr="{left + 20}" ybr="30" z_order="0"/>'


def read(tmp_path, body: str) -> Annotations:
    path = tmp_path / "a.xml"
    path.write_text(xml(body), encoding="utf-8")
    return cvat.read(path)


def test_meta_of_a_task_and_of_a_job(tmp_path):
    """kabr-tools' tracks_extractor does not accept what CVAT exports of a job."""
    inside = "<id>7</id><size>12</size><original_size><width>640</width><height>480</height></original_size><source>a.mp4</source>"
    task = read(tmp_path, f"<meta><task>{inside}</task><dumped>now</dumped></meta>").meta
    assert task == Meta("task", "", 12, 640, 480, "a.mp4")
    job = read(tmp_path, f"<meta><job>{inside}<start_frame>5</start_frame><stop_frame>16</stop_frame></job></meta>").meta
    assert job == Meta("job", "", 12, 640, 480, "a.mp4", 5, 16)
    # CVAT writes size and source of a job beside it
    beside = (
        "<meta><job><size>12</size></job><original_size><width>640</width><height>480</height></original_size><source>a.mp4</source></meta>"
    )
    assert read(tmp_path, beside).meta == Meta("job", "", 12, 640, 480, "a.mp4")


def test_labels_of_a_task_do_not_count_as_its_name(tmp_path):
    body = "<meta><task><labels><label><name>Zebra</name></label></labels><name>day 1</name></task></meta>"
    assert read(tmp_path, body).meta.name == "day 1"


def test_no_meta_and_no_tracks_are_good(tmp_path):
    found = read(tmp_path, "")
    assert (found.tracks, found.meta, found.n_frames) == ((), Meta(), 0)
    assert len(cvat.to_tracks(found, "v")) == 0


def test_shapes_outside_are_not_in_view(tmp_path):
    found = read(tmp_path, f'<track id="3" label="Zebra">{box(4)}{box(5, keyframe=0)}{box(6, outside=1)}</track>')
    table = tables.check(cvat.to_tracks(found, "v"), Tracks, "test")
    assert table["frame"].tolist() == [4, 5] and table["state"].tolist() == ["human", "interpolated"]
    assert table["track"].tolist() == [3, 3] and table["species"].tolist() == ["Zebra"] * 2
    assert len(cvat.without_hidden(found.tracks)[0].shapes) == 2


def test_boxes_of_a_detector_are_detections(tmp_path):
    found = read(tmp_path, f'<track id="0" label="Zebra" source="auto">{box(0)}</track>')
    assert cvat.to_tracks(found, "v")["state"].tolist() == ["detected"]


def test_boxes_behind_the_end_of_the_video_are_named(tmp_path):
    found = read(tmp_path, f'<track id="0" label="Zebra">{box(0)}{box(9)}</track>')
    assert len(cvat.to_tracks(found, "v", n_frames=10)) == 2
    with pytest.raises(FaultsError, match="frame 9"):
        cvat.to_tracks(found, "v", n_frames=9)


def test_a_turned_box_becomes_the_upright_one_around_it():
    turned = Shape(0, (10, 20, 30, 40), rotation=45.0)
    half = 10 * math.sqrt(2)
    assert cvat.upright(turned) == pytest.approx((20 - half, 30 - half, 20 + half, 30 + half))
    assert cvat.upright(Shape(0, (10, 20, 30, 60), rotation=90.0)) == pytest.approx((0, 30, 40, 50))


def test_behaviours_are_attributes(tmp_path):
    shape = '<points frame="{}" outside="{}" points="200.00,150.00"><attribute name="Behavior">{}</attribute></points>'
    found = read(tmp_path, f'<track id="0" label="Zebra">{shape.format(0, 0, "Walk")}{shape.format(1, 1, "Run")}</track>')
    assert found.tracks[0].shapes[0].attributes == (("Behavior", "Walk"),)
    assert cvat.labels_by_frame(found.tracks[0]) == {0: "Walk"}
    two = found.tracks[0].shapes[0]._replace(attributes=(("Age", "old"), ("Behavior", "Walk")))
    track = replace(found.tracks[0], shapes=(two,))
    assert cvat.labels_by_frame(track, "Behavior") == {0: "Walk"}
    with pytest.raises(FaultsError, match="Age, Behavior"):
        cvat.labels_by_frame(track)


def test_tracks_out_and_back_keep_the_last_box_in_view(tmp_path):
    """kabr-tools marks the last real box as outside; a later reader then loses it."""
    rows = [
        {"video_id": "v", "track": 1, "frame": frame, "x_min": frame, "y_min": 5, "x_max": frame + 9, "y_max": 9}
        | {"species": "zebra", "confidence": math.nan, "state": state, "instance": -1}
        for frame, state in [(2, "human"), (3, "interpolated"), (7, "human")]
    ]
    table = tables.check(tables.from_rows(rows, Tracks), Tracks, "test")
    made = cvat.from_tracks(table, Meta("task", size=20))
    assert [(shape.frame, shape.outside) for shape in made.tracks[0].shapes] == [(2, False), (3, False), (4, True), (7, False), (8, True)]
    cvat.write(tmp_path / "t.xml", made)
    assert cvat.to_tracks(cvat.read(tmp_path / "t.xml"), "v").equals(table)
    # nothing is written beyond the end of the video
    assert cvat.from_tracks(table, Meta("task", size=8)).tracks[0].shapes[-1] == Shape(7, (7, 5, 16, 9))


def test_entities_are_never_expanded(tmp_path):
    path = tmp_path / "attack.xml"
    path.write_text('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations>&x;</annotations>', encoding="utf-8")
    with pytest.raises(EthoLoopError, match="document type"):
        cvat.read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotations><track", "not readable as XML"),
        ("<sequence/>", "found 'sequence'"),
        (xml('<image id="0" name="a.jpg"/>'), "CVAT for images"),
        ("", "not readable as XML"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    (tmp_path / "a.xml").write_text(content, encoding="utf-8")
    with pytest.raises(EthoLoopError, match=message):
        cvat.read(tmp_path / "a.xml")


def test_the_archive_that_cvat_gives(tmp_path):
    path = tmp_path / "task_7.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("annotations.xml", xml(f'<track id="3" label="Zebra">{box(4)}</track>'))
        archive.writestr("images/frame_000000.PNG", b"")
    assert [track.id for track in cvat.read(path).tracks] == [3]
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.xml", "<a/>")
    with pytest.raises(EthoLoopError, match="found 2"):
        cvat.read(path)
    path.write_bytes(b"no archive")
    with pytest.raises(EthoLoopError, match="zip archive"):
        cvat.read(path)


def test_missing_file(tmp_path):
    with pytest.raises(EthoLoopError, match="not found"):
        cvat.read(tmp_path / "no.xml")


def test_all_faults_of_a_file_with_their_lines(tmp_path):
    bad = [
        '<track id="0">',
        box(0),
        box(0),
        box(1, outside="yes"),
        '<box frame="two" xtl="0" ytl="0" xbr="1" ybr="1"/>',
        '<box frame="3" xtl="9" ytl="0" xbr="1" ybr="nan"/>',
        '<points frame="4" points="1;2"/>',
        '</track><track id="0" label="Zebra"></track>',
    ]
    with pytest.raises(FaultsError) as caught:
        read(tmp_path, "\n".join(bad))
    lines = [int(fault.split(":")[0].removeprefix("line ")) for fault in caught.value.faults]
    assert lines == [4, 6, 7, 8, 9, 9, 10, 11]
    text = str(caught.value)
    for part in ("no label", "comes twice in the track", "0 or 1", "'two'", "'nan'", "lies before", "'1;2'", "track 0 comes twice"):
        assert part in text


def test_tracks_of_several_tasks_are_not_mixed(tmp_path):
    body = f'<track id="0" label="a" task_id="1">{box(0)}</track><track id="1" label="a" task_id="2">{box(0)}</track>'
    with pytest.raises(FaultsError, match="2 tasks"):
        read(tmp_path, body)


def test_other_shapes_are_counted(tmp_path):
    found = read(tmp_path, '<track id="0" label="a"><mask frame="0" rle="1, 2"/><mask frame="1" rle="1, 2"/></track>')
    assert found.unread == {"mask": 2}


def test_what_xml_cannot_hold_is_refused(tmp_path):
    with pytest.raises(EthoLoopError, match="character"):
        cvat.write(tmp_path / "a.xml", Annotations((Track(0, "bad\x00name"),)))
    assert list(tmp_path.iterdir()) == []


def test_the_published_example(public_data):
    """Two tracks of 21 frames, without a meta part (kabr-tools, MIT)."""
    found = cvat.read(public_data / "data/label_formats/kabr_cvat/DJI_tracks.xml")
    assert [(track.id, track.label, len(track.shapes)) for track in found.tracks] == [(0, "Grevy", 21), (1, "Grevy", 21)]
    assert found.meta == Meta()
