"""`etholoop kabr cvat2slowfast`: nothing is lost silently, and moments that were apart stay apart."""

import json
from pathlib import Path

import cv2
import kabr_footage as footage
import pytest
from kabr_footage import behaviours
from typer.testing import CliRunner

from etholoop.__main__ import build_app
from etholoop.commands import kabr_cvat2slowfast as slowfast
from etholoop.commands.kabr_cvat2slowfast import Rules
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import charades

CLASSES = {"Walk": 0, "Graze": 1, "Run": 2}
OLD2NEW = {"Walk": "Walk", "Walking": "Walk", "Graze": "Graze", "Running": "Run", "Sniff": "Sniff"}


def rules(**options) -> Rules:
    return Rules(**{"classes": CLASSES, "old2new": OLD2NEW, "least_frames": 4, "least_run": 2, **options})


def scene(top: Path, name: str, track: str, *names: str, n_frames: int = 12, **options) -> None:
    footage.video(top / name / f"{track}.mp4", n_frames)
    behaviours(top / name / "actions" / f"{track}.xml", *names, **options)


def made(top: Path, dataset: Path, used: Rules, **options) -> tuple[list[charades.Clip], list[str]]:
    scenes = slowfast.find(top, used)
    slowfast.make(dataset, scenes, used, **options)
    return charades.read_table(dataset / "annotation/data.csv", len(CLASSES)), slowfast.report(scenes, used)


def test_moments_that_were_apart_stay_apart(tmp_path):
    """The original numbers frames 0 to 2 and 6 to 8 through, as if they had been adjacent."""
    names = ["Walk"] * 3 + ["Sniff"] * 3 + ["Graze"] * 3
    scene(tmp_path / "ms", "s1", "0", *names)
    clips, lines = made(tmp_path / "ms", tmp_path / "ours", rules())
    assert [(clip.name, len(clip)) for clip in clips] == [("Z0001", 3), ("Z0002", 3)]
    assert lines == ["left out: behaviour 'Sniff' is no class: 3 frames"]
    theirs, _ = made(tmp_path / "ms", tmp_path / "compat", rules(compat=True))
    assert [(clip.name, len(clip)) for clip in theirs] == [("Z0001", 6)]
    for folder, paths, blue in ((tmp_path / "ours", ["Z0002/1.jpg"], 10 + 4 * 6), (tmp_path / "compat", ["Z0001/4.jpg"], 10 + 4 * 6)):
        for path in paths:
            assert cv2.imread(str(folder / "dataset/image" / path))[..., 0].mean() == pytest.approx(blue, abs=4)


def test_where_clips_come_from(tmp_path):
    scene(tmp_path / "ms", "s1", "3", "", "Walk", "Walk", "Walk", "Walk", label="giraffe")
    made(tmp_path / "ms", tmp_path / "set", rules())
    lines = (tmp_path / "set/annotation/sources.csv").read_text().splitlines()
    assert lines == ["code,miniscene,track,label,first_frame,n_frames", 'G0001,"s1",3,"giraffe",1,4']


def test_unknown_behaviours_are_named_and_nothing_is_written(tmp_path):
    """The original ends with a KeyError at the first of them."""
    scene(tmp_path / "ms", "s1", "0", *["Walk"] * 6, "Mounting")
    scene(tmp_path / "ms", "s2", "0", *["Walk"] * 6, "Forage", "Forage", "Mounting")
    with pytest.raises(FaultsError) as caught:
        slowfast.find(tmp_path / "ms", rules())
    assert caught.value.faults == [
        "'Forage' is not in --old2new: s2/0 (2 frames)",
        "'Mounting' is not in --old2new: s1/0 (1 frames), s2/0 (1 frames)",
    ]
    clips, lines = made(tmp_path / "ms", tmp_path / "set", rules(drop_unmapped=True))
    assert [len(clip) for clip in clips] == [6, 6]
    assert "left out: behaviour 'Forage' is in no table: 2 frames" in lines


def test_without_a_map_other_names_are_not_lost_silently(tmp_path):
    """The original leaves out Walking, Running, Trotting and Browsing without a word."""
    scene(tmp_path / "ms", "s1", "0", *["Walk"] * 6, "Walking")
    with pytest.raises(FaultsError, match="'Walking' is not in --classes"):
        slowfast.find(tmp_path / "ms", rules(old2new=None))


def test_mini_scenes_that_are_left_out_are_named(tmp_path):
    top = tmp_path / "ms"
    scene(top, "s1", "0", *["Walk"] * 3)
    scene(top, "s1", "1")
    scene(top, "s1", "2", *["Walk"] * 5, "", "Graze")
    behaviours(top / "s1/actions/3.xml", *["Walk"] * 9)
    clips, lines = made(top, tmp_path / "set", rules())
    assert [clip.name for clip in clips] == ["Z0001"]
    actions = top / "s1/actions"
    assert lines == [
        f"left out: {actions / '0.xml'}: 3 frames with a class, at least 4 are asked for",
        f"left out: {actions / '1.xml'}: 0 frames with a class, at least 4 are asked for",
        f"left out: {actions / '3.xml'}: its video does not exist",
        "left out: s1/2: 1 frames from frame 6 on, fewer than 2 in a row",
    ]


def test_hidden_frames_do_not_count(tmp_path):
    scene(tmp_path / "ms", "s1", "0", *["Walk"] * 8, hidden=(3, 4))
    clips, _ = made(tmp_path / "ms", tmp_path / "set", rules())
    assert [len(clip) for clip in clips] == [3, 3]


def test_natural_order(tmp_path):
    for name, track in (("s10", "0"), ("s2", "11"), ("s2", "3")):
        scene(tmp_path / "ms", name, track, *["Walk"] * 4)
    assert [one.name for one in slowfast.find(tmp_path / "ms", rules())] == ["s2/3", "s2/11", "s10/0"]


def test_train_and_val_in_segments(tmp_path):
    """The original makes no split; here frames of one mini-scene are always on one side."""
    for track in ("0", "1", "2"):
        scene(tmp_path / "ms", "s1", track, *["Walk"] * 5, "Sniff", *["Graze"] * 5)
    (tmp_path / "val.txt").write_text("s1/1\n")
    clips, _ = made(tmp_path / "ms", tmp_path / "set", rules(), val_list=tmp_path / "val.txt", segment=3, images=False)
    train = charades.read_table(tmp_path / "set/annotation/train.csv")
    val = charades.read_table(tmp_path / "set/annotation/val.csv")
    assert [clip.name for clip in clips] == [f"Z{number:04d}" for number in range(1, 7)]
    assert [clip.name for clip in val] == ["Z0003.1", "Z0003.2", "Z0004.1", "Z0004.2"]
    assert {clip.folder for clip in train} == {"Z0001", "Z0002", "Z0005", "Z0006"} and [len(clip) for clip in val] == [3, 2, 3, 2]
    assert (tmp_path / "set/annotation/val.csv").read_text().splitlines()[1].split()[1] == "9"
    assert not list((tmp_path / "set/dataset/image").iterdir())
    (tmp_path / "val.txt").write_text("Z0003\n")
    with pytest.raises(FaultsError, match="both sides: Z0004"):
        made(tmp_path / "ms", tmp_path / "other", rules(), val_list=tmp_path / "val.txt")
    assert not (tmp_path / "other").exists()


def test_a_behaviour_behind_the_end_of_the_video(tmp_path):
    scene(tmp_path / "ms", "s1", "0", *["Walk"] * 14)
    with pytest.raises(EthoLoopError, match="frame 13 has a behaviour"):
        made(tmp_path / "ms", tmp_path / "set", rules())
    assert not (tmp_path / "set").exists()


def test_two_tracks_that_disagree(tmp_path):
    from etholoop.io import cvat

    scene(tmp_path / "ms", "s1", "0", *["Walk"] * 6)
    path = tmp_path / "ms/s1/actions/0.xml"
    first = cvat.read(path).tracks[0]
    shapes = tuple(shape._replace(attributes=(("Behavior", "Graze"),)) for shape in first.shapes[:2])
    cvat.write(path, cvat.Annotations((first, cvat.Track(1, "Zebra", shapes))))
    with pytest.raises(FaultsError, match="2 frames have two behaviours"):
        slowfast.find(tmp_path / "ms", rules())
    (one,) = slowfast.find(tmp_path / "ms", rules(compat=True))
    assert one.frames[:3] == [(0, 1), (1, 1), (2, 0)]  # the last one wins


def test_without_tables_the_words_of_the_preset_are_used(tmp_path):
    used = Rules.read(None, None, least_frames=4, least_run=2)
    assert len(used.classes) == 8 and used.class_of("Walking") == used.class_of("Walk") == used.classes["walk"]
    assert used.is_known("Forage") and used.class_of("Forage") is None and not used.is_known("Moonwalk")
    scene(tmp_path / "ms", "s1", "0", *["Walking"] * 4, "Forage")
    clips, lines = made(tmp_path / "ms", tmp_path / "set", used)
    assert [len(clip) for clip in clips] == [4] and lines == ["left out: behaviour 'Forage' is no class: 1 frames"]
    with pytest.raises(EthoLoopError, match="give both"):
        Rules.read(None, tmp_path / "old2new.json")


def test_the_documented_command_line(tmp_path):
    scene(tmp_path / "ms", "s1", "0", *["Walking"] * 4)
    (tmp_path / "classes.json").write_text(json.dumps(CLASSES))
    (tmp_path / "old2new.json").write_text(json.dumps(OLD2NEW))
    call = ["kabr", "cvat2slowfast", "--miniscene", f"{tmp_path}/ms", "--dataset", f"{tmp_path}/set", "--no_images"]
    call += ["--classes", f"{tmp_path}/classes.json", "--old2new", f"{tmp_path}/old2new.json"]
    done = CliRunner().invoke(build_app("kabr_cvat2slowfast"), call)
    assert done.exit_code == 0 and "at least 90 are asked for" in done.output
    again = CliRunner().invoke(build_app("kabr_cvat2slowfast"), [*call, "--least_frames", "4"])
    assert isinstance(again.exception, EthoLoopError) and "--overwrite" in str(again.exception)
    third = CliRunner().invoke(build_app("kabr_cvat2slowfast"), [*call, "--least_frames", "4", "--least_run", "1", "--overwrite"])
    assert "1 clips, 4 frames" in third.output
    assert json.loads((tmp_path / "set/annotation/classes.json").read_text()) == CLASSES
