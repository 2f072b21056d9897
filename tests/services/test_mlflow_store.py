"""MLflow as a projection: doing it twice changes nothing, an interrupted run is made again."""

from pathlib import Path

import pytest

from etholoop.project import Project


@pytest.fixture(scope="module")
def store():
    from etholoop.services import mlflow_store

    return mlflow_store


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def record(store, tmp_path, key="k1", **changes):
    curves = tmp_path / "curves.csv"
    curves.write_text("epoch,loss\n1,0.5\n2,0.25\n")
    values = {
        "experiment": "pose", "name": "pose_train", "stage_key": key, "params": {"pose_train.seed": 0}, "metrics": {"n_train": 8.0},
        "tags": {"weights_sha256": "ab"}, "curves": curves, "artifacts": [curves], "dataset_digest": "d" * 32,
    }  # fmt: skip
    return store.StageRecord(**(values | changes))


def all_runs(client):
    return client.search_runs([e.experiment_id for e in client.search_experiments()])


def test_syncing_twice_changes_nothing(store, project, tmp_path):
    with store.opened(project) as client:
        first, new = store.sync_stage(client, project, "c001", record(store, tmp_path))
        before = {run.info.run_id: run.data.to_dictionary() for run in all_runs(client)}
        second, again = store.sync_stage(client, project, "c001", record(store, tmp_path))
        after = {run.info.run_id: run.data.to_dictionary() for run in all_runs(client)}
    assert (new, again, first) == (True, False, second)
    assert before == after


def test_a_run_holds_params_metrics_curves_artifacts_data_set_and_its_cycle(store, project, tmp_path):
    with store.opened(project) as client:
        run_id, _ = store.sync_stage(client, project, "c001", record(store, tmp_path))
        run = client.get_run(run_id)
        parent = client.get_run(run.data.tags["mlflow.parentRunId"])
        assert run.data.params == {"pose_train.seed": "0"}
        assert run.data.metrics["n_train"] == 8
        assert [(m.step, m.value) for m in client.get_metric_history(run_id, "curve/loss")] == [(1, 0.5), (2, 0.25)]
        assert [a.path for a in client.list_artifacts(run_id)] == ["curves.csv"]
        assert run.inputs.dataset_inputs[0].dataset.digest == "d" * 32
        assert parent.data.tags["cycle"] == "c001"


def test_a_run_holds_more_than_one_call_takes(store, project, tmp_path):
    params, metrics = {f"p{number}": number for number in range(201)}, {f"m{number}": number / 8 for number in range(1801)}
    with store.opened(project) as client:
        run_id, _ = store.sync_stage(client, project, "c001", record(store, tmp_path, params=params, metrics=metrics))
        run = client.get_run(run_id)
    assert run.data.params == {name: str(value) for name, value in params.items()}
    assert {name: value for name, value in run.data.metrics.items() if name in metrics} == metrics


def test_figures_are_made_once_and_kept_in_a_folder_of_the_run(store, project, tmp_path):
    asked = []

    def figures():
        asked.append(1)
        return {"training.png": b"png", "batch.jpg": b"jpg"}

    with store.opened(project) as client:
        for _ in range(2):
            run_id, _ = store.sync_stage(client, project, "c001", record(store, tmp_path, figures=figures))
        assert [a.path for a in client.list_artifacts(run_id, "figures")] == ["figures/batch.jpg", "figures/training.png"]
        assert Path(client.download_artifacts(run_id, "figures/training.png")).read_bytes() == b"png"
    assert asked == [1]


def test_a_page_is_kept_once_and_replaced_by_its_newer_self(store, project, tmp_path):
    page = tmp_path / "cycle.html"
    with store.opened(project) as client:
        run_id = store.cycle_run(client, project, "c001")
        kept = []
        for text, digest in (("old", "d1"), ("old", "d1"), ("new", "d2")):
            page.write_text(text)
            kept.append(store.log_page(client, run_id, page, digest))
        assert kept == [True, False, True]
        assert [a.path for a in client.list_artifacts(run_id)] == ["cycle.html"]
        assert Path(client.download_artifacts(run_id, "cycle.html")).read_text() == "new"


def test_an_interrupted_run_is_made_again(store, project, tmp_path):
    broken = record(store, tmp_path, artifacts=[tmp_path / "not there"])
    with store.opened(project) as client:
        with pytest.raises(OSError, match="not there"):
            store.sync_stage(client, project, "c001", broken)
        run_id, new = store.sync_stage(client, project, "c001", record(store, tmp_path))
        keyed = [run for run in all_runs(client) if run.data.tags.get("stage_key") == "k1"]
    assert new
    assert [run.info.run_id for run in keyed] == [run_id]


def test_weights_get_one_version_and_aliases_move(store, project, tmp_path):
    with store.opened(project) as client:
        run_id, _ = store.sync_stage(client, project, "c001", record(store, tmp_path))
        pointer = {"path": "models/pose/best.pt"}
        one = store.register_weights(client, "pose", run_id, "aa", pointer=pointer, alias="candidate")
        same = store.register_weights(client, "pose", run_id, "aa", pointer=pointer, alias="champion")
        two = store.register_weights(client, "pose", run_id, "bb", pointer=pointer, alias="candidate")
        aliases = client.get_registered_model("pose").aliases
    assert (one, same, two) == ("1", "1", "2")
    assert {name: str(version) for name, version in aliases.items()} == {"candidate": "2", "champion": "1"}


def test_the_key_of_a_stage_ignores_its_outputs(store):
    entry = {"cmd": "c", "deps": [{"path": "a", "md5": "1"}], "params": {"params.yaml": {"x": 1}}}
    assert store.stage_key(entry) == store.stage_key(entry | {"outs": [{"path": "o", "md5": "9"}]})
    assert store.stage_key(entry) != store.stage_key(entry | {"deps": [{"path": "a", "md5": "2"}]})
