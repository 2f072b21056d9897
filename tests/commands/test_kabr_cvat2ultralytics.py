"""`etholoop kabr cvat2ultralytics`: every fault of the original has a test."""

import json
from pathlib import Path

import kabr_footage as footage
import pytest
import yaml
from kabr_footage import annotation, boxes
from typer.testing import CliRunner

from etholoop.__main__ import build_app
from etholoop.commands import kabr_cvat2ultralytics as ultra
from etholoop.commands.kabr_cvat2ultralytics import Classes
from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import cvat
from etholoop.io.cvat import Shape, Track

NUMBERS = {"Grevy": 0, "Zebra": 0, "Baboon": 1, "Giraffe": 2}


def source(top: Path, name: str, *tracks: Track, **options) -> None:
    footage.video(top / f"videos/{name}.mp4")
    annotation(top / f"xml/{name}.xml", *tracks, **options)


def found(top: Path, numbers=NUMBERS, skip: int = 4) -> tuple[list[ultra.Source], Classes]:
    classes = Classes(numbers)
    return ultra.find(top / "videos", top / "xml", classes, skip), classes


def make(top: Path, numbers=NUMBERS, skip: int = 4) -> Path:
    sources, classes = found(top, numbers, skip)
    for place, one in enumerate(sources):
        one.split = ("train", "val", "test")[place % 3] if one.frames else "-"
    ultra.make(top / "set", sources, classes)
    return top / "set"


def test_two_videos_of_one_name_do_not_share_an_image(tmp_path):
    """DJI_0001 comes in every session; in the original both label sets are appended to one file."""
    source(tmp_path, "day1/DJI_0001", Track(0, "Zebra", boxes(12)))
    source(tmp_path, "day2/DJI_0001", Track(0, "Giraffe", boxes(12)), Track(1, "Zebra", boxes(12, left=100)))
    folder = make(tmp_path)
    labels = {path.relative_to(folder).as_posix(): path.read_text().splitlines() for path in folder.rglob("*.txt")}
    assert set(labels) == {f"labels/{part}/{day}_DJI_0001_{n}.txt" for part, day in (("train", "day1"), ("val", "day2")) for n in (0, 4, 8)}
    assert [len(lines) for _, lines in sorted(labels.items())] == [1, 1, 1, 2, 2, 2]
    assert {path.stem for path in folder.rglob("*.jpg")} == {path.stem for path in folder.rglob("*.txt")}


def test_class_numbers_fit_the_yaml(tmp_path):
    """The original always writes nc: 1, so Ultralytics throws away the images with other classes."""
    source(tmp_path, "a/v", Track(0, "Giraffe", boxes(12)), Track(1, "Zebra", boxes(12, left=100)))
    folder = make(tmp_path)
    content = yaml.safe_load((folder / "set.yaml").read_text())
    # Zebra had boxes and Grevy had none
    assert content["nc"] == 3 and content["names"] == {0: "Zebra", 1: "Baboon", 2: "Giraffe"}
    lines = (folder / "labels/train/a_v_0.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["2", "0"]
    assert list(map(float, lines[0].split()[1:])) == pytest.approx([35 / 320, 55 / 240, 30 / 320, 30 / 240])


def test_without_numbers_there_is_one_class(tmp_path):
    source(tmp_path, "a/v", Track(0, "Giraffe", boxes(12)))
    content = yaml.safe_load((make(tmp_path, None) / "set.yaml").read_text())
    assert content["nc"] == 1 and content["names"] == {0: "Animal"}


def test_labels_are_looked_up_as_they_are_and_then_without_capitals(tmp_path):
    """The original asks for 'Grevys zebra' where the table says 'Grevys Zebra', and ends with a KeyError."""
    classes = Classes({"Grevys Zebra": 0, "giraffe": 1})
    assert [classes.number(label) for label in ("Grevys Zebra", "grevys zebra", "Giraffe", "Baboon")] == [0, 0, 1, None]
    source(tmp_path, "a/v", Track(0, "Oryx", boxes(12)), Track(1, "Kudu", boxes(12)))
    with pytest.raises(FaultsError) as caught:
        found(tmp_path)
    assert caught.value.faults == [f"label '{name}' has no number in --label2index: 3 boxes" for name in ("Kudu", "Oryx")]


def test_boxes_outside_are_no_labels(tmp_path):
    source(tmp_path, "a/v", Track(0, "Zebra", boxes(12, hidden=(4, 11))))
    folder = make(tmp_path)
    assert [(folder / f"labels/train/a_v_{n}.txt").read_text().count("\n") for n in (0, 4, 8)] == [1, 0, 1]


def test_a_file_without_tracks(tmp_path):
    """The original ends with the error of max() of nothing."""
    source(tmp_path, "a/v", Track(0, "Zebra", boxes(12)))
    source(tmp_path, "b/v")
    sources, _ = found(tmp_path)
    assert [(one.name, len(one.frames), one.note) for one in sources] == [("a_v", 3, ""), ("b_v", 0, "nothing is annotated")]


def test_boxes_that_cvat_only_held_are_not_learnt(tmp_path):
    """As the original; and their frames show an animal without a label, so they are left out too."""
    moving = tuple(shape._replace(keyframe=shape.frame < 6) for shape in boxes(12))
    held = (*moving[:6], *(shape._replace(coordinates=moving[5].coordinates) for shape in moving[6:]))
    source(tmp_path, "a/v", Track(0, "Zebra", held), Track(1, "Zebra", boxes(12, left=100)))
    (one,) = found(tmp_path, skip=2)[0]
    assert sorted(one.frames) == [0, 2, 4] and one.note.startswith("6 frames left out")
    source(tmp_path, "a/v", Track(0, "Zebra", moving))
    assert len(found(tmp_path, skip=2)[0][0].frames) == 6
    ended = tuple(shape._replace(outside=shape.frame >= 6) for shape in held)
    source(tmp_path, "a/v", Track(0, "Zebra", ended), Track(1, "Zebra", boxes(12, left=100)))
    (one,) = found(tmp_path, skip=2)[0]
    assert [len(one.frames[frame][0]) for frame in sorted(one.frames)] == [2, 2, 2, 1, 1, 1] and not one.note


@pytest.mark.parametrize("level", ["task", "job", ""])
def test_meta_of_task_job_or_none(tmp_path, level):
    source(tmp_path, "a/v", Track(0, "Zebra", boxes(12)), level=level)
    assert sorted(found(tmp_path)[0][0].frames) == [0, 4, 8]


def test_boxes_beyond_the_picture_are_cut_off_or_left_out(tmp_path):
    shapes = (Shape(0, (-10.0, -10.0, 10.0, 10.0)), Shape(4, (400.0, 0.0, 420.0, 10.0)))
    source(tmp_path, "a/v", Track(0, "Zebra", shapes))
    frames = found(tmp_path)[0][0].frames
    assert frames[0][1].tolist() == [[0, 0, 10, 10]] and frames[4][0] == []


def spread(top: Path, n: int, prefix: str = "day") -> list[ultra.Source]:
    return [ultra.Source(top, f"{prefix}{day}_{k}", f"{prefix}{day}", {0: ([], None)}) for day in range(n) for k in range(3)]


def test_sessions_stay_whole_and_a_new_one_moves_no_other(tmp_path):
    """The original cuts the alphabet at 80 and 87 %: neighbouring frames of one video lie on both sides."""
    few, many = spread(tmp_path, 20), spread(tmp_path, 40)
    for sources in (few, many):
        ultra.assign_splits(sources, "session", test=0.2, val=0.2, seed=1)
    parts = {}
    for one in many:
        assert parts.setdefault(one.session, one.split) == one.split
    assert set(parts.values()) == {"train", "val", "test"}
    assert all(parts[one.session] == one.split for one in few)


def test_a_part_without_images_is_an_error_with_a_way_out(tmp_path):
    sources = spread(tmp_path, 3)
    with pytest.raises(EthoLoopError, match="--seed") as caught:
        for seed in range(100):
            ultra.assign_splits(sources, "session", test=0.13, val=0.07, seed=seed)
    good = int(str(caught.value).split("--seed ")[2].split()[0])
    ultra.assign_splits(sources, "session", test=0.13, val=0.07, seed=good)
    assert {one.split for one in sources} == {"train", "val", "test"}
    with pytest.raises(EthoLoopError, match="there are 1 in all"):
        ultra.assign_splits(spread(tmp_path, 1), "session", test=0.13, val=0.07, seed=0)
    with pytest.raises(EthoLoopError, match="expected session or video"):
        ultra.assign_splits(sources, "frame", test=0.1, val=0.1, seed=0)


@pytest.mark.parametrize("content", ['{"Zebra": 1}', '{"Zebra": 0, "Oryx": 2}', "[]", "nonsense", '{"Zebra": true}'])
def test_numbers_with_a_gap_are_refused(tmp_path, content):
    (tmp_path / "l.json").write_text(content)
    with pytest.raises(EthoLoopError, match=r"l\.json"):
        Classes.read(tmp_path / "l.json")


def test_a_folder_is_never_removed_unasked(tmp_path):
    for day in range(12):
        source(tmp_path, f"day{day}/v", Track(0, "Zebra", boxes(2)))
    (tmp_path / "l.json").write_text(json.dumps(NUMBERS))
    (tmp_path / "set").mkdir()
    (tmp_path / "set/thesis.txt").write_text("five years")
    call = ["kabr", "cvat2ultralytics", "--video", f"{tmp_path}/videos", "--annotation", f"{tmp_path}/xml", "--dataset", f"{tmp_path}/set"]
    call += ["--label2index", f"{tmp_path}/l.json", "--skip", "2", "--test", "0.3", "--val", "0.3"]
    refused = CliRunner().invoke(build_app("kabr_cvat2ultralytics"), call)
    assert isinstance(refused.exception, EthoLoopError) and (tmp_path / "set/thesis.txt").read_text() == "five years"
    dry = CliRunner().invoke(build_app("kabr_cvat2ultralytics"), [*call, "--dry-run"])
    assert dry.exit_code == 0 and dry.output.count("1 images") == 12 and (tmp_path / "set/thesis.txt").is_file()
    done = CliRunner().invoke(build_app("kabr_cvat2ultralytics"), [*call, "--overwrite"])
    assert done.exit_code == 0 and len(list((tmp_path / "set").rglob("*.jpg"))) == 12 and not (tmp_path / "set/thesis.txt").exists()


def test_ultralytics_takes_every_image(tmp_path):
    """Its own check of a data set throws away images with faulty labels: here none."""
    source(tmp_path, "a/v", Track(0, "Zebra", boxes(12)), Track(1, "Giraffe", boxes(12, left=150.0)))
    source(tmp_path, "b/v", Track(0, "Baboon", boxes(12, hidden=(0, 1, 2, 3, 4, 5))))
    folder = make(tmp_path)
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    data = check_det_dataset(str(folder / "set.yaml"))
    numbers = []
    for part in ("train", "val"):
        dataset = YOLODataset(img_path=data[part], data=data, augment=False)
        assert len(dataset.labels) == 3
        numbers += [int(number) for label in dataset.labels for number in label["cls"].ravel()]
    assert sorted(numbers) == [0, 0, 0, 1, 2, 2, 2]


def test_frames_are_those_of_the_annotation(tmp_path):
    source(tmp_path, "a/v", Track(0, "Zebra", tuple(Shape(frame, (20.0, 40.0, 50.0, 70.0)) for frame in (5, 6, 7, 8, 9))))
    assert sorted(found(tmp_path)[0][0].frames) == [8]
    assert cvat.read(tmp_path / "xml/a/v.xml").n_frames == 10
