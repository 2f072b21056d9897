"""The report before and after the first model, on a small project with pictures."""

import base64
import json
import re
import shutil
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from cycle_project import STEP, new_project, write_labels, write_predictions

from etholoop.io import history, tables
from etholoop.schema.annotations import LabelledFrames
from etholoop.schema.selection import Selection
from etholoop.stages import evaluate, report, select

SMALL = report.Params(n_samples=3, n_worst=3, thumbnail_px=120)
LABELS = [(video, frame) for video in ("cage1", "cage2", "cage3", "cage4") for frame in range(0, 300, 4 * STEP)]
NOTHING_INSIDE = {"img", "meta", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """The page as text, pictures and headings; tags that do not close are collected."""

    def __init__(self, html):
        super().__init__()
        self.html, self.open, self.faults, self.text = html, [], [], []
        self.pictures, self.headings, self.anchors, self.targets = [], [], set(), set()
        self.feed(html)
        self.faults += self.open
        self.words = " ".join(" ".join(self.text).split())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in NOTHING_INSIDE:
            self.open.append(tag)
        if tag == "img":
            self.pictures.append(attrs)
        if "id" in attrs:
            self.anchors.add(attrs["id"])
        if tag == "a":
            self.targets.add(attrs["href"].removeprefix("#"))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data.strip())


def page_of(project, params=SMALL):
    report.run(project, params)
    return Page(project.report.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    project = new_project(tmp_path_factory.mktemp("before") / "project")
    select.run(project, select.Params())
    return project


@pytest.fixture(scope="module")
def trained(tmp_path_factory, untrained):
    root = tmp_path_factory.mktemp("after") / "project"
    shutil.copytree(untrained.root, root)
    project = type(untrained)(root)
    write_labels(project, LABELS)
    write_predictions(project)
    evaluate.run(project, evaluate.Params(n_bootstrap=20))
    project.pose_model.mkdir(parents=True)
    status = {"trained": True, "detector": "yolo", "init": "base", "weights_sha256": "ab" * 32, "notes": ["Weights of epoch 7."]}
    (project.pose_model / "status.json").write_text(json.dumps(status))
    curves = "epoch,train_box_loss,train_pose_loss,val_box_mAP50\n1,2.0,5.0,\n2,1.0,3.0,0.5\n3,0.8,2.0,0.7\n"
    (project.metrics / "plots/pose_curves.csv").write_text(curves)
    figures = {"box_ap50": 0.5, "oks_ap50": 0.4, "rmse_px": 9.0, "median_px": 6.0, "ci": {"box_ap50": [0.4, 0.6]}}
    history.write(project.metrics / "history.csv", [{"cycle": "c001", "metrics": figures, "labels": {"frames": 8, "instances": 9}}])
    project.params.write_text("cycle: {id: c002, batch_size: 8}\n")
    select.run(project, select.Params())
    return project


@pytest.fixture
def project(trained, tmp_path):
    shutil.copytree(trained.root, tmp_path / "project")
    return type(trained)(tmp_path / "project")


@pytest.fixture(scope="module")
def before(untrained):
    return page_of(untrained)


@pytest.fixture(scope="module")
def after(trained):
    return page_of(trained)


@pytest.mark.parametrize("state", ["before", "after"])
class TestEveryPage:
    def test_is_well_formed(self, state, request):
        page = request.getfixturevalue(state)
        assert page.faults == []
        assert page.targets <= page.anchors
        assert page.headings[0].startswith("Cycle c00")

    def test_needs_no_network_and_no_script(self, state, request):
        html = request.getfixturevalue(state).html
        assert not re.search(r"(src|href)=\"(?!data:image/|#)", html)
        assert "<script" not in html
        assert "url(" not in html

    def test_every_picture_is_inside_decodes_and_is_described(self, state, request):
        pictures = request.getfixturevalue(state).pictures
        assert pictures
        for picture in pictures:
            content = base64.b64decode(picture["src"].split(",", 1)[1])
            assert cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) is not None
            assert len(picture["alt"]) > 15

    def test_holds_no_place_of_this_machine(self, state, request, trained, untrained):
        html = request.getfixturevalue(state).html
        assert str(trained.root.parent) not in html
        assert str(untrained.root.parent) not in html


def test_before_any_model_it_says_what_to_do(before):
    assert "There is no trained model yet" in before.words
    assert "Label the held-out list first" in before.words
    assert "Label the batch: 8 frames" in before.words
    assert "How good the model is" not in before.headings
    assert len(before.pictures) == 8 + 8  # the batch, and the beginning of the held-out list


def test_reason_of_a_training_that_did_not_take_place(untrained, tmp_path):
    shutil.copytree(untrained.root, tmp_path / "project")
    project = type(untrained)(tmp_path / "project")
    project.pose_model.mkdir(parents=True)
    (project.pose_model / "status.json").write_text('{"trained": false, "reason": "3 labelled train frames, 8 are needed"}')
    project.metrics.mkdir(exist_ok=True)
    (project.metrics / "evaluate.json").write_text('{"evaluated": false, "reason": "no labelled frames yet"}')
    page = page_of(project)
    assert "There is no trained model yet: 3 labelled train frames, 8 are needed." in page.words
    assert "No figures yet: no labelled frames yet." in page.words


def test_figures_with_their_doubts(after, trained):
    figures = json.loads((trained.metrics / "evaluate.json").read_text())["test"]
    assert f"Animals found (box AP50) {figures['box_ap50']:.3f}" in after.words
    assert f"{figures['median_px']:.2f} px" in after.words
    assert "CI not reliable: n videos < 10" in after.words
    assert "since c001 (better)" in after.words
    assert "Judged on 5 labelled frames with 10 animals from 1 held-out recording." in after.words


def test_all_parts_are_there(after):
    wanted = ["What to do now", "How good the model is", "Learning curve", "Held-out frames, drawn", "Worst errors", "Curves"]
    wanted += ["What to label next", "Held-out list", "What went in", "Where this comes from"]
    assert after.headings[1:] == wanted
    assert "c001 8 0.500 0.400" in after.words
    assert "broken.mp4" in after.words
    assert "ab" * 32 in after.words
    assert "Weights of epoch 7." in after.words
    assert "drawn by lot from all" in after.words


def test_batch_is_shown_in_full(after, trained):
    batch = tables.read(trained.selection / "batch.parquet", Selection)
    for row in batch.itertuples():
        assert f"{row.rank + 1}. {row.video_id}:{row.frame:08d} {row.reason}" in after.words


def test_same_inputs_same_bytes(trained):
    report.run(trained, SMALL)
    first = trained.report.read_bytes()
    report.run(trained, SMALL)
    assert trained.report.read_bytes() == first


def test_closing_the_cycle_does_not_change_its_report(project):
    page = page_of(project)
    figures = json.loads((project.metrics / "evaluate.json").read_text())["test"]
    path = project.metrics / "history.csv"
    closed = {"cycle": "c002", "metrics": figures, "labels": {"frames": len(LABELS), "instances": 9}}
    history.write(path, [*history.read(path), closed])
    assert page_of(project).html == page.html


@pytest.mark.parametrize(("mode", "words"), [("blocks", "One recording cut into blocks"), ("fixed", "the split leaks")])
def test_weak_splits_are_printed_on_top(tmp_path, mode, words):
    project = new_project(tmp_path / "project", mode=mode)
    select.run(project, select.Params())
    page = page_of(project)
    assert page.words.index(words) < page.words.index("What to label next 8 frames")
    assert "Honest split" not in page.words


def test_labels_of_rendered_animals_say_so_on_top(project):
    path = project.annotations / "labelled_frames.parquet"
    labelled = tables.read(path, LabelledFrames)
    tables.write(labelled.assign(note="synthetic"), LabelledFrames, path)
    assert "Synthetic animals All labels are of rendered animals" in page_of(project).words
    labelled["note"] = ["", *["synthetic"] * (len(labelled) - 1)]
    tables.write(labelled, LabelledFrames, path)
    assert "Synthetic animals" not in page_of(project).words


def test_overrides_are_printed_with_their_reason(project):
    path = project.gates / "dataset.json"
    gate = json.loads(path.read_text())
    gate["overrides"] = {"same_group": {"reason": "comparison with an older program", "needed": True}}
    path.write_text(json.dumps(gate))
    page = page_of(project)
    assert "Rule 'same_group' of gate 'dataset' is set aside" in page.words
    assert "Reason given: comparison with an older program. It fails on these data." in page.words


def test_texts_of_people_are_escaped(project):
    page = project.gates / "videos.json"
    gate = json.loads(page.read_text())
    gate["notes"] = ["<script>alert(1)</script>"]
    page.write_text(json.dumps(gate))
    assert "<script>alert" not in page_of(project).html


def test_a_project_without_videos(tmp_path):
    project = new_project(tmp_path / "project", splits={})
    select.run(project, select.Params())
    page = page_of(project)
    assert "etholoop videos add" in page.words
    assert page.faults == []


def test_nothing_left_to_label(project):
    write_labels(project, [(video, frame) for video in ("cage1", "cage2", "cage3", "cage4") for frame in range(0, 300, STEP)])
    select.run(project, select.Params())
    page = page_of(project)
    assert "Nothing is left to label" in page.words
    assert "Done: every frame of the list is labelled." in page.words
