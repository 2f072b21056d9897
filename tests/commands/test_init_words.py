"""The questions of init, as flags, as a CVAT template and on a terminal; and DVC's remote."""

import json
import zipfile

import pytest
import typer

from etholoop.commands import _init_words, init
from etholoop.errors import EthoLoopError
from etholoop.io import cvat_templates
from etholoop.io.vocabulary import read_ethogram, read_skeleton
from etholoop.project import Project
from etholoop.services import dvc, git, process

BEHAVIOUR = {"name": "Behavior", "mutable": True, "input_type": "radio", "values": ["Walk", "Run", "Other"]}
LABELS = [
    {"name": "Zebra", "attributes": [BEHAVIOUR]},
    {"name": "Giraffe", "attributes": [{**BEHAVIOUR, "values": ["Walk", "Running"]}, {"name": "age", "mutable": False, "values": ["old"]}]},
]


def template(folder, labels=LABELS, *, zipped=False):
    text = json.dumps({"name": "t", "labels": labels})
    path = folder / ("t.zip" if zipped else "project.json")
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("project.json", text)
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("zipped", [False, True])
def test_a_cvat_template_becomes_skeleton_and_ethogram(tmp_path, zipped):
    made = cvat_templates.read([template(tmp_path, zipped=zipped)])
    assert made.skeleton["species"] == ["Zebra", "Giraffe"]
    assert [(item["name"], item["exclusive_group"]) for item in made.ethogram["behaviours"]] == [
        ("Walk", "behavior"), ("Run", "behavior"), ("Running", "behavior"),
    ]  # fmt: skip
    text = "\n".join(made.remarks)
    assert "'Run' (Zebra) and 'Running' (Giraffe): the same behaviour?" in text
    assert "'Other' is left out" in text and "'age' does not change" in text


def test_other_words_join_behaviours(tmp_path):
    made = cvat_templates.read([template(tmp_path)], {"Running": "Run"})
    assert [item["name"] for item in made.ethogram["behaviours"]] == ["Walk", "Run"]


def test_a_cvat_skeleton_gives_keypoints_and_edges(tmp_path):
    svg = '<line x1="1" data-type="edge" data-node-from="1" data-node-to="2"></line><circle/>'
    label = {"name": "mouse", "type": "skeleton", "svg": svg, "sublabels": [{"name": "nose"}, {"name": "tail"}], "attributes": []}
    made = cvat_templates.read([template(tmp_path, [label])])
    assert (made.skeleton["keypoints"], made.skeleton["edges"]) == (["nose", "tail"], [["nose", "tail"]])


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"labels": []}', '{"labels": [{}]}'])
def test_what_is_no_template_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(EthoLoopError, match="expected a CVAT template"):
        cvat_templates.read([tmp_path / "x.json"])


def test_the_published_templates_of_kabr(public_data):
    folder = public_data / "data/kabr_tables"
    made = cvat_templates.read(
        [folder / "kenya-behavior.zip", folder / "kenya-boxes.zip"], json.loads((folder / "old2new.json").read_text())
    )
    names = [item["name"] for item in made.ethogram["behaviours"]]
    assert made.skeleton["species"] == ["Zebra", "Giraffe", "Baboon"]
    assert "Walk" in names and "Walking" not in names and "Trot" in names and len(names) == len(set(names))
    assert _init_words.checked(_init_words.Words(made.skeleton, made.ethogram))


def test_flags_become_files_of_a_new_project(tmp_path):
    words = _init_words.from_flags("rat", "nose, ear_left, ear_right", ["groom: licks its own fur: head or body", "rear: stands up"], 2)
    project = init.make_project(tmp_path / "p", words=words, remote=str(tmp_path / "nas"))
    skeleton, ethogram = read_skeleton(project.skeleton), read_ethogram(project.ethogram)
    assert (skeleton.species, skeleton.n_animals, skeleton.mirror_pairs) == (("rat",), 2, (("ear_left", "ear_right"),))
    assert [(item.name, item.definition) for item in ethogram.behaviours] == [
        ("groom", "licks its own fur: head or body"), ("rear", "stands up"),
    ]  # fmt: skip
    assert git.dirty(project) == []
    assert process.run(["dvc", "remote", "default"], project.root).strip() == "lab"
    process.run(["dvc", "push", "--quiet"], project.root)
    assert any((tmp_path / "nas").rglob("*")), "labels and inputs are kept there"
    with pytest.raises(EthoLoopError, match="in use"):
        init.make_project(project.root, words=words)
    init.set_remote(project, str(tmp_path / "nas"))
    with pytest.raises(EthoLoopError, match="remote is"):
        init.set_remote(project, str(tmp_path / "elsewhere"))
    assert dvc.status(Project(project.root)) is not None


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("", "nose", [], None), "need --species"),
        (("rat", "", ["groom"], None), "no definition"),
        (("rat", "", ["other: anything"], None), "catch-all"),
        (("rat,rat", "", [], None), "listed twice"),
    ],
)
def test_flags_that_cannot_be_are_refused(flags, why):
    with pytest.raises(EthoLoopError, match=why):
        _init_words.from_flags(*flags)


def test_nobody_at_the_terminal_is_asked_nothing(monkeypatch):
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: pytest.fail("asked"))
    assert not _init_words.asked()


def test_a_person_at_the_terminal_is_asked(monkeypatch):
    answers = iter(["mouse", "nose,tail", "2", "walk", "All four feet carry the body."])
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: next(answers))
    monkeypatch.setattr(_init_words.sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(_init_words.sys.stdout, "isatty", lambda: True)
    words = _init_words.asked()
    assert words.skeleton["keypoints"] == ["nose", "tail"] and words.skeleton["animals"] == 2
    assert words.ethogram["behaviours"] == [{"name": "walk", "definition": "All four feet carry the body."}]
