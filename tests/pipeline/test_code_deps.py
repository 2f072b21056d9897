"""``dvc.yaml`` names the code that its stages run, no more and no less."""

import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
import code_deps

PIPELINE = yaml.safe_load((code_deps.ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


@pytest.mark.parametrize("stage", PIPELINE)
def test_the_stage_names_its_code(stage):
    named = [dep for dep in PIPELINE[stage]["deps"] if dep.startswith("src/")]
    assert named == code_deps.code_deps(stage), "run: python tests/pipeline/code_deps.py --write"


def test_the_import_walk_follows_imports_inside_functions(tmp_path):
    path = tmp_path / "m.py"
    path.write_text("def f():\n    from etholoop.io import memo\n    import etholoop.io.tables\n")
    assert {"etholoop.io.memo", "etholoop.io.tables"} <= code_deps.imports(path)


def test_the_import_walk_leaves_out_type_checking(tmp_path):
    path = tmp_path / "m.py"
    path.write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from etholoop.io import memo\n")
    assert code_deps.imports(path) == set()


def test_every_stage_file_is_a_stage_and_every_stage_has_a_file():
    files = {path.stem for path in (code_deps.SOURCE / "etholoop/stages").glob("[!_]*.py")}
    assert files == set(PIPELINE)


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stage_reads_its_own_section_of_the_parameters(stage):
    sections = PIPELINE[stage]["params"]
    assert stage in sections or {"params.yaml": None} in sections  # the report prints every section
    assert PIPELINE[stage]["cmd"] == f"etholoop stage {stage}"


def test_every_data_dependency_is_an_input_or_some_stage_s_output():
    inputs = {
        "data/raw/videos", "data/raw/images", "data/raw/metadata.csv", "data/raw/splits.csv", "label_studio/exports/snapshot.json",
        "label_studio/skeleton.yaml", "label_studio/ethogram.yaml", "label_studio/track_edits.csv", "models/init", "metrics/history.csv",
    }  # fmt: skip
    made = set()
    for entry in PIPELINE.values():
        for kind in ("outs", "metrics", "plots"):
            made |= {out if isinstance(out, str) else next(iter(out)) for out in entry.get(kind, [])}
    needed = {dep for entry in PIPELINE.values() for dep in entry["deps"] if not dep.startswith("src/")}
    assert needed <= inputs | made


def test_metrics_and_plots_stay_in_git():
    for entry in PIPELINE.values():
        for kind in ("metrics", "plots"):
            for out in entry.get(kind, []):
                assert next(iter(out.values()))["cache"] is False
