"""The memo: same ingredients, no second computation; a kill leaves nothing that could be taken for a result."""

import pytest

from etholoop.io.memo import Memo, digest, file_digest, place


def test_the_digest_does_not_depend_on_order_but_on_every_value():
    assert digest(a=1, b=[2]) == digest(b=[2], a=1)
    assert digest(a=1, b=[2]) != digest(a=1, b=[3])


def test_a_digest_of_nan_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        digest(a=float("nan"))


def test_a_result_is_made_once(tmp_path):
    calls = []
    memo = Memo(tmp_path, "step")

    def make(folder):
        calls.append(folder)
        (folder / "x").write_text("1")

    assert (memo.result("k", make) / "x").read_text() == "1"
    memo.result("k", make)
    assert len(calls) == 1


def test_a_kill_in_the_middle_leaves_no_result(tmp_path):
    memo = Memo(tmp_path, "step")

    def killed(folder):
        (folder / "half").write_text("1")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        memo.result("k", killed)
    assert not memo.has("k")
    assert list((tmp_path / "step").iterdir()) == []


def test_changing_a_placed_file_does_not_reach_the_memo(tmp_path):
    source = tmp_path / "memo/x"
    source.parent.mkdir()
    source.write_text("1")
    place(source, tmp_path / "out/x")
    (tmp_path / "out/x").write_text("2")
    assert source.read_text() == "1"


def test_a_file_digest_is_sha256(tmp_path):
    (tmp_path / "x").write_bytes(b"")
    assert file_digest(tmp_path / "x") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
