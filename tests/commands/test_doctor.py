"""`etholoop doctor`: what it says is true, what is missing is named with its remedy, and one broken library hides nothing."""

import re
import sys
from importlib import metadata

import av
import pytest
from typer.testing import CliRunner

from etholoop.__main__ import build_app
from etholoop.commands import doctor


@pytest.fixture(autouse=True)
def outside_any_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def told():
    return CliRunner().invoke(build_app("doctor"), ["doctor"])


def found(topic: str) -> doctor.Finding:
    return next(finding for finding in doctor.examine() if finding.topic == topic)


def only(monkeypatch, *packages):
    """Look at these packages, so that the outcome does not depend on what else this machine lacks."""
    monkeypatch.setattr(doctor, "PACKAGES", packages)
    monkeypatch.setattr(doctor, "_disk", lambda: doctor.Finding("disk", "enough"))


def test_all_is_well_where_everything_is_installed(monkeypatch):
    only(monkeypatch, "numpy", "torch", "av")
    done = told()
    assert done.exit_code == 0, done.output
    assert "MISSING" not in done.output
    assert re.search(rf"^ok +python +{re.escape(sys.version.split()[0])} at ", done.output, re.MULTILINE)
    assert re.search(rf"^ok +torch +{re.escape(metadata.version('torch'))}$", done.output, re.MULTILINE)
    assert "nms keeps [0, 2]" in done.output, "the operator has really been run"


def test_a_missing_package_is_named_with_its_remedy_and_the_status_is_1(monkeypatch):
    only(monkeypatch, "numpy", "no-such-package")
    done = told()
    assert done.exit_code == 1
    assert re.search(r"^MISSING no-such-package +not installed\n +→ make install$", done.output, re.MULTILINE)


def test_the_device_is_the_one_torch_will_use():
    import torch

    said = found("device").found
    assert said.startswith("GPU: " if torch.cuda.is_available() else "CPU, ")
    assert torch.__version__ in said


def test_a_decoder_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"av1", "libdav1d"})
    finding = found("decoder")
    assert not finding.ok
    assert "cannot decode av1:" in finding.remedy


def test_no_git(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    finding = found("git")
    assert (finding.ok, finding.found) == (False, "not found")
    assert "install git" in finding.remedy


def test_two_versions_of_opencv_in_one_folder_are_a_fault(monkeypatch):
    real = metadata.version
    monkeypatch.setattr(doctor.metadata, "version", lambda name: "1.2.3" if name == "opencv-python" else real(name))
    finding = found("OpenCV")
    assert not finding.ok
    assert "must be one version" in finding.remedy


def test_one_broken_check_hides_no_other(monkeypatch):
    def broken():
        raise RuntimeError("libfoo.so: cannot open")

    topics = [finding.topic for finding in doctor.examine()]
    monkeypatch.setattr(doctor, "_decoder", broken)
    findings = list(doctor.examine())
    assert [finding.topic for finding in findings] == topics
    assert [(finding.topic, finding.found) for finding in findings if "libfoo" in finding.found] == [
        ("decoder", "RuntimeError: libfoo.so: cannot open")
    ]


def test_the_database_is_that_of_the_project_one_stands_in(tmp_path, monkeypatch):
    assert "each project keeps its own" in found("MLflow store").found
    assert "etholoop init" in found("project").remedy
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text("{}\n")
    assert str(tmp_path / "mlflow.db") in found("MLflow store").found
    (tmp_path / "mlflow.db").write_bytes(b"x" * 2_000_000)
    assert "(2.0 MB)" in found("MLflow store").found


def test_a_full_disk_is_said_in_time(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda place: doctor.shutil._ntuple_diskusage(10**10, 9 * 10**9, 10**9))
    finding = found("disk")
    assert (finding.ok, finding.found) == (False, "1 GB free here")
