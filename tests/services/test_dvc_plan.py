"""What would run and why, from DVC's status."""

from etholoop.services.dvc_plan import plan, reasons

STAGES = {
    "probe": {"deps": ["data/raw/videos", "src/etholoop/probe.py"], "outs": ["data/manifest"]},
    "train": {"deps": ["data/manifest", "labels.json"], "outs": ["models/pose"], "metrics": [{"metrics/train.json": {"cache": False}}]},
    "report": {"deps": ["metrics/train.json"], "outs": ["report.html"]},
    "other": {"deps": ["data/raw/images"], "outs": ["data/other"]},
}


def test_nothing_to_do():
    assert plan({}, STAGES) == []


def test_a_new_project_runs_everything_once():
    status = {name: [{"changed deps": {"src/x.py": "modified"}}, {"changed outs": {"x": "deleted"}}] for name in STAGES}
    assert plan(status, STAGES) == [(name, "not made yet") for name in STAGES]


def test_what_follows_runs_if_the_result_is_new():
    status = {"data/raw/videos.dvc": [{"changed outs": {"data/raw/videos": "modified"}}]}
    assert plan(status, STAGES) == [
        ("probe", "data/raw/videos"),
        ("train", "if probe gives something new"),
        ("report", "if train gives something new"),
    ]


def test_reasons_in_words():
    status = {
        "train": [
            {"changed deps": {"params.yaml": {"pose_train.seed": "modified"}, "src/a.py": "modified", "src/b.py": "modified"}},
            {"changed outs": {"models/pose": "modified"}},
            "changed command",
        ]
    }
    reason = "params.yaml: pose_train.seed; its code; models/pose was changed by hand; changed command"
    assert plan(status, STAGES) == [("train", reason), ("report", "if train gives something new")]


def test_a_target_brings_what_it_needs_and_no_more():
    status = {"probe": [{"changed deps": {"src/x.py": "modified"}}], "other": [{"changed deps": {"src/x.py": "modified"}}]}
    assert [name for name, _ in plan(status, STAGES, ["train"])] == ["probe", "train"]


def test_expected_changes_are_no_reason():
    assert reasons([{"changed deps": {"data/manifest": "modified"}}], ["data/manifest"]) == []
