"""Rules for names: which fit, and what comes out of a pattern."""

import pytest

from etholoop.core.name_rules import clashes, new_name, picked

BEHAVTRACK = ["aria", "pre+ecig", "pre+cig"]


@pytest.mark.parametrize(
    "path, yes",
    [
        ("Gabbia1-D6-eCig(1)-pre.mp4", True),
        ("Gabbia1-D6-eCig(1)-post.mp4", False),
        ("ARIA_3.mp4", True),
        ("pre/other.mp4", False),  # a folder is not the file's name
        ("cig.mp4", False),
    ],
)
def test_the_rule_of_behavtrack(path, yes):
    assert picked(path, BEHAVTRACK) is yes


def test_patterns_paths_and_exceptions():
    assert picked("day1/a_top.mp4", ["day1/*_top.mp4"])
    assert not picked("day2/a_top.mp4", ["day1/*_top.mp4"])
    assert picked("day2/a_top.mp4", ["*_top.mp4"])
    assert not picked("day2/a_top.mp4", [], ["top"])
    assert not picked("ARIA.mp4", ["aria"], case=True)


def test_new_names():
    assert new_name("{session}_{camera}_{n:3}", {"session": "day 1", "camera": "top", "n": 7}) == "day 1_top_007"
    assert new_name("{parent}-{stem}", {"parent": "a/b", "stem": "x"}) == "a-b-x"


@pytest.mark.parametrize(
    "pattern, words", [("{nobody}", "unknown field"), ("{camera}", "no value"), ("a/b", "no sign"), ("{stem", "no sign")]
)
def test_bad_patterns(pattern, words):
    with pytest.raises(ValueError, match=words):
        new_name(pattern, {"stem": "x", "camera": None})


@pytest.mark.parametrize("stem", [".", "..", ""])
def test_names_that_are_no_names(stem):
    with pytest.raises(ValueError):
        new_name("{stem}", {"stem": stem})


def test_clashes():
    assert clashes({"a": "x", "b": "X"}, ["a", "b"]) == ["b: a gets the same name X"]
    assert clashes({"a": "c"}, ["a", "c"]) == ["a: c is there already"]
    assert clashes({"a": "b", "b": "a"}, ["a", "b"]) == []
