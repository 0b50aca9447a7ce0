"""The plan of a target that FFmpeg writes, as a table: facts and wishes in, container and encoding out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from denoise_wrapper import DenoiseError, FileError
from denoise_wrapper.files.codecs import TrackFacts, facts_of_subtype, lossless_depth, muxer_of, plan_track
from denoise_wrapper.files.formats import Facts, Wishes, choose_format, vorbis_level, vorbis_nominal_of

MOV = "mov,mp4,m4a,3gp,3g2,mj2"
AAC = TrackFacts("aac", 44100, 2, "flt", None, 128_300)
MP3 = TrackFacts("mp3", 8000, 1, "flt", None, 24_100, True)
VBR = TrackFacts("mp3", 44100, 2, "flt", None, 131_000)
OPUS = TrackFacts("opus", 48000, 1, "flt", None, 24_300)
FLAC = TrackFacts("flac", 48000, 2, "s16", 16)
DEEP = TrackFacts("alac", 96000, 2, "s32", 24)
FLOAT = TrackFacts("wavpack", 48000, 2, "flt", 32)
PCM = TrackFacts("pcm_s24be", 48000, 2, "s32", 24)
WMA = TrackFacts("wmalossless", 48000, 2, "s32", 24)
NOTHING = Wishes()


@pytest.mark.parametrize(
    ("muxer", "facts", "wishes", "same", "words"),
    [
        ("mp4", AAC, NOTHING, True, "aac, 128 kbit/s"),
        ("matroska", AAC, NOTHING, False, "aac, 128 kbit/s"),
        ("webm", replace(AAC, rate=48000), NOTHING, False, "libopus, 128 kbit/s, vbr constrained"),
        ("mp3", MP3, NOTHING, True, "libmp3lame, 24 kbit/s"),
        ("matroska", VBR, NOTHING, True, "libmp3lame, 131 kbit/s, abr 1"),
        ("webm", TrackFacts("vorbis", 44100, 2, "flt", None, 96_000), NOTHING, True, "vorbis, 96 kbit/s"),
        ("webm", OPUS, NOTHING, True, "libopus, 24.3 kbit/s, vbr constrained"),
        ("matroska", FLAC, NOTHING, True, "flac, 16 bit"),
        ("mp4", FLAC, NOTHING, True, "flac, 16 bit"),
        ("mov", FLAC, NOTHING, False, "alac, 16 bit"),
        ("mp4", DEEP, NOTHING, True, "alac, 24 bit, bits_per_raw_sample 24"),
        ("matroska", FLOAT, NOTHING, True, "wavpack, 32 bit float"),
        ("matroska", FLOAT, Wishes(codec="flac"), True, "flac, 24 bit, bits_per_raw_sample 24"),
        ("mov", PCM, NOTHING, True, "pcm_s24be, 24 bit"),
        ("avi", PCM, NOTHING, False, "pcm_s16le, 16 bit"),
        ("mp4", FLAC, Wishes(codec="aac", bit_rate=96000), True, "aac, 96 kbit/s"),
        ("mp4", DEEP, Wishes(subtype="PCM_16"), True, "alac, 16 bit"),
        ("adts", FLAC, NOTHING, False, "aac, 144 kbit/s"),
        ("mp4", FLAC, Wishes(bit_rate=96000), False, "aac, 96 kbit/s"),
        ("matroska", FLAC, Wishes(quality=0.5), True, "libopus, 144 kbit/s"),
        ("webm", replace(OPUS, codec="vorbis"), Wishes(quality=0.4), True, "vorbis, 86 kbit/s"),
        ("tta", FLAC, Wishes(subtype="pcm_24"), False, "tta, 24 bit, bits_per_raw_sample 24"),
        ("amr", TrackFacts("amr_nb", 8000, 1, "flt", None, 12_800), NOTHING, True, "libopencore_amrnb, 12.2 kbit/s"),
    ],
)
def test_the_target_has_the_codec_depth_and_bit_rate_of_the_source(
    muxer: str, facts: TrackFacts, wishes: Wishes, same: bool, words: str
) -> None:
    assert plan_track(muxer, facts, wishes, same, Path("b.x")).describe() == words


@pytest.mark.parametrize(
    ("muxer", "facts", "wishes", "same", "words"),
    [
        ("asf", WMA, NOTHING, True, "FFmpeg decodes wmalossless and does not encode it"),
        ("tta", AAC, NOTHING, False, "would only grow by tta from lossy aac; --codec tta does so"),
        ("webm", AAC, NOTHING, False, "libopus cannot hold 2 channels of 44100 Hz, only 8000, 12000"),
        ("mp2", TrackFacts("pcm_s16le", 44100, 6, "s16", 16), NOTHING, False, "cannot hold 6 channels"),
        ("tta", replace(FLAC, codec="tta"), Wishes(bit_rate=96000), True, "is to be tta, which has no bit rate"),
        ("mp4", FLAC, Wishes(codec="alac", quality=0.5), True, "is to be alac, which has no quality"),
        ("mp2", replace(MP3, codec="mp2", rate=48000), Wishes(quality=0.5), True, "is to be mp2, which has no quality"),
        ("wav", TrackFacts("adpcm_ms", 8000, 1, "s16"), Wishes(bit_rate=9000), True, "adpcm_ms, which has no bit rate"),
        ("mp4", AAC, Wishes(subtype="PCM_24"), True, "is to be aac, which has no subtype PCM_24"),
        ("mp4", DEEP, Wishes(subtype="FLOAT"), True, "alac, which has no subtype FLOAT; it may be PCM_16 and PCM_24"),
        ("mov", PCM, Wishes(subtype="PCM_16"), True, "pcm_s24be, which has no subtype PCM_16; the name of its codec"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_a_line_that_helps(
    muxer: str, facts: TrackFacts, wishes: Wishes, same: bool, words: str
) -> None:
    with pytest.raises(FileError, match=words):
        plan_track(muxer, facts, wishes, same, Path("b.x"))


def test_a_constant_rate_stays_constant_in_another_container() -> None:
    for constant, words in ((True, "libmp3lame, 128 kbit/s"), (False, "libmp3lame, 128 kbit/s, abr 1")):
        mp3 = Facts(Path("a.mp3"), 48000, 2, 96000, 0, "MP3", "MPEG_LAYER_III", "FILE", 128_000, constant)
        assert plan_track("mp4", facts_of_subtype(mp3), NOTHING, False, Path("b.m4a")).describe() == words


@pytest.mark.parametrize(
    ("dst", "src", "form", "codec", "doctype", "muxer"),
    [
        ("b.m4a", "a.m4a", MOV, "aac", None, "mp4"), ("b.mov", "a.mov", MOV, "aac", None, "mov"),
        ("b.wav", "a.wav", MOV, "aac", None, "mp4"), ("b", "a.wav", MOV, "aac", None, "mp4"),
        ("b.mkv", "a.mkv", "matroska,webm", "aac", "matroska", "matroska"),
        ("b.x", "a.x", "matroska,webm", "opus", "webm", "webm"), ("b.mp3", "a.mp3", "mp3", "mp2", None, "mp2"),
        ("b.wav", "a.m4a", MOV, "aac", None, None), ("b.flac", "a.wav", None, "", None, None),
        ("b.m4a", "a.wav", None, "", None, "mp4"), ("b.aac", "a.aac", "aac", "aac", None, "adts"),
    ],
)  # fmt: skip
def test_the_container_is_the_sources_unless_another_suffix_is_named(
    dst: str, src: str, form: str | None, codec: str, doctype: str | None, muxer: str | None
) -> None:
    assert muxer_of(Path(dst), Path(src), form, codec, doctype) == muxer


@pytest.mark.parametrize(("dst", "form"), [("b.ape", "ape"), ("b.xyz", MOV), ("b.xyz", None)])
def test_a_container_that_nothing_writes_is_refused(dst: str, form: str | None) -> None:
    with pytest.raises(FileError, match=r"\.flac, \.wav or \.mka"):
        muxer_of(Path(dst), Path("a.ape"), form)


@pytest.mark.parametrize(
    "wishes",
    [{"damaged": "no"}, {"quality": 2.0}, {"bit_rate": 3}, {"bit_rate": 96000, "quality": 0.5}],
    ids=lambda wishes: next(iter(wishes)),
)
def test_a_wish_out_of_range_is_refused(wishes: dict[str, object]) -> None:
    with pytest.raises(DenoiseError):
        Wishes(**wishes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("codec", "sample", "header", "depth"),
    [
        ("aac", "flt", b"", None), ("pcm_s24le", "s32", b"", 24), ("pcm_mulaw", "s16", b"", None),
        ("flac", "s32", bytes(12) + b"\x01\x70" + bytes(20), 24), ("alac", "s16", bytes(17) + b"\x10" + bytes(18), 16),
        ("tta", "s32", b"TTA1\x01\0\x02\0\x18\0" + bytes(12), 24), ("wavpack", "flt", b"", 32),
        ("pcm_f64be", "dbl", b"", 64),
    ],
)  # fmt: skip
def test_the_depth_of_samples_is_known(codec: str, sample: str, header: bytes, depth: int | None) -> None:
    assert lossless_depth(codec, sample, header) == depth


@pytest.mark.parametrize("level", [0.05, 0.35, 0.8, 1.0])
def test_vorbis_is_made_at_the_quality_that_the_source_names(level: float) -> None:
    nominal = vorbis_nominal_of(level, 44100, 2)
    assert nominal is not None
    assert vorbis_nominal_of(vorbis_level(nominal, 44100, 2), 44100, 2) == pytest.approx(nominal, rel=0.01)


@pytest.mark.parametrize(
    ("name", "wishes", "words"),
    [
        ("b.flac", Wishes(bit_rate=96000), "is to be PCM_16, which has no bit rate; name a target .m4a, .mp3"),
        ("a.wav", Wishes(quality=0.5), "is to be PCM_16, which has no quality"),
        ("b.mp3", Wishes(codec="flac"), "cannot hold flac; it may be mp3"),
        ("b.flac", Wishes(codec="pcm"), "cannot hold pcm; it may be flac"),
        ("b.wav", Wishes(codec="flac"), "cannot hold flac; it may be pcm, pcm_mulaw, pcm_alaw, adpcm_ms and adpcm_ima"),
        ("b.flac", Wishes(subtype="FLOAT"), "FLAC holds PCM_16, PCM_24 and PCM_S8, not FLOAT"),
    ],
)
def test_a_wish_that_a_format_cannot_have_is_refused(name: str, wishes: Wishes, words: str) -> None:
    facts = Facts(Path("a.wav"), 48000, 1, 96000, 0, "WAV", "PCM_16", "FILE")
    with pytest.raises(DenoiseError, match=words):
        choose_format(Path(name), facts, wishes)
