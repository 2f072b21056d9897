"""cvat2slowfast of kabr-tools: the same table and the same pictures as recorded of it (docs/datasets.md), by `--compat`."""

import importlib.util
import shlex
import sys
from pathlib import Path

import cv2
import pytest

from etholoop.commands import kabr_cvat2slowfast as slowfast
from etholoop.errors import FaultsError


@pytest.fixture(scope="module")
def kit(public_data: Path):
    """The recorded numbers with their reader and comparer."""
    folder = public_data / "parity"
    modules = {}
    for name in ("recipe", "kit"):
        spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
        modules[name] = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(name, modules[name])
        spec.loader.exec_module(modules[name])
    return modules["kit"].Kit(folder)


def rules_of(kit, case: dict, compat: bool) -> tuple[Path, slowfast.Rules]:
    """The folder of mini-scenes and the rules of a recorded command line."""
    words = shlex.split(case["command"])

    def path(name: str) -> Path | None:
        return Path(kit.path(words[words.index(f"--{name}") + 1])) if f"--{name}" in words else None

    options = {"least_run": 1 if compat else 16, "drop_unmapped": compat, "compat": compat}
    return path("miniscene"), slowfast.Rules.read(path("classes"), path("old2new"), **options)


def test_data_sets(kit, tmp_path):
    for case in kit.cases("cvat2slowfast/"):
        name = case["id"].split("/")[1]
        recorded = kit.expected(case)[name]
        miniscene, rules = rules_of(kit, case, compat=True)
        scenes = slowfast.find(miniscene, rules)
        folder = tmp_path / name
        slowfast.make(folder, scenes, rules, images="--no_images" not in case["command"])
        means = {path: cv2.imread(str(folder / path)).reshape(-1, 3).mean(axis=0).tolist() for path in recorded["image_mean_bgr"]}
        mine = {
            "csv": (folder / "annotation/data.csv").read_text(),
            f"{name}.images": len(list(folder.rglob("*.jpg"))),
            f"{name}.image_mean_bgr": means,
        }
        assert set(mine) == set(case["outputs"])
        assert [result for result in kit.compare(case, mine) if not result.ok] == []
        assert sorted(path.name for path in (folder / "annotation").iterdir()) == sorted(recorded["files"])
        assert [one.name for one in scenes if one.why_not] == [scene_of(line) for line in recorded["printed"]]


def scene_of(line: str) -> str:
    """Folder and track that a line of the original speaks of: 'SKIPPED: s/actions/3.xml, …' or 'top/s/3.mp4 does not exist.'"""
    path = Path(line.removeprefix("SKIPPED: ").split(",")[0].removesuffix(" does not exist."))
    folder = path.parent.parent if path.parent.name == "actions" else path.parent
    return f"{folder.name}/{path.stem}"


def test_by_default_a_lost_name_is_an_error_and_nothing_becomes_adjacent(kit):
    n_gaps, n_refused = 0, 0
    for case in kit.cases("cvat2slowfast/"):
        miniscene, rules = rules_of(kit, case, compat=False)
        try:
            kept = slowfast.plan(slowfast.find(miniscene, rules), rules)
        except FaultsError:
            n_refused += 1
            continue
        for _, _, run in kept:
            assert [frame for frame, _ in run] == list(range(run[0][0], run[0][0] + len(run))) and len(run) >= rules.least_run
        miniscene, compat = rules_of(kit, case, compat=True)
        n_gaps += sum(run[-1][0] - run[0][0] + 1 > len(run) for _, _, run in slowfast.plan(slowfast.find(miniscene, compat), compat))
    assert n_gaps > 0 and n_refused > 0
