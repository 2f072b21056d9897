"""A collection of small videos of numbered frames: every codec and every oddity of containers that can be made here.

Each kind is one file; which number each of its frames must show is known without reading it.
"""

from fractions import Fraction

from etholoop.simulation import corpus_surgery as surgery
from etholoop.simulation.corpus_encode import Recipe, can_encode
from etholoop.simulation.corpus_make import (
    N_FRAMES,
    Kind,
    Sample,
    begun_inside,
    changed,
    damaged,
    hidden,
    joined,
    remuxed,
    uneven,
    whole,
    with_pauses,
)

__all__ = ["DAMAGED", "HEALTHY", "KINDS", "N_FRAMES", "Kind", "Sample", "kinds", "missing"]

FASTSTART = {"movflags": "faststart"}
STEADY = "mbtree=0"
"""With its macroblock tree x264 does not give the same bytes twice on processors with AVX-512."""
H264 = Recipe(options={"preset": "veryfast", "g": "24", "bf": "3", "x264-params": STEADY})
EVEN = H264.but(options={**H264.options, "sc_threshold": "0"})
OPEN = H264.but(
    options={"preset": "veryfast", "x264-params": f"{STEADY}:open-gop=1:keyint=24:min-keyint=24:bframes=3:b-pyramid=normal:scenecut=0"}
)
HEVC = Recipe("libx265", {"preset": "ultrafast", "x265-params": "pools=none:frame-threads=1:log-level=error:keyint=24:bframes=3"})
AV1 = Recipe("libsvtav1", {"preset": "10", "crf": "20", "g": "48", "svtav1-params": "lp=1"})
MPEG4 = Recipe("mpeg4", {"g": "12"})
MJPEG = Recipe("mjpeg", pix_fmt="yuvj420p")
VP9 = Recipe("libvpx-vp9", {"g": "48", "deadline": "realtime", "cpu-used": "8"})
VP8 = Recipe("libvpx", {"g": "48", "deadline": "good", "cpu-used": "5"})
MPEG2 = Recipe("mpeg2video", {"g": "12", "bf": "2"})

HEALTHY = [
    whole("h264_b_frames.mp4", "H.264 with B-frames", H264),
    whole("h264_open_gop.mp4", "H.264, open GOPs, B-pyramid", OPEN),
    whole("h264_open_gop.mkv", "H.264, open GOPs", OPEN),
    whole("h264_open_gop.ts", "H.264, open GOPs", OPEN),
    whole("h264_long_gop.mp4", "H.264, one keyframe in all", H264.but(options={**H264.options, "g": "9999", "bf": "2"}), 900),
    whole("h264_intra_refresh.mp4", "H.264, intra refresh", H264.but(options={"g": "24", "x264-params": f"{STEADY}:intra-refresh=1"})),
    whole("h264_interlaced.mp4", "H.264, interlaced", H264.but(options={"g": "24", "x264-params": f"{STEADY}:interlaced=1:tff=1"})),
    whole("h264_10_bit.mkv", "H.264, 10 bit", H264.but(pix_fmt="yuv420p10le")),
    whole("h264_422.mov", "H.264, 4:2:2", H264.but(pix_fmt="yuv422p")),
    whole("h264_odd_size.mp4", "H.264, 4:4:4, 161x123", H264.but(pix_fmt="yuv444p", size=(161, 123))),
    whole("h264_b_frames.avi", "H.264 with B-frames, no presentation times", H264),
    whole("h264.flv", "H.264", H264),
    whole("h264_240fps.mp4", "H.264, 240 frames per second", H264.but(rate=Fraction(240))),
    whole("h264_ntsc.mp4", "H.264, 30000/1001 frames per second", H264.but(rate=Fraction(30000, 1001))),
    whole("h264_negative_cts.mp4", "H.264, negative composition times", H264.but(container={"movflags": "negative_cts_offsets"})),
    whole("h264_fragmented.mp4", "H.264, fragmented", H264.but(container={"movflags": "frag_keyframe+empty_moov+default_base_moof"})),
    whole("h264_fragment_per_frame.mp4", "H.264, a fragment per frame", H264.but(container={"movflags": "frag_every_frame+empty_moov"})),
    whole("h264_no_cues.mkv", "H.264, Matroska without index", H264.but(container={"live": "1"})),
    whole("h264_raw.h264", "H.264, raw, no times", H264),
    whole("h264_raw_open_gop.h264", "H.264, raw, open GOPs, no times", OPEN),
    whole("h264_vfr.mp4", "H.264, uneven times", H264.but(times=uneven(N_FRAMES))),
    whole("h264_vfr_open_gop.mkv", "H.264, uneven times, open GOPs", OPEN.but(times=uneven(N_FRAMES))),
    whole("h264_equal_times.mkv", "H.264, 1500 per second on a clock of 1 ms", H264.but(rate=Fraction(1500))),
    whole("h264_starts_late.mkv", "H.264, starts at 5 s", H264.but(times=[5000 + 40 * place for place in range(N_FRAMES)])),
    whole("h264_starts_late.mp4", "H.264, starts at 5 s", H264.but(times=[5000 + 40 * place for place in range(N_FRAMES)])),
    whole("h264_starts_late.ts", "H.264, starts at 1 h", OPEN.but(times=[3_600_000 + 40 * place for place in range(N_FRAMES)])),
    whole("h264_clock_wraps.ts", "H.264, the 33-bit clock wraps", H264.but(times=[95_440_000 + 40 * place for place in range(N_FRAMES)])),
    remuxed("h264_edit_list.mp4", "H.264, cut without coding: edit list", EVEN, lambda all_: surgery.begin_inside(all_, 24, 31), first=31),
    remuxed("h264_edit_list_open.mov", "H.264, edit list, open GOPs", OPEN, lambda all_: surgery.begin_inside(all_, 24, 39), first=39),
    joined("h264_clock_restarts.ts", "H.264, times start again in the middle", H264, 0),
    joined("h264_clock_jumps.ts", "H.264, times jump by 100 s", OPEN, 100_000),
    *(whole(f"h264_turned_{turn % 360}.mp4", f"H.264, turned by {turn % 360}", H264.but(rotation=turn)) for turn in (90, 180, -90)),
    whole("h264_turned.mkv", "H.264, turned by 90", H264.but(rotation=90)),
    whole("h264_audio_first.mp4", "H.264 behind audio", H264.but(before=("audio",))),
    whole("h264_audio_first.mkv", "H.264 behind audio", OPEN.but(before=("audio",))),
    whole("mpeg4_audio_first.avi", "MPEG-4 behind audio", MPEG4.but(before=("audio",))),
    whole("h264_two_videos.mp4", "H.264, another video beside it", H264.but(after=("video",))),
    whole("h264_two_videos.mkv", "H.264, another video and audio beside it", H264.but(after=("video", "audio"))),
    whole("h264_cover.mp4", "H.264, attached picture", H264.but(after=("cover",))),
    changed("h264_all_keys.mp4", "H.264, index claims only keyframes", H264, surgery.claim_all_keyframes),
    whole("hevc_open_gop.mp4", "HEVC, open GOPs", HEVC),
    whole("hevc_open_gop.mkv", "HEVC, open GOPs", HEVC),
    whole("hevc_open_gop.ts", "HEVC, open GOPs", HEVC),
    whole("hevc_raw.hevc", "HEVC, raw, no times", HEVC),
    whole("hevc_10_bit.mp4", "HEVC, 10 bit", HEVC.but(pix_fmt="yuv420p10le")),
    whole(
        "hevc_closed.mp4",
        "HEVC, closed GOPs",
        HEVC.but(options={**HEVC.options, "x265-params": HEVC.options["x265-params"] + ":open-gop=0"}),
    ),
    remuxed("hevc_edit_list.mp4", "HEVC, edit list, open GOPs", HEVC, lambda all_: surgery.begin_inside(all_, 24, 35), first=35),
    whole("av1.mp4", "AV1", AV1),
    whole("av1_10_bit.mkv", "AV1, 10 bit", AV1.but(pix_fmt="yuv420p10le")),
    whole("av1.ivf", "AV1", AV1),
    whole("mpeg4.avi", "MPEG-4", MPEG4),
    whole("mpeg4.mp4", "MPEG-4 with B-frames", MPEG4.but(options={"g": "12", "bf": "2"})),
    whole("mpeg4_b_frames.avi", "MPEG-4 with B-frames", MPEG4.but(options={"g": "12", "bf": "2"})),
    remuxed("mpeg4_packed.avi", "MPEG-4, packed bitstream", MPEG4.but(options={"g": "12", "bf": "1"}), surgery.pack_b_frames, source="avi"),
    whole("mpeg4_raw.m4v", "MPEG-4, raw, no times", MPEG4),
    whole("mpeg4_dropped.avi", "MPEG-4, empty chunks for dropped frames", MPEG4.but(times=with_pauses(N_FRAMES), clock=25)),
    changed("mpeg4_all_keys.avi", "MPEG-4, index claims only keyframes", MPEG4, surgery.claim_all_keyframes),
    changed(
        "mpeg4_claims_more.avi", "MPEG-4, header claims 99 frames too many", MPEG4, lambda path: surgery.claim_frames(path, N_FRAMES + 99)
    ),
    changed(
        "mpeg4_claims_less.avi", "MPEG-4, header claims 99 frames too few", MPEG4, lambda path: surgery.claim_frames(path, N_FRAMES - 99)
    ),
    whole("msmpeg4.avi", "MS-MPEG-4", Recipe("msmpeg4", {"g": "12"})),
    whole("mjpeg.avi", "Motion JPEG", MJPEG),
    whole("mjpeg_odd_size.mov", "Motion JPEG, 4:4:4, 131x97", MJPEG.but(pix_fmt="yuvj444p", size=(131, 97))),
    whole("mjpeg_dropped.avi", "Motion JPEG, empty chunks for dropped frames", MJPEG.but(times=with_pauses(N_FRAMES), clock=25)),
    whole("mjpeg_raw.mjpeg", "Motion JPEG, raw, no times", MJPEG),
    changed("mjpeg_claims_more.avi", "Motion JPEG, header claims too many", MJPEG, lambda path: surgery.claim_frames(path, N_FRAMES + 2)),
    whole("vp9.webm", "VP9", VP9),
    whole("vp9.mp4", "VP9", VP9),
    whole("vp8.webm", "VP8", VP8),
    hidden("vp8_hidden.webm", "VP8, every 20th packet is only a reference", VP8, range(10, N_FRAMES, 20)),
    whole("ffv1.mkv", "FFV1", Recipe("ffv1")),
    whole("ffv1_16_bit.avi", "FFV1, 16 bit", Recipe("ffv1", pix_fmt="yuv420p16le")),
    whole("huffyuv.avi", "HuffYUV", Recipe("huffyuv", pix_fmt="yuv422p")),
    whole("utvideo.avi", "Ut Video", Recipe("utvideo", pix_fmt="yuv422p")),
    whole("raw_bgr.avi", "raw BGR", Recipe("rawvideo", pix_fmt="bgr24")),
    whole("raw_yuv.nut", "raw YUV", Recipe("rawvideo")),
    whole("raw_yuv.y4m", "raw YUV", Recipe("rawvideo", format="yuv4mpegpipe")),
    whole("png.mov", "PNG", Recipe("png", pix_fmt="rgb24")),
    whole("prores.mov", "ProRes", Recipe("prores_ks", pix_fmt="yuv422p10le")),
    whole("mpeg2.ts", "MPEG-2 with B-frames", MPEG2),
    whole("mpeg2.mpg", "MPEG-2 with B-frames", MPEG2),
    whole("mpeg2_raw.m2v", "MPEG-2, raw, no times", MPEG2),
    whole("mpeg1.mpg", "MPEG-1", Recipe("mpeg1video", {"g": "12", "bf": "2"})),
    whole("wmv2.asf", "Windows Media 8", Recipe("wmv2", {"g": "12"})),
    whole("sorenson.flv", "Sorenson H.263", Recipe("flv", {"g": "12"})),
]

DAMAGED = [
    damaged(
        "h264_cut.mp4",
        "H.264, index at the front, cut at 60 %",
        H264.but(container=FASTSTART),
        lambda path: surgery.cut(path, 0.6),
        0.5,
        index_in_front=True,
    ),
    damaged("h264_cut.mkv", "H.264, cut at 60 %", OPEN, lambda path: surgery.cut(path, 0.6), 0.5),
    damaged("h264_cut.ts", "H.264, cut at 60 %", OPEN, lambda path: surgery.cut(path, 0.6), 0.5),
    damaged("h264_cut.h264", "H.264, raw, cut at 60 %", H264.but(options={"g": "24", "bf": "0"}), lambda path: surgery.cut(path, 0.6), 0.5),
    damaged("mpeg4_cut.avi", "MPEG-4, cut at 60 %, no index", MPEG4, lambda path: surgery.cut(path, 0.6), 0.5),
    damaged("mjpeg_cut.avi", "Motion JPEG, cut at 60 %, no index", MJPEG, lambda path: surgery.cut(path, 0.6), 0.5),
    damaged("hevc_cut.mkv", "HEVC, cut at 60 %", HEVC, lambda path: surgery.cut(path, 0.6), 0.5),
    damaged("vp9_cut.webm", "VP9, cut at 60 %", VP9, lambda path: surgery.cut(path, 0.6), 0.5),
    damaged("av1_cut.mkv", "AV1, cut at 60 %", AV1, lambda path: surgery.cut(path, 0.6), 0.5),
    damaged("mpeg2_cut.ts", "MPEG-2, cut at 60 %", MPEG2, lambda path: surgery.cut(path, 0.6), 0.5),
    damaged("h264_hit.mp4", "H.264, three packets overwritten", H264, lambda path: surgery.overwrite(path, (0.2, 0.5, 0.8)), 0.5),
    damaged(
        "h264_open_gop_hit.mkv",
        "H.264, open GOPs, three packets overwritten",
        OPEN,
        lambda path: surgery.overwrite(path, (0.22, 0.5, 0.81)),
        0.4,
    ),
    damaged("h264_hit.ts", "H.264, transport packets overwritten", OPEN, lambda path: surgery.overwrite_ts(path, (0.3, 0.7)), 0.5),
    damaged("hevc_hit.mp4", "HEVC, two packets overwritten", HEVC, lambda path: surgery.overwrite(path, (0.32, 0.7)), 0.5),
    damaged("mpeg4_hit.avi", "MPEG-4, three packets overwritten", MPEG4, lambda path: surgery.overwrite(path, (0.2, 0.5, 0.8)), 0.5),
    damaged("mjpeg_hit.avi", "Motion JPEG, three packets overwritten", MJPEG, lambda path: surgery.overwrite(path, (0.2, 0.5, 0.8)), 0.9),
    damaged("vp9_hit.webm", "VP9, two packets overwritten", VP9, lambda path: surgery.overwrite(path, (0.31, 0.7)), 0.3),
    damaged("av1_hit.mp4", "AV1, two packets overwritten", AV1, lambda path: surgery.overwrite(path, (0.31, 0.7)), 0.3),
    damaged(
        "ffv1_hit.mkv",
        "FFV1, two packets overwritten",
        Recipe("ffv1", {"slicecrc": "1", "level": "3"}),
        lambda path: surgery.overwrite(path, (0.31, 0.7)),
        0.9,
    ),
    damaged("mpeg2_hit.ts", "MPEG-2, transport packets overwritten", MPEG2, lambda path: surgery.overwrite_ts(path, (0.3, 0.7)), 0.5),
    begun_inside(
        "h264_begun_inside.ts",
        "H.264, recording began between keyframes",
        H264.but(options={"g": "24", "bf": "0", "sc_threshold": "0"}),
        30,
        48,
    ),
]

KINDS = [*HEALTHY, *DAMAGED]


def kinds() -> list[Kind]:
    """All kinds whose encoder is there."""
    return [kind for kind in KINDS if can_encode(kind.codec)]


def missing() -> list[Kind]:
    """The kinds that cannot be made here because PyAV lacks the encoder."""
    return [kind for kind in KINDS if not can_encode(kind.codec)]
