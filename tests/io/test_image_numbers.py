"""Numbers of images: told by names, kept in a list where names do not tell, never changed by what is added."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etholoop.errors import FaultsError
from etholoop.io import image_numbers
from etholoop.io.image_numbers import numbers_of, settled


def folder_of(tmp_path: Path, *names: str) -> list[Path]:
    for name in names:
        (tmp_path / name).touch()
    return [tmp_path / name for name in names]


def test_numbers_come_from_the_names():
    paths = [Path(name) for name in ("img_10.png", "img_2.png", "img_007.png")]
    assert list(numbers_of(paths).images.items()) == [(2, paths[1]), (7, paths[2]), (10, paths[0])]


def test_images_without_a_number_of_their_own_have_none(tmp_path):
    paths = folder_of(tmp_path, "a1.png", "b1.png", "c2.png", "nose.png")
    found = numbers_of(paths)
    assert found.images == {2: paths[2]}
    assert "number 1, and so does b1.png" in found.without[paths[0]]
    assert "holds no number" in found.without[paths[3]]
    assert all("etholoop videos number" in why for why in found.without.values())


def test_the_list_decides(tmp_path):
    paths = folder_of(tmp_path, "a1.png", "b1.png", "c2.png")
    image_numbers.write_list(tmp_path, {"b1.png": 0, "a1.png": 5})
    found = numbers_of(paths)
    assert found.images == {0: paths[1], 5: paths[0]}
    assert list(found.without) == [paths[2]]


def test_new_images_get_free_numbers_and_old_ones_keep_theirs():
    numbers, faults = settled(["img1.png", "img2.png"], {}, {"img3.png": None, "other1.png": None, "nose.png": None})
    assert numbers == {"img1.png": 1, "img2.png": 2, "img3.png": 3, "nose.png": 4, "other1.png": 5}
    assert faults == []
    assert image_numbers.needs_list(numbers)
    assert not image_numbers.needs_list({"img1.png": 1, "img007.png": 7})


def test_names_without_numbers_are_counted_in_natural_order():
    assert settled([], {}, dict.fromkeys(["10a1.png", "9a1.png", "100a1.png"]))[0] == {"9a1.png": 0, "10a1.png": 1, "100a1.png": 2}


def test_a_number_that_an_image_had_stays_its_own_when_another_one_claims_it():
    present = ["img1.png", "img2.png", "other_1.png"]
    had = {"img1.png": 1, "img2.png": 2}
    assert settled(present, {}, dict.fromkeys(present), had)[0] == {"img1.png": 1, "img2.png": 2, "other_1.png": 3}
    assert 1 not in settled(present, {}, dict.fromkeys(present))[0].values(), "without that knowledge neither of the two gets it"


def test_wanted_numbers_are_given_or_refused():
    numbers, faults = settled(["img1.png"], {}, {"a.png": 12, "b.png": 1, "img1.png": 3})
    assert numbers["a.png"] == 12
    assert faults == ["b.png: number 1 is that of img1.png", "img1.png: its number is 1 already, it cannot become 3"]


NAMES = st.lists(st.from_regex(r"[ab]{0,2}[0-9]{0,2}[ab]?", fullmatch=True).map(lambda stem: f"{stem}x.png"), max_size=8, unique=True)


@settings(max_examples=40, deadline=None)
@given(NAMES, NAMES)
def test_whatever_is_added_no_number_moves(tmp_path_factory, first, second):
    folder = tmp_path_factory.mktemp("images")

    def add(names):
        listed = image_numbers.read_list(folder)
        numbers, faults = settled(image_numbers.image_names(folder), listed, dict.fromkeys(names))
        folder_of(folder, *names)
        if listed or image_numbers.needs_list(numbers):
            image_numbers.write_list(folder, numbers)
        found = numbers_of(folder.glob("*.png"))
        assert faults == [] and found.without == {}
        assert sorted(path.name for path in found.images.values()) == image_numbers.image_names(folder)
        return {path.name: number for number, path in found.images.items()}

    before = add(first)
    after = add(second)
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,number\n", "first line must be name,number"),
        ("name,number\na.png,x\n", "line 2: expected a name and a whole number"),
        ("name,number\na.png,1\na.png,2\n", "line 3: name or number"),
        ("name,number\na.png,1\nb.png,1\n", "line 3: name or number"),
        (b"name,number\n\xff.png,1\n", "not UTF-8"),
    ],
)
def test_a_bad_list_names_its_lines(tmp_path, text, words):
    (tmp_path / "numbers.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(FaultsError, match=words):
        image_numbers.read_list(tmp_path)


def test_names_with_commas_and_umlauts_come_back(tmp_path):
    numbers = {'a, "b".png': 3, "Käfig 老鼠.png": 1}
    image_numbers.write_list(tmp_path, numbers)
    assert image_numbers.read_list(tmp_path) == numbers
