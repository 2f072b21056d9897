"""Journal, frozen batches and media of the labelling server."""

from fractions import Fraction

import av
import numpy as np
import pytest

from etholoop.errors import EthoLoopError
from etholoop.io import label_studio_batches as batches
from etholoop.io import label_studio_journal as journal
from etholoop.io import label_studio_media as media


def line(uid, digest):
    return {"uid": uid, "annotator": "anna", "digest": digest}


def test_the_journal_only_grows(tmp_path):
    assert journal.append(tmp_path, {"at": "1"}, [line("a", "x"), line("b", "y")], []) == 1
    first = (tmp_path / "000001.jsonl").read_bytes()
    assert journal.append(tmp_path, {"at": "2"}, [line("a", "z")], [{"key": ["a", "anna"], "before": None, "after": {}}]) == 2
    assert (tmp_path / "000001.jsonl").read_bytes() == first
    last, seen = journal.versions(tmp_path)
    assert {key: found["digest"] for key, found in last.items()} == {("a", "anna"): "z", ("b", "anna"): "y"}
    assert len(seen) == 3
    assert [len(entry.changes) for entry in journal.entries(tmp_path)] == [0, 1]
    assert (tmp_path / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("text", ['{"line":"head"', '["head"]', '{"line":"annotation","uid":"a"}\n', ""])
def test_a_damaged_journal_is_named_with_its_place(tmp_path, text):
    (tmp_path / "000001.jsonl").write_text(text)
    with pytest.raises(EthoLoopError, match=r"000001\.jsonl"):
        list(journal.entries(tmp_path))


def test_a_batch_freezes_to_the_same_bytes_and_thaws_to_the_same_questions(tmp_path):
    batch = batches.Batch("c001", [{"uid": "a", "kind": "frame", "purpose": "batch"}, {"uid": "b", "kind": "frame", "purpose": "held_out"}])
    for name in ("one.json", "two.json"):
        batches.write(batch, tmp_path / name)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert batches.read(tmp_path / "one.json", "c001") == batch
    assert [question["uid"] for question in batch.of("held_out")] == ["b"]
    assert batches.read(tmp_path / "none.json", "c001").questions == []
    with pytest.raises(EthoLoopError, match="of cycle c002"):
        batches.read(tmp_path / "one.json", "c002")


def test_tasks_are_shared_out_evenly_and_a_share_is_asked_twice():
    uids = [f"u{number}" for number in range(30)]
    people = batches.assigned(uids, ["anna", "ben", "cleo"], 0.2)
    assert [people[uid][0] for uid in uids[:4]] == ["anna", "ben", "cleo", "anna"]
    twice = [names for names in people.values() if len(names) == 2]
    assert len(twice) == 6 and all(len(set(names)) == 2 for names in twice)
    assert people == batches.assigned(uids, ["anna", "ben", "cleo"], 0.2)
    assert batches.assigned(uids[:2], [], 0.5).values() != batches.assigned(uids[:2], [], 0).values()
    assert all(len(names) == 1 for names in batches.assigned(uids, ["anna"], 0.5).values()), "one person cannot be two"


def test_a_proxy_shows_each_frame_once_from_time_zero(tmp_path):
    images = [np.full((101, 203, 3), number * 2, np.uint8) for number in range(77)]
    assert media.write_proxy(tmp_path / "p.mp4", images, Fraction(25)) == 77
    with av.open(str(tmp_path / "p.mp4")) as container:
        stream = container.streams.video[0]
        shown = [(frame.pts * stream.time_base, frame.to_ndarray(format="gray")[:100, :200].mean()) for frame in container.decode(stream)]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt, len(container.streams)) == ("h264", "yuv420p", 1)
        assert (stream.width % 2, stream.height % 2) == (0, 0)
    assert [time for time, _ in shown] == [Fraction(number, 25) for number in range(77)]
    levels = [level for _, level in shown]
    assert np.all(np.diff(levels) > 0), "frames in order, none repeated"


def test_a_large_picture_becomes_a_small_proxy(tmp_path):
    media.write_proxy(tmp_path / "p.mp4", [np.zeros((1080, 1920, 3), np.uint8)] * 2, Fraction(30000, 1001))
    with av.open(str(tmp_path / "p.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (960, 540, Fraction(30000, 1001))


def test_no_frames_are_no_proxy(tmp_path):
    with pytest.raises(EthoLoopError, match="no frames"):
        media.write_proxy(tmp_path / "p.mp4", [], Fraction(25))
    assert list(tmp_path.iterdir()) == []


def test_a_lent_picture_follows_its_source_and_outlives_it(tmp_path):
    source, target = tmp_path / "a.png", tmp_path / "media/a.png"
    source.write_bytes(b"one")
    media.lend_frame(source, target)
    source.unlink()
    assert target.read_bytes() == b"one"
    source.write_bytes(b"another")
    media.lend_frame(source, target)
    assert target.read_bytes() == b"another"
    source.unlink()
    with pytest.raises(EthoLoopError, match="etholoop repro"):
        media.lend_frame(source, target)


def test_proxies_are_named_by_what_they_are_made_of():
    names = {media.proxy_name("u", sha, shown) for sha in ("a", "b") for shown in ([[0, 5]], [[0, 6]])}
    assert len(names) == 4
    assert media.frame_address("cage 1/00000001.png") == "/data/local-files/?d=frames/cage%201/00000001.png"
