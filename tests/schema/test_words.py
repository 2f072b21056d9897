"""Skeleton and ethogram: what is refused and why; the shipped presets are good."""

import json
from pathlib import Path

import pytest

from etholoop.errors import FaultsError
from etholoop.io.vocabulary import read_ethogram, read_skeleton
from etholoop.schema.ethogram import CATCH_ALL, ethogram_from
from etholoop.schema.skeleton import DEFAULT_SIGMA, skeleton_from

WORDS = Path(__file__).parents[2] / "label_studio"
PRESETS = sorted(path.name for path in (WORDS / "presets").iterdir())


def skeleton(**changes):
    content = {"species": ["mouse"], "keypoints": ["nose", "earL", "earR"], "left_right": [["earL", "earR"]], "animals": 2}
    return skeleton_from(content | changes, "skeleton.yaml")


def ethogram(*behaviours, **other):
    return ethogram_from({"behaviours": list(behaviours)} | other, "ethogram.yaml")


GROOM = {"name": "groom", "definition": "cleans its own fur"}


def test_a_small_skeleton():
    found = skeleton(edges=[["nose", "earL"]])
    assert found.keypoint_names == ("nose", "earL", "earR")
    assert found.sigmas == (DEFAULT_SIGMA,) * 3
    assert found.flip_index == (0, 2, 1)
    assert found.n_animals == 2


def test_boxes_only():
    found = skeleton(keypoints=[], left_right=[])
    assert found.keypoints == ()
    assert found.flip_index == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"species": []}, "name at least one"),
        ({"species": ["mouse", "mouse"]}, "species 'mouse' is listed twice"),
        ({"keypoint": []}, "did you mean 'keypoints'"),
        ({"keypoints": ["nose", "nose"], "left_right": []}, "keypoint 'nose' is listed twice"),
        ({"keypoints": [{"name": "nose", "sigma": 0}], "left_right": []}, "sigma must lie between"),
        ({"keypoints": [{"name": "nose", "sigmma": 0.1}], "left_right": []}, "did you mean 'sigma'"),
        ({"keypoints": [{"sigma": 0.1}], "left_right": []}, "expected a name"),
        ({"edges": [["nose", "earl"]]}, "did you mean 'earL'"),
        ({"edges": [["nose"]]}, "expected two keypoint names"),
        ({"left_right": [["earL", "earR"], ["earL", "nose"]]}, "'earL' is in two pairs"),
        ({"animals": 0}, "at least 1"),
        ({"animals": True}, "at least 1"),
        ({"animals": "five"}, "at least 1"),
    ],
)
def test_skeleton_faults(changes, words):
    with pytest.raises(FaultsError, match=words) as caught:
        skeleton(**changes)
    assert "skeleton.yaml" in str(caught.value)


def test_skeleton_faults_come_together():
    with pytest.raises(FaultsError) as caught:
        skeleton(species=[], animals=-1, edges=[["nose", "tail"]])
    assert len(caught.value.faults) == 3


@pytest.mark.parametrize("name", [*sorted(CATCH_ALL), "Other", "BACKGROUND", " misc "])
def test_catch_all_behaviours_are_refused_with_the_reason(name):
    with pytest.raises(FaultsError, match="catch-all") as caught:
        ethogram(GROOM, {"name": name, "definition": "whatever is left"})
    assert "must stay unlabelled" in str(caught.value)


@pytest.mark.parametrize(
    ("behaviours", "words"),
    [
        ([{"name": "groom"}], "no definition"),
        ([GROOM, GROOM], "used twice"),
        ([GROOM | {"kind": "event"}], "'state' or 'point'"),
        ([GROOM | {"key": "gr"}], "one character"),
        ([GROOM | {"key": "g"}, {"name": "gnaw", "definition": "bites wood", "key": "g"}], "key 'g' is used twice"),
        ([GROOM | {"definiton": "x"}], "did you mean 'definition'"),
        (["groom"], "expected a mapping"),
    ],
)
def test_ethogram_faults(behaviours, words):
    with pytest.raises(FaultsError, match=words):
        ethogram(*behaviours)


def test_the_order_of_behaviours_is_kept():
    assert ethogram(GROOM, {"name": "climb", "definition": "goes up the wall"}).names == ("groom", "climb")


@pytest.mark.parametrize("folder", [WORDS, *(WORDS / "presets" / name for name in PRESETS)], ids=["default", *PRESETS])
def test_shipped_words_are_good(folder):
    found = read_skeleton(folder / "skeleton.yaml")
    behaviours = read_ethogram(folder / "ethogram.yaml")
    assert found.name == behaviours.name
    assert all(behaviour.key for behaviour in behaviours.behaviours)


def test_a_new_project_starts_from_the_mice():
    for name in ("skeleton.yaml", "ethogram.yaml"):
        assert (WORDS / name).read_bytes() == (WORDS / "presets/mice_5x4" / name).read_bytes()


def test_known_facts_of_the_presets():
    assert {"kabr", "mice_5x4", "openfield"} <= set(PRESETS)
    mice = read_skeleton(WORDS / "presets/mice_5x4/skeleton.yaml")
    assert (mice.keypoint_names, mice.flip_index, mice.n_animals) == (("nose", "earL", "earR", "tailB"), (0, 2, 1, 3), 5)
    field = read_skeleton(WORDS / "presets/openfield/skeleton.yaml")
    assert (field.keypoint_names, field.n_animals) == (("snout", "leftear", "rightear", "tailbase"), 1)


def test_kabr_label_maps_fit_its_words():
    folder = WORDS / "presets/kabr"
    maps = json.loads((folder / "label_maps.json").read_text(encoding="utf-8"))
    names, species = read_ethogram(folder / "ethogram.yaml").names, read_skeleton(folder / "skeleton.yaml").species
    assert names == ("walk", "graze", "browse", "head_up", "auto_groom", "trot", "run", "occluded")
    assert {name: number for number, name in enumerate(names)} == maps["class_index"]
    assert {name: number for number, name in enumerate(sorted(names))} == maps["class_index_hugging_face"]
    assert set(maps["behaviours"].values()) == set(names)
    assert set(maps["species"].values()) == set(species)
    assert {name: number for number, name in enumerate(species)} == maps["species_index"]
    assert not set(maps["behaviours"]) & set(maps["behaviours_not_in_ethogram"])


def test_kabr_label_maps_cover_the_public_tables(public_data):
    maps = json.loads((WORDS / "presets/kabr/label_maps.json").read_text(encoding="utf-8"))
    tables = public_data / "data/kabr_tables"
    classes = json.loads((tables / "classes.json").read_text())
    assert {maps["behaviours"][name]: number for name, number in classes.items()} == maps["class_index"]
    for old, new in json.loads((tables / "old2new.json").read_text()).items():
        if new in classes:
            assert maps["behaviours"][old] == maps["behaviours"][new]
        else:
            assert old in maps["behaviours_not_in_ethogram"]
