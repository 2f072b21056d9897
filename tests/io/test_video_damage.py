"""Of a damaged video every good frame is kept under its own number, and no other is ever given out."""

import random
from pathlib import Path

import av
import numpy as np
import pytest
from numbered_videos import N_FRAMES, make, number_of

from etholoop.errors import EthoLoopError
from etholoop.io import _video_damage as damage
from etholoop.io import video
from etholoop.io._video_packets import CORRUPT, HIDDEN, KEY, MISSING, UNREFERENCED, Packets

GOP = {"g": "15", "bf": "3", "sc_threshold": "0"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("damaged")


def spans(path: Path) -> list[tuple[int, int]]:
    """Place and size of each packet in the file."""
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


def overwrite(path: Path, place: int, size: int) -> None:
    content = bytearray(path.read_bytes())
    content[place : place + size] = random.Random(0).randbytes(size)
    path.write_bytes(content)


def usable_frames_are_intact(path: Path, intact: Path) -> np.ndarray:
    """Check that every usable frame is the one shown at its time in the intact file; returns which are usable.

    Without an index at its front a file that was cut off no longer tells of pictures that were shown before its last ones, so numbers
    may differ at its very end.
    """
    reader, before = video.VideoReader(path), video.VideoReader(intact)
    whole = dict(before.stream())
    frames = np.flatnonzero(reader.index.usable)
    assert [frame for frame, _ in reader.stream()] == frames.tolist()
    for frame, image in reader.read(frames.tolist()):
        np.testing.assert_array_equal(image, whole[before.index.number_of(int(reader.index.pts[frame]))])
    return reader.index.usable


def pair(folder: Path, name: str, codec: str = "libx264", options: dict | None = None) -> tuple[Path, Path]:
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    intact = make(folder / f"intact_{name}", range(N_FRAMES), codec, GOP if options is None else options, pix_fmt)
    (folder / name).write_bytes(intact.read_bytes())
    return folder / name, intact


def test_an_mp4_that_was_cut_off_keeps_all_its_numbers(folder):
    path, intact = pair(folder, "cut.mp4")
    path.write_bytes(intact.read_bytes()[: intact.stat().st_size * 6 // 10])
    info, index = video.probe(path)
    assert info.n_frames == info.n_frames_header == N_FRAMES
    assert index.gaps[-1].stop_frame == N_FRAMES and index.gaps[-1].reason == "missing"
    assert 0.4 * N_FRAMES < usable_frames_are_intact(path, intact).sum() < 0.8 * N_FRAMES


def test_an_mp4_cut_between_two_packets(folder):
    path, intact = pair(folder, "clean_cut.mp4")
    path.write_bytes(intact.read_bytes()[: spans(intact)[60][0]])
    assert usable_frames_are_intact(path, intact).sum() == 60


@pytest.mark.parametrize("name, codec", [("cut.avi", "mpeg4"), ("cut.mkv", "libx264"), ("cut.ts", "libx264")])
def test_other_containers_that_were_cut_off(folder, name, codec):
    path, intact = pair(folder, name, codec)
    path.write_bytes(intact.read_bytes()[: intact.stat().st_size * 6 // 10])
    assert usable_frames_are_intact(path, intact).sum() > 0.3 * N_FRAMES


def test_damage_goes_on_to_the_next_keyframe(folder):
    path, intact = pair(folder, "hit.avi", "mpeg4", {"g": "15"})
    place, size = spans(intact)[33]
    overwrite(path, place, size)
    usable = usable_frames_are_intact(path, intact)
    assert np.flatnonzero(~usable).tolist() == list(range(33, 45))
    gaps = video.probe(path)[1].gaps
    assert gaps == (video.Gap(33, 34, "damaged"), video.Gap(34, 45, "dependent"))


def test_a_damaged_picture_that_no_other_refers_to_costs_only_itself(folder):
    path, intact = pair(folder, "lonely.mp4")
    with av.open(str(intact)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        times = sorted(packet.pts for packet in packets)
        # a slice that no other refers to has nal_ref_idc 0 in its first byte, behind 4 bytes of length
        lonely = next(packet for packet in packets[40:] if bytes(packet)[4] >> 5 == 0)
    overwrite(path, lonely.pos + 12, lonely.size - 12)
    usable = usable_frames_are_intact(path, intact)
    assert np.flatnonzero(~usable).tolist() == [times.index(lonely.pts)]


def test_motion_jpeg_loses_single_frames(folder):
    path, intact = pair(folder, "hit_mjpeg.avi", "mjpeg", {})
    for frame in (20, 50):
        place, size = spans(intact)[frame]
        overwrite(path, place + size // 2, size // 4)
    reader = video.VideoReader(path)
    assert set(np.flatnonzero(~reader.index.usable)) <= {20, 50}
    assert usable_frames_are_intact(path, intact).sum() >= N_FRAMES - 2


def test_frames_in_a_gap_are_refused_by_name_and_left_out_of_streams(folder):
    path, intact = pair(folder, "gap.avi", "mpeg4", {"g": "15"})
    overwrite(path, *spans(intact)[33])
    reader = video.VideoReader(path)
    sentence = r"gap\.avi: frame 40 lies in the gap of frames 34 to 44 \(dependent\)"
    for ask in (lambda: reader[40], lambda: reader[40:50], lambda: list(reader.read([50, 40])), lambda: reader.at_time(1.6)):
        with pytest.raises(video.VideoFault, match=sentence) as caught:
            ask()
        assert caught.value.reason == "gap"
    assert [frame for frame, _ in reader.stream(30, 50)] == [30, 31, 32, 45, 46, 47, 48, 49]
    assert number_of(reader[45]) == 45 and number_of(reader.at_time(45 / 25)[1]) == 45


def test_gaps_are_kept_with_the_index(folder, tmp_path):
    path, intact = pair(folder, "kept.avi", "mpeg4", {"g": "15"})
    overwrite(path, *spans(intact)[33])
    index = video.probe(path)[1]
    index.save(tmp_path / "index.npz")
    loaded = video.VideoIndex.load(tmp_path / "index.npz")
    assert loaded.gaps == index.gaps and loaded.usable.tolist() == index.usable.tolist()
    with pytest.raises(ValueError):
        loaded.usable[0] = False


def test_a_file_without_any_good_frame_is_a_fault(folder):
    path, intact = pair(folder, "nothing.avi", "mjpeg", {})
    for place, size in spans(intact):
        overwrite(path, place, size)
    with pytest.raises(video.VideoFault) as caught:
        video.probe(path)
    assert caught.value.reason == "undecodable"


def test_damage_in_a_file_that_was_not_decoded_is_found_when_it_is_read(folder):
    path, intact = pair(folder, "later.mp4")
    index = video.probe(intact, decode=False)[1]
    assert not index.info.decoded and not index.gaps
    place, size = spans(intact)[47]
    overwrite(path, place + 10, size - 10)
    reader = video.VideoReader(path, index)
    with pytest.raises(EthoLoopError, match=r"later\.mp4: frame [0-9]+ cannot be decoded"):
        list(reader.stream())
    assert number_of(reader[10]) == 10 and number_of(reader[75]) == 75


# the rule itself ---------------------------------------------------------------------------------------------------------


def packets(*kinds: str) -> Packets:
    """Packets from words such as "K5" (keyframe shown at 5), "P6", "b3" (nothing refers to it); c = corrupt, m = missing, h = hidden."""
    flags = {"K": KEY, "P": 0, "b": UNREFERENCED, "c": CORRUPT, "m": MISSING, "h": HIDDEN}
    bits = [sum(flags[sign] for sign in kind if not sign.isdigit()) for kind in kinds]
    stamps = [int("".join(sign for sign in kind if sign.isdigit())) for kind in kinds]
    return Packets(np.array(stamps), np.array(stamps), np.array(bits, np.uint8), broken=False)


def verdicts(stored: Packets, codec: str = "h264", bad: tuple[int, ...] = (), silent: tuple[int, ...] = ()) -> str:
    """One letter a packet: . good, D damaged, d dependent, m missing, n no reference, s other size, u never shown."""
    n_packets = len(stored.flags)
    places = np.arange(n_packets)
    none = np.zeros(n_packets, bool)
    outcome = damage.Outcome(
        came=~np.isin(places, silent),
        bad=np.isin(places, bad),
        other_size=none,
        start=stored.are(KEY),
        lonely=stored.are(UNREFERENCED),
        second_field=none,
    )
    return "".join(".Ddmnsu"[verdict] for verdict in damage.judge(stored, outcome, codec))


def test_nothing_wrong():
    assert verdicts(packets("K0", "P3", "b1", "b2", "K4")) == "....."


def test_everything_behind_a_damaged_reference_is_dependent_up_to_the_next_start():
    assert verdicts(packets("K0", "P3", "b1", "b2", "P4", "K5", "P6"), bad=(1,)) == ".Dddd.."


def test_pictures_shown_before_the_next_start_but_stored_behind_it_are_dependent_too():
    assert verdicts(packets("K0", "P1", "K4", "b2", "b3", "P5"), bad=(1,)) == ".D.dd."


def test_a_picture_without_dependants_is_alone():
    assert verdicts(packets("K0", "P3", "b1", "b2", "P4"), bad=(2,)) == "..D.."


def test_what_the_container_says_counts():
    assert verdicts(packets("K0", "Pc1", "P2", "K3", "Pm4", "Pm5")) == ".Dd.mm"


def test_a_recording_that_begins_inside():
    assert verdicts(packets("P0", "P1", "K4", "b2", "b3", "P5")) == "nn.nn."
    assert verdicts(packets("K2", "b0", "b1", "P3"), silent=(1, 2)) == ".nn."


def test_hidden_pictures_have_no_number_but_pass_damage_on():
    assert verdicts(packets("Kh0", "Ph1", "P2", "K3"), bad=(1,)) == "uud."


def test_packets_without_picture():
    assert verdicts(packets("K0", "P1", "P2"), "vp9", silent=(1,)) == ".u."
    assert verdicts(packets("K0", "P1", "P2"), "h264", silent=(1,)) == ".D."


def test_a_decoder_that_withholds_dependants_is_believed():
    assert verdicts(packets("K0", "P1", "P2"), "libdav1d", bad=(1,), silent=(1,)) == ".D."


def in_order(bad: str, starts: str, failures: list[int], delay: int = 0) -> str:
    as_bool = [np.array([sign == "x" for sign in signs]) for signs in (bad, starts)]
    return "".join(".Dd"[verdict] for verdict in damage.judge_in_order_shown(*as_bool, failures, delay))


def test_without_time_stamps_nothing_is_trusted_between_two_starts():
    assert in_order("....x...", "x..x..x.", []) == "....Dd.."
    assert in_order("........", "x..x..x.", [4]) == "....dd.."
    assert in_order("........", "x..x..x.", [1], delay=1) == ".dd....."
    assert in_order("........", "x..x..x.", [1], delay=3) == ".ddddd.."
    assert in_order("x.......", "x..x..x.", []) == "Ddd....."


def test_gaps_from_verdicts():
    found = damage.gaps_of(np.array([0, 1, 2, 2, 0, 3], np.uint8))
    assert found == (video.Gap(1, 2, "damaged"), video.Gap(2, 4, "dependent"), video.Gap(5, 6, "missing"))
    assert damage.gaps_of(np.zeros(0, np.uint8)) == ()
