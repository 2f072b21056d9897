"""Hostile archives leave nothing behind, neither in the folder nor outside it."""

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.io.archives import ArchiveLimits, unpack


def make_zip(path: Path, members: dict[str, bytes], **attributes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = attributes.get("mode", 0) << 16
            package.writestr(info, content)
    return path


def make_tar(path: Path, members: dict[str, bytes], kind: bytes = tarfile.REGTYPE, target: str = "") -> Path:
    with tarfile.open(path, "w:gz") as package:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(content), kind, target
            package.addfile(info, io.BytesIO(content))
    return path


MAKERS = {"a.zip": make_zip, "a.tar.gz": make_tar}


def untouched(tmp_path: Path, archive: Path) -> None:
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


@pytest.mark.parametrize("name", MAKERS)
def test_files_are_unpacked_and_named(tmp_path, name):
    archive = MAKERS[name](tmp_path / name, {"b/c.txt": b"one", "a.txt": b"", "b/ä ö.bin": bytes(3_000_000)})
    found = unpack(archive, tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in found] == ["a.txt", "b/c.txt", "b/ä ö.bin"]
    assert (tmp_path / "out/b/c.txt").read_bytes() == b"one"
    assert (tmp_path / "out/b/ä ö.bin").stat().st_size == 3_000_000


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    "member", ["/etc/passwd", "../up.txt", "a/../../up.txt", "a\\..\\up.txt", "C:/up.txt", "..", "a/..", ".", "line\nbreak"]
)
def test_names_that_lead_elsewhere_are_refused(tmp_path, name, member):
    archive = MAKERS[name](tmp_path / name, {"good.txt": b"x", member: b"y"})
    with pytest.raises(FaultsError, match="Nothing was unpacked") as caught:
        unpack(archive, tmp_path / "out")
    assert len(caught.value.faults) == 1
    untouched(tmp_path, archive)


def test_all_faults_are_told_at_once(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"/a": b"", "../b": b"", "good": b""})
    with pytest.raises(FaultsError) as caught:
        unpack(archive, tmp_path / "out")
    assert len(caught.value.faults) == 2


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_tar(tmp_path, kind):
    archive = make_tar(tmp_path / "a.tar", {"link": b""}, kind, "/etc/passwd")
    with pytest.raises(FaultsError, match="a link or device"):
        unpack(archive, tmp_path / "out")
    untouched(tmp_path, archive)


def test_links_in_zip(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"link": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777)
    with pytest.raises(FaultsError, match="a link or device"):
        unpack(archive, tmp_path / "out")
    untouched(tmp_path, archive)


@pytest.mark.parametrize("name", MAKERS)
def test_bombs_stop_where_the_limit_is(tmp_path, name):
    archive = MAKERS[name](tmp_path / name, {f"{k}.bin": bytes(2_000_000) for k in range(5)})
    limits = ArchiveLimits(max_ratio=50, free_bytes=3_000_000)
    assert archive.stat().st_size * 50 < 10_000_000
    with pytest.raises(EthoLoopError, match="beyond its limit"):
        unpack(archive, tmp_path / "out", limits)
    untouched(tmp_path, archive)
    assert len(unpack(archive, tmp_path / "out", ArchiveLimits(free_bytes=10_000_000))) == 5


def test_a_zip_that_lies_about_sizes(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"a.bin": bytes(1_000_000)})
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
        at = content.index(signature) + offset
        content[at : at + 4] = (10).to_bytes(4, "little")
    archive.write_bytes(content)
    with pytest.raises(EthoLoopError):
        unpack(archive, tmp_path / "out")
    untouched(tmp_path, archive)


@pytest.mark.parametrize("name", MAKERS)
def test_too_many_members(tmp_path, name):
    archive = MAKERS[name](tmp_path / name, {f"{k}": b"" for k in range(20)})
    with pytest.raises(EthoLoopError, match="members"):
        unpack(archive, tmp_path / "out", ArchiveLimits(max_members=19))


def test_two_members_of_one_name_also_where_case_does_not_count(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"a.txt": b"1", "A.TXT": b"2"})
    with pytest.raises(FaultsError, match="a second member of that name"):
        unpack(archive, tmp_path / "out")
    archive = make_zip(tmp_path / "a.zip", {"a": b"1", "a/b": b"2"})
    with pytest.raises(FaultsError, match="which is a file"):
        unpack(archive, tmp_path / "out")
    untouched(tmp_path, archive)


@pytest.mark.parametrize("content", [b"", b"PK", b"nothing at all" * 100])
def test_files_that_are_no_archives(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(EthoLoopError, match="not a zip or tar file"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_damaged_and_missing_archives_and_folders_that_exist(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"a": b"some words" * 1000})
    content = bytearray(archive.read_bytes())
    content[40:60] = bytes(20)
    archive.write_bytes(content)
    with pytest.raises(EthoLoopError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "out")
    untouched(tmp_path, archive)
    with pytest.raises(EthoLoopError, match="not a zip or tar file"):
        unpack(tmp_path / "nowhere.zip", tmp_path / "out")
    with pytest.raises(EthoLoopError, match="exists already"):
        unpack(archive, tmp_path)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(alphabet="ab./\\:\n~é", min_size=1, max_size=12), min_size=1, max_size=4, unique=True))
def test_whatever_the_names_nothing_lands_outside(tmp_path, names):
    import tempfile

    with tempfile.TemporaryDirectory(dir=tmp_path) as name:
        folder = Path(name)
        archive = make_zip(folder / "a.zip", dict.fromkeys(names, b"x"))
        try:
            unpack(archive, folder / "deep/er/out")
        except EthoLoopError:
            assert not (folder / "deep/er/out").exists()
        outside = [
            path for path in folder.rglob("*") if path.is_file() and path != archive and (folder / "deep/er/out") not in path.parents
        ]
        assert outside == []
