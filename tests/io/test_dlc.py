"""DeepLabCut projects: all layouts, faults with their place, half a pixel, there and back."""

import shutil
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io import dlc, snapshot
from etholoop.io.dlc import Reading
from etholoop.io.snapshot import Snapshot

SINGLE = "scorer,LM,LM,LM,LM\nbodyparts,nose,nose,tail,tail\ncoords,x,y,x,y\n"
THREE = "scorer,,,LM,LM,LM,LM\nbodyparts,,,nose,nose,tail,tail\ncoords,,,x,y,x,y\n"


def project(folder: Path, text: str, n_images: int = 3, **config) -> Path:
    config = {"Task": "t", "scorer": "LM", "multianimalproject": False, "bodyparts": ["nose", "tail"], "skeleton": []} | config
    labels = folder / "labeled-data" / "My Video"
    labels.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    for number in range(n_images):
        cv2.imwrite(str(labels / f"img{number:04d}.png"), np.zeros((100, 200, 3), np.uint8))
    (labels / "CollectedData_LM.csv").write_text(text)
    return folder


def test_a_known_row(tmp_path):
    found = dlc.read_project(project(tmp_path, SINGLE + "labeled-data/My Video/img0002.png,50,20,90,60\n"))
    (record,) = found.frames
    assert (record["uid"], record["annotator"], record["status"]) == ("my-video:00000002", "dlc:LM", "animals")
    (animal,) = record["instances"]
    # the centre of DeepLabCut's pixel 50 is 50.5 when the corner of the first pixel is 0
    assert animal["keypoints"] == {"nose": [50.5, 20.5, 2], "tail": [90.5, 60.5, 2]}
    # 15 % of 40 px is 6 px, less than the least margin of 8 px
    assert animal["box"] == [42.5, 12.5, 98.5, 68.5]
    assert (animal["class"], animal["identity"]) == ("mouse", None)
    assert found.skeleton["animals"] == 1
    assert [path.name for path in found.images["My Video"]] == ["img0002.png"]


def test_margin_grows_with_the_animal_and_stops_at_the_image(tmp_path):
    folder = project(tmp_path, SINGLE + "labeled-data/My Video/img0000.png,10,20,110,60\n")
    (record,) = dlc.read_project(folder, Reading(margin=0.2)).frames
    assert record["instances"][0]["box"] == pytest.approx([0, 0.5, 130.5, 80.5])


def test_path_in_three_columns_and_from_windows(tmp_path):
    three = dlc.read_project(project(tmp_path / "a", THREE + "labeled-data,My Video,img0001.png,1,2,3,4\n"))
    windows = dlc.read_project(project(tmp_path / "b", SINGLE + "labeled-data\\My Video\\img0001.png,1,2,3,4\n"))
    assert three.frames == windows.frames
    assert three.frames[0]["uid"] == "my-video:00000001"


def test_a_row_without_keypoints_is_not_no_animal(tmp_path):
    folder = project(tmp_path, SINGLE + "a/b/img0000.png,,,,\na/b/img0001.png,1,2,,\n")
    found = dlc.read_project(folder)
    assert [record["uid"] for record in found.frames] == ["my-video:00000001"]
    assert [path.name for path in found.empty_rows] == ["img0000.png"]
    assert list(found.frames[0]["instances"][0]["keypoints"]) == ["nose"]
    told = dlc.read_project(folder, Reading(empty_means_no_animal=True))
    assert [record["status"] for record in told.frames] == ["no_animal", "animals"]
    snapshot.dumps(Snapshot(told.frames))


def test_faults_of_all_rows_come_together(tmp_path):
    rows = ["img0000.png,1,,3,4", "img0001.png,1,2,3,400", "img0002.png,1,inf,3,4", "img0009.png,1,2,3,4"]
    with pytest.raises(FaultsError) as caught:
        dlc.read_project(project(tmp_path, SINGLE + "".join(f"a/b/{row}\n" for row in rows[:3])))
    assert len(caught.value.faults) == 3
    assert "img0001.png: 'tail' at (3.0, 400.0) lies outside of the 200 x 100 image" in caught.value.faults[1]
    with pytest.raises(FaultsError, match=r"img0009.png: labelled, but the image is not there"):
        dlc.read_project(project(tmp_path, SINGLE + f"a/b/{rows[3]}\n"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SINGLE + "a/b/img0000.png,1,2,3\n", "line 4: expected 5 cells, found 4"),
        (SINGLE + "a/b/img0000.png,1,2,3,four\n", "line 4: 'four' is not a number"),
        (SINGLE + "a/b/img0000.png,1,2,3,4\na/b/img0000.png,1,2,3,4\n", "has two rows"),
        (SINGLE.replace("tail", "tial"), "body part 'tial' is not in the configuration; did you mean 'tail'"),
        ("x,y\n1,2\n", "expected the header rows"),
    ],
)
def test_files_that_are_wrong(tmp_path, text, words):
    with pytest.raises(FaultsError, match=words):
        dlc.read_project(project(tmp_path, text))


def test_keypoints_outside_may_be_left_out(tmp_path):
    folder = project(tmp_path, SINGLE + "a/b/img0000.png,1,2,3,400\n")
    found = dlc.read_project(folder, Reading(outside_is_missing=True))
    assert list(found.frames[0]["instances"][0]["keypoints"]) == ["nose"]
    assert len(found.outside) == 1


def test_no_project_and_no_labels(tmp_path):
    with pytest.raises(EthoLoopError, match=r"no config\.yaml here"):
        dlc.read_project(tmp_path)
    (tmp_path / "my_config.yaml").write_text("bodyparts: [nose]\n")
    with pytest.raises(EthoLoopError, match=r"One of these may be it: my_config\.yaml"):
        dlc.read_project(tmp_path)
    with pytest.raises(EthoLoopError, match="nowhere: not found"):
        dlc.read_project(tmp_path / "nowhere")
    (tmp_path / "my_config.yaml").rename(tmp_path / "config.yaml")
    with pytest.raises(EthoLoopError, match="no labeled-data"):
        dlc.read_project(tmp_path)


def test_individuals_are_identities_or_slots(tmp_path):
    text = "scorer,LM,LM,LM,LM\nindividuals,m1,m1,m2,m2\nbodyparts,nose,nose,nose,nose\ncoords,x,y,x,y\na/b/img0000.png,10,20,50,60\n"
    config = {"multianimalproject": True, "bodyparts": "MULTI!", "multianimalbodyparts": ["nose"], "individuals": ["m1", "m2"]}
    folder = project(tmp_path, text, **config)
    found = dlc.read_project(folder)
    assert [animal["identity"] for animal in found.frames[0]["instances"]] == ["m1", "m2"]
    assert found.skeleton["animals"] == 2
    slots = dlc.read_project(folder, Reading(keep_individuals=False))
    assert [animal["identity"] for animal in slots.frames[0]["instances"]] == [None, None]


def test_csv_and_h5_that_differ_are_refused(tmp_path):
    folder = project(tmp_path, SINGLE + "a/b/img0000.png,1,2,3,4\n")
    labels = folder / "labeled-data/My Video"
    write_fixed_h5(labels / "CollectedData_LM.h5", dlc.read_csv(labels / "CollectedData_LM.csv"))
    assert len(dlc.read_project(folder).frames) == 1
    (labels / "CollectedData_LM.csv").write_text(SINGLE + "a/b/img0000.png,1,2,3,5\n")
    with pytest.raises(FaultsError, match="hold different labels"):
        dlc.read_project(folder)
    (labels / "CollectedData_LM.csv").unlink()
    assert dlc.read_project(folder).frames[0]["instances"][0]["keypoints"]["tail"] == [3.5, 4.5, 2]


def write_fixed_h5(path: Path, collected: dlc.Collected) -> None:
    """The layout pandas calls "fixed", for a single-animal file with the image's path in three parts."""

    def axis(group: h5py.Group, name: str, rows: list[tuple[str, ...]]) -> None:
        for number, values in enumerate(zip(*rows, strict=True)):
            level = sorted(set(values))
            group[f"{name}_level{number}"] = np.array([value.encode() for value in level])
            group[f"{name}_label{number}"] = np.array([level.index(value) for value in values], np.int8)

    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        axis(group, "block0_items", [(collected.scorer, part, coordinate) for _, part, coordinate in collected.columns])
        axis(group, "axis1", [("labeled-data", "v", name) for name in collected.image_names])
        group["block0_values"] = collected.values


def test_pickled_code_in_h5_is_not_run(tmp_path):
    import pickle

    with pytest.raises(pickle.UnpicklingError, match="print"):
        dlc._plain_pickle(pickle.dumps(print))


def test_damaged_h5(tmp_path):
    folder = project(tmp_path, SINGLE + "a/b/img0000.png,1,2,3,4\n")
    (folder / "labeled-data/My Video/CollectedData_LM.h5").write_bytes(b"not hdf5")
    with pytest.raises(FaultsError, match="not a readable CollectedData file"):
        dlc.read_project(folder)


def test_mirror_pairs():
    assert dlc.mirror_pairs(["leftear", "rightear", "nose", "earL", "earR"]) == [["leftear", "rightear"], ["earL", "earR"]]
    assert dlc.mirror_pairs(["left_hand", "tail", "AL"]) == []


def test_the_open_field_project(public_data):
    found = dlc.read_project(public_data / "data/dlc_openfield_mouse")
    assert len(found.frames) == 116
    assert {record["annotator"] for record in found.frames} == {"dlc:Pranav"}
    assert all(len(record["instances"][0]["keypoints"]) == 4 for record in found.frames)
    assert found.frames[0]["instances"][0]["keypoints"]["snout"] == [22.021, 265.928, 2]
    assert found.skeleton["keypoints"] == ["snout", "leftear", "rightear", "tailbase"]
    assert [path.name for path in found.videos] == ["m3v1mp4.mp4"]


def test_h5_of_the_open_field_project(public_data):
    folder = public_data / "data/dlc_openfield_mouse/labeled-data/m4s1"
    one, other = dlc.read_csv(folder / "CollectedData_Pranav.csv"), dlc.read_h5(folder / "CollectedData_Pranav.h5")
    assert one.image_names == other.image_names
    assert one.columns == other.columns
    assert np.allclose(one.values, other.values, atol=1e-6)


def test_h5_in_the_fixed_layout(public_data):
    folder = public_data / "data/label_formats/deepof_madlc"
    found = dlc.read_h5(folder / "test2DLC_h5_table_madlc.h5")
    assert found.values.shape == (100, 84)
    assert found.columns[0] == ("mouse_black_tail", "Nose", "x")


@pytest.mark.parametrize("name", ["dlc_testdata", "madlc_testdata", "maudlc_testdata"])
def test_both_index_styles_of_public_files_say_the_same(public_data, name):
    folder = public_data / "data/label_formats/dlc_multi/labeled-data/video"
    one, other = dlc.read_csv(folder / f"{name}.csv"), dlc.read_csv(folder / f"{name}_v2.csv")
    assert one.image_names == other.image_names == ["img000.png", "img001.png", "img002.png", "img003.png"]
    assert one.columns == other.columns
    assert np.array_equal(one.values, other.values, equal_nan=True)


def test_multi_animal_project_with_unique_body_parts(public_data, tmp_path):
    source = public_data / "data/label_formats/dlc_multi"
    shutil.copytree(source / "labeled-data", tmp_path / "labeled-data", copy_function=shutil.copyfile)
    shutil.copyfile(source / "madlc_230_config.yaml", tmp_path / "config.yaml")
    with pytest.raises(FaultsError, match="30 x 30 image") as caught:
        dlc.read_project(tmp_path)
    assert len(caught.value.faults) == 3
    found = dlc.read_project(tmp_path, Reading(species="fly", outside_is_missing=True))
    assert found.skeleton["species"] == ["fly", "single"]
    assert found.skeleton["keypoints"] == ["A", "B", "C", "D", "E"]
    assert found.skeleton["animals"] == 4
    assert [path.name for path in found.empty_rows] == ["img002.png"]
    owners = [[(animal["class"], animal["identity"]) for animal in record["instances"]] for record in found.frames]
    assert owners == [
        [("fly", "Animal1"), ("fly", "Animal2")],
        [("fly", "Animal1"), ("fly", "Animal2"), ("single", None)],
        [("fly", "Animal1")],
    ]
    assert found.frames[1]["instances"][0]["keypoints"] == {"A": [12.5, 13.5, 2], "C": [15.5, 16.5, 2]}


places = st.floats(0, 99, allow_nan=False).map(lambda value: round(value, 4))


skeletons = st.dictionaries(st.sampled_from(["nose", "tail"]), st.tuples(places, places), min_size=1)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["m1", "m2"]), skeletons), min_size=1, max_size=3))
def test_there_and_back(tmp_path_factory, frames):
    folder = tmp_path_factory.mktemp("dlc")
    config = {"multianimalproject": True, "multianimalbodyparts": ["nose", "tail"], "individuals": ["m1", "m2"]}
    project(folder, "", **config)
    records = []
    for number, animals in enumerate(frames):
        instances = []
        for name, parts in sorted(animals.items()):
            keypoints = {part: [x + 0.5, y + 0.5, 2] for part, (x, y) in parts.items()}
            instances.append({"class": "mouse", "box": [0, 0, 1, 1], "identity": name, "keypoints": keypoints})
        records.append({"uid": f"my-video:{number:08d}", "annotator": "dlc:LM", "status": "animals", "note": "", "instances": instances})
    names = {record["uid"]: f"img{number:04d}.png" for number, record in enumerate(records)}
    dlc.write_csv(folder / "labeled-data/My Video/CollectedData_LM.csv", records, names, ["nose", "tail"], "LM")
    back = dlc.read_project(folder).frames

    def points(records):
        return {
            (record["uid"], animal["identity"], part): [round(value, 4) for value in point]
            for record in records
            for animal in record["instances"]
            for part, point in animal["keypoints"].items()
        }

    assert points(back) == points(records)
