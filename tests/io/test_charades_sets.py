"""SlowFast's Charades layout in and out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import charades
from etholoop.io.charades import Clip


def clip(name: str, n: int, label: int = 0, folder: str = "") -> Clip:
    return Clip(name, tuple(f"{folder or name}/{number}.jpg" for number in range(1, n + 1)), ((label,),) * n)


def test_the_table_as_slowfast_reads_it():
    text = charades.table_text([clip("Z0001", 2, 3), Clip("G0002", ("G0002/1.jpg",), ((0, 5),))])
    assert text.splitlines() == [
        "original_vido_id video_id frame_id path labels",
        "Z0001 1 1 Z0001/1.jpg 3",
        "Z0001 1 2 Z0001/2.jpg 3",
        "G0002 2 1 G0002/1.jpg 0,5",
    ]


@given(st.lists(st.lists(st.lists(st.integers(0, 7), min_size=1, max_size=3).map(tuple), min_size=1, max_size=5), max_size=4))
def test_there_and_back(tmp_path_factory, all_labels):
    clips = [Clip(f"Z{n:04d}", tuple(f"Z{n:04d}/{k}.jpg" for k in range(len(own))), tuple(own)) for n, own in enumerate(all_labels)]
    path = tmp_path_factory.getbasetemp() / "there_and_back.csv"
    charades.write_table(path, clips)
    assert charades.read_table(path, 8) == clips


def test_segments_of_ninety_frames_and_a_shorter_last_one():
    parts = charades.segments([clip("Z0001", 200, 4), clip("G0002", 90)])
    assert [(part.name, len(part)) for part in parts] == [("Z0001.1", 90), ("Z0001.2", 90), ("Z0001.3", 20), ("G0002.1", 90)]
    assert parts[1].paths[0] == "Z0001/91.jpg" and parts[2].labels == ((4,),) * 20
    assert {part.folder for part in parts} == {"Z0001", "G0002"}


def test_a_split_by_a_list_of_folders(tmp_path):
    (tmp_path / "val.txt").write_text("# official\nG0002\n\n")
    parts = charades.segments([clip("Z0001", 200), clip("G0002", 100)])
    train, val = charades.split(parts, charades.read_folder_list(tmp_path / "val.txt"))
    assert [part.name for part in train] == ["Z0001.1", "Z0001.2", "Z0001.3"] and [part.name for part in val] == ["G0002.1", "G0002.2"]
    assert charades.table_text(val, first_id=4).splitlines()[1].startswith("G0002.1 4 1 ")


def test_pieces_of_one_mini_scene_stay_together():
    clips = [clip("Z0001", 5), clip("Z0002", 5), clip("Z0003", 5)]
    groups = {"Z0001": "day1/0", "Z0002": "day1/0", "Z0003": "day1/1"}
    assert [[part.name for part in side] for side in charades.split(clips, ["day1/0"], groups)] == [["Z0003"], ["Z0001", "Z0002"]]
    with pytest.raises(FaultsError, match="both sides: Z0002"):
        charades.split(clips, ["Z0001"], groups)
    with pytest.raises(FaultsError, match="'Z0009' is no folder"):
        charades.split(clips, ["Z0009"], groups)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["Z 1 1 Z/1.jpg 0", "Z 1 3 Z/3.jpg 0"], "line 3: frame 3 of Z stands where frame 2 is expected"),
        (["Z 1 1 Z/1.jpg 8"], "below 8"),
        (["Z 1 1 Z/1.jpg x"], "found 'x'"),
        (["Z 1 1 Z/1.jpg"], "5 columns, found 4"),
        (["Z 1 1 Z/1.jpg 0", "G 2 1 G/1.jpg 0", "Z 3 1 Z/1.jpg 0"], "'Z' stands in two places"),
    ],
)
def test_rows_that_do_not_fit(tmp_path, lines, message):
    path = tmp_path / "data.csv"
    path.write_text("\n".join([" ".join(charades.COLUMNS), *lines, ""]))
    with pytest.raises(FaultsError, match=message):
        charades.read_table(path, 8)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "data.csv"
    with pytest.raises(EthoLoopError, match="not found"):
        charades.read_table(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(EthoLoopError, match="expected the columns"):
        charades.read_table(path)


def test_names_with_blanks_cannot_be_written(tmp_path):
    with pytest.raises(FaultsError, match="holds a blank"):
        charades.write_table(tmp_path / "a.csv", [clip("two words", 1)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["{}", "[]", '{"Walk": 1}', '{"Walk": 0, "Run": 2}', '{"Walk": "0"}', "nonsense", '{"Walk": false}'])
def test_class_numbers_must_count_from_zero(tmp_path, content):
    """Two tables of KABR number the classes differently; at least each must be whole."""
    (tmp_path / "classes.json").write_text(content)
    with pytest.raises(EthoLoopError, match=r"classes\.json"):
        charades.read_classes(tmp_path / "classes.json")


def test_maps_of_names(tmp_path):
    (tmp_path / "a.json").write_text('{"Walking": "Walk"}')
    assert charades.read_names(tmp_path / "a.json") == {"Walking": "Walk"}
    (tmp_path / "a.json").write_text('{"Walking": 0}')
    with pytest.raises(EthoLoopError, match="old names with new ones"):
        charades.read_names(tmp_path / "a.json")
