"""The collection holds what its samples say, and the same bytes each time."""

import av
import pytest

from etholoop.simulation import corpus
from etholoop.simulation import corpus_surgery as surgery
from etholoop.simulation.corpus_encode import Recipe, encode
from etholoop.simulation.numbered import read_number

KINDS = {kind.name: kind for kind in corpus.KINDS}


def shown(path) -> list[int]:
    with av.open(str(path)) as container:
        return [read_number(picture.to_ndarray(format="rgb24")) for picture in container.decode(video=0)]


def test_names_are_unique_and_files_are_healthy_or_damaged():
    assert len(KINDS) == len(corpus.KINDS) == len(corpus.HEALTHY) + len(corpus.DAMAGED) > 100


@pytest.mark.parametrize("name", ["h264_b_frames.mp4", "h264_turned_90.mp4", "mpeg4_packed.avi", "mjpeg_dropped.avi", "h264_edit_list.mp4"])
def test_pictures_are_those_the_sample_names_and_bytes_are_the_same_twice(name, tmp_path):
    first, second = tmp_path / "a" / name, tmp_path / "b" / name
    for path in (first, second):
        path.parent.mkdir()
        sample = KINDS[name].make(path, range(60))
        assert shown(path) == list(sample.shown)
    assert first.read_bytes() == second.read_bytes()


def test_hidden_pictures_have_packets_but_are_not_shown(tmp_path):
    sample = KINDS["vp8_hidden.webm"].make(tmp_path / "hidden.webm", range(60))
    assert shown(sample.path) == [number for number in range(60) if number not in (10, 30, 50)] == sample.shown
    with av.open(str(sample.path)) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) == 60


def test_a_cut_keeps_the_first_packets(tmp_path):
    sample = KINDS["mjpeg_cut.avi"].make(tmp_path / "cut.avi", range(60))
    assert list(sample.shown) == list(range(len(sample.shown)))
    assert 30 < len(sample.shown) < 40
    assert len(sample.path.read_bytes()) == int(0.6 * len(sample.intact.read_bytes()))


def test_overwriting_keeps_length_and_other_packets(tmp_path):
    path = tmp_path / "hit.avi"
    encode(path, range(20), Recipe("mjpeg", pix_fmt="yuvj420p"))
    before = path.read_bytes()
    assert surgery.overwrite(path, (0.5,)) == [10]
    after = path.read_bytes()
    changed = [place for place in range(len(before)) if before[place] != after[place]]
    assert len(before) == len(after)
    assert 0 < changed[-1] - changed[0] < 60


def test_header_of_an_avi_claims_what_it_is_told(tmp_path):
    path = tmp_path / "claims.avi"
    encode(path, range(5), Recipe("mjpeg", pix_fmt="yuvj420p"))
    surgery.claim_frames(path, 77)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 77
    assert shown(path) == [0, 1, 2, 3, 4]
