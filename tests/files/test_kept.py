"""What comes in goes out: speakers, depths, chunks, tags, pictures and times."""

from __future__ import annotations

import contextlib
import os
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydub
import pytest
import soundfile
from fakes import FakeBackend
from numpy.typing import NDArray
from odd_files import FRAMES, RATE, chunk, encoded, form, info_list, pcm, riff, tone, write
from require import require

from denoise_wrapper import Denoiser, FileError
from denoise_wrapper.audio import round_to
from denoise_wrapper.files.containers.pieces import FileBytes
from denoise_wrapper.files.containers.riff import extensible, read_riff
from denoise_wrapper.files.formats import vorbis_setup
from denoise_wrapper.files.tags.chunks import decoded
from denoise_wrapper.files.tags.fields import Picture, Tags
from denoise_wrapper.files.tags.files import read_tags, write_tags

mutagen = pytest.importorskip("mutagen")

PLAIN = Denoiser(FakeBackend("plain", gain=1.0))
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
TAGGED = ("wav", "aiff", "flac", "ogg", "opus", "mp3")
TEXTS = {
    "title": ["Прогноз", "日本語の題"], "artist": ["Один", "Two"], "album": ["Álbum"], "albumartist": ["Several"],
    "composer": ["C"], "discnumber": ["1"], "disctotal": ["2"], "tracknumber": ["3"], "tracktotal": ["12"],
    "comment": ["noisy"], "date": ["2024-01-02"], "genre": ["Speech"], "mine alone": ["é", "ü"],
}  # fmt: skip


def mask(path: Path) -> int | None:
    with open(path, "rb", buffering=0) as file:
        data = FileBytes(file)
        found = read_riff(data)
        words = None if found is None else extensible(data, found)
    return None if words is None else words[0]


def chunks(path: Path) -> dict[bytes, bytes]:
    with open(path, "rb", buffering=0) as file:
        data = FileBytes(file)
        found = read_riff(data)
        assert found is not None
        assert found.end == len(data), "the size in the header is not that of the file"
        return {each.name: data[each.start : each.start + each.size] for each in found.chunks}


# ---- speakers ----


@pytest.mark.fault
@pytest.mark.parametrize(
    ("channels", "speakers"),
    [(6, 0x60F), (6, 0x3F), (3, 0xB), (4, 0x107), (4, 0x33), (2, 0x600), (1, 1), (8, 0xFF), (4, 0)],
)
@pytest.mark.parametrize("kind", ["WAVEX", "RF64"])
def test_the_mask_of_channels_stays(tmp_path: Path, channels: int, speakers: int, kind: str) -> None:
    content = bytearray(encoded(tmp_path, "wav", tone(channels=channels), format=kind, subtype="PCM_24"))
    at = content.index(b"fmt ") + 8 + 20
    content[at : at + 4] = struct.pack("<I", speakers)
    assert mask(PLAIN.filter_file(write(tmp_path / "a.wav", bytes(content)))) == speakers


@pytest.mark.fault
@pytest.mark.parametrize(("channels", "speakers"), [(3, 0xB), (4, 0x107), (6, 0x60F)])
def test_the_mask_of_channels_goes_to_flac_and_back(tmp_path: Path, channels: int, speakers: int) -> None:
    samples = tone(channels=channels)
    source = write(tmp_path / "a.wav", riff(form(channels, speakers), chunk(b"data", pcm(samples))))
    flac = PLAIN.filter_file(source, tmp_path / "b.flac")
    assert mutagen.File(flac)["WAVEFORMATEXTENSIBLE_CHANNEL_MASK"] == [f"0x{speakers:04X}"]
    again = PLAIN.filter_file(flac, tmp_path / "c.flac")
    assert mutagen.File(again)["WAVEFORMATEXTENSIBLE_CHANNEL_MASK"] == [f"0x{speakers:04X}"]
    assert mask(PLAIN.filter_file(again, tmp_path / "d.wav")) == speakers


@pytest.mark.fault
def test_an_ambisonic_wav_stays_ambisonic(tmp_path: Path) -> None:
    guid = bytes.fromhex("01000000 2107d311 8644c8c1 ca000000".replace(" ", ""))
    words = struct.pack("<HHIIHHHHI", 0xFFFE, 4, RATE, RATE * 8, 8, 16, 22, 16, 0) + guid
    source = write(tmp_path / "a.wav", riff(chunk(b"fmt ", words), chunk(b"data", pcm(tone(channels=4)))))
    made = PLAIN.filter_file(source)
    assert chunks(made)[b"fmt "][24:40] == guid
    assert mask(made) == 0


# ---- depths ----


@pytest.mark.fault
@pytest.mark.parametrize(
    ("name", "subtype", "depth"),
    [
        ("a.wav", "PCM_U8", 8), ("a.aiff", "PCM_S8", 8), ("a.flac", "PCM_S8", 8), ("a.wav", "PCM_16", 16),
        ("a.wav", "PCM_24", 24), ("a.flac", "PCM_24", 24), ("a.aiff", "PCM_24", 24), ("a.caf", "PCM_24", 24),
    ],
)  # fmt: skip
def test_every_depth_is_rounded_and_not_floored(tmp_path: Path, name: str, subtype: str, depth: int) -> None:
    soundfile.write(tmp_path / name, tone(), RATE, subtype=subtype)
    before, _ = soundfile.read(tmp_path / name, dtype="float32", always_2d=True)
    cleaner = Denoiser()
    wanted = np.float64(cleaner.filter(before, RATE))
    made, _ = soundfile.read(cleaner.filter_file(tmp_path / name), always_2d=True)
    steps = (made - wanted) * 2 ** (depth - 1)
    assert np.abs(steps).max() < 0.501 + 2.0**-8
    assert abs(steps.mean()) < 0.02


@pytest.mark.fault
@pytest.mark.parametrize(
    ("name", "subtype", "share"), [("a.wav", "PCM_U8", 0.0), ("a.wav", "PCM_16", 0.0), ("a.flac", "PCM_24", 0.02)]
)
def test_what_is_not_turned_down_keeps_its_bits(tmp_path: Path, name: str, subtype: str, share: float) -> None:
    """All of them up to 16; of 24 the engine's float32 changes the last bit of a few."""
    soundfile.write(tmp_path / name, tone(), RATE, subtype=subtype)
    before, _ = soundfile.read(tmp_path / name, dtype="int32")
    made, _ = soundfile.read(Denoiser(atten_lim_db=0).filter_file(tmp_path / name), dtype="int32")
    assert np.abs(np.int64(made) - before).max() <= 2**8 * (share > 0)
    assert (made != before).mean() <= share


@pytest.mark.fault
def test_a_pause_of_eight_bits_is_silent_when_it_is_cleaned(tmp_path: Path) -> None:
    quiet = 2e-5 * np.random.default_rng(1).standard_normal(FRAMES)
    soundfile.write(tmp_path / "a.wav", quiet, RATE, subtype="FLOAT")
    made, _ = soundfile.read(PLAIN.filter_file(tmp_path / "a.wav", tmp_path / "b.wav"))
    soundfile.write(tmp_path / "c.wav", np.zeros(FRAMES), RATE, subtype="PCM_U8")
    made, _ = soundfile.read(PLAIN.filter_file(tmp_path / "c.wav"))
    assert not made.any()


@pytest.mark.fault
def test_a_segment_of_eight_bits_is_rounded(tmp_path: Path) -> None:
    samples = np.rint(tone() * 127).astype(np.int8)
    segment = pydub.AudioSegment(data=samples.tobytes(), sample_width=1, frame_rate=RATE, channels=1)
    made = np.frombuffer(Denoiser().filter(segment).raw_data, np.int8)
    wanted = Denoiser().filter((samples / np.float32(128))[:, 0], RATE)
    np.testing.assert_array_equal(made, np.rint(wanted * 128))
    same = Denoiser(atten_lim_db=0).filter(segment)
    assert same.raw_data == segment.raw_data
    assert same.sample_width == 1


@pytest.mark.parametrize("depth", [8, 12, 16, 20, 24, 32])
@pytest.mark.parametrize("kind", ["float32", "float64", "int16", "int32"])
def test_rounding_is_that_of_numpy_at_every_depth(depth: int, kind: str) -> None:
    halves = np.arange(-201, 201) * 0.5**depth
    floats = np.concatenate([np.random.default_rng(2).uniform(-1.2, 1.2, 10_000), halves, halves - 1, halves + 1])
    if kind.startswith("int"):
        full = -float(np.iinfo(kind).min)
        given: NDArray[Any] = np.clip(np.rint(floats * full), -full, full - 1).astype(kind)
        exact = given / full
    else:
        given = floats.astype(kind)
        exact = given.astype(np.float64)
    made = round_to(given, depth)
    step = 2.0 ** (depth - 1)
    wanted = np.clip(np.rint(exact * step), -step, step - 1)
    np.testing.assert_array_equal(made / 2.0 ** (made.itemsize * 8 - depth), wanted)


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
@pytest.mark.parametrize("kind", ["<f4", ">f4", ">i4", "<f8"])
def test_rounding_takes_samples_as_they_lie(channels: int, kind: str) -> None:
    """In either byte order, every second frame, each channel by itself, and at an odd address."""
    floats = np.random.default_rng(3).uniform(-1.0, 0.99, (64, channels))
    given = (floats * (2**31 if kind[1] == "i" else 1)).astype(kind)
    wanted = round_to(given.astype(given.dtype.newbyteorder("=")), 24)
    np.testing.assert_array_equal(round_to(given, 24), wanted)
    np.testing.assert_array_equal(round_to(given[::2], 24), wanted[::2])
    np.testing.assert_array_equal(round_to(given.T, 24), wanted.T)
    odd = np.frombuffer(b"0" + given.tobytes(), kind, offset=1).reshape(given.shape)
    np.testing.assert_array_equal(round_to(odd, 24), wanted)


@pytest.mark.parametrize("depth", [8, 16, 24, 32])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_what_no_integer_can_hold_is_clipped_and_nan_is_silence(depth: int, kind: type) -> None:
    made = round_to(np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 1, -1], kind), depth)
    most, least = (1 << (depth - 1)) - 1, -(1 << (depth - 1))
    scaled = made.astype(np.int64) >> (made.itemsize * 8 - depth)
    assert scaled.tolist() == [0, most, least, most, least, most, least]


# ---- chunks ----


def bext(loudness: int = 0x7FFF) -> bytes:
    words = bytearray(602) + b"A=PCM,F=48000\r\n"
    words[:5] = b"Notes"
    words[346:348] = struct.pack("<H", 2)
    words[412:422] = struct.pack("<5h", *[loudness] * 5)
    return bytes(words)


@pytest.mark.fault
@pytest.mark.parametrize("magic", ["RIFF", "RF64"])
def test_wav_keeps_its_chunks_where_they_stood(tmp_path: Path, magic: str) -> None:
    before = {b"bext": bext(), b"iXML": b"<BWFXML/>"}
    cue = struct.pack("<IIIIIII", 1, 1, 480, 0x61746164, 0, 0, 480)
    after = {b"smpl": bytes(36), b"cue ": cue, b"axml": b"<x/>", b"id3 ": b"", b"ours": b"even"}
    samples = pcm(tone())
    laid = [chunk(name, content) for name, content in after.items() if content]
    content = riff(
        form(), *[chunk(*each) for each in before.items()], chunk(b"data", samples), *laid, info_list(INAM=b"t")
    )
    source = write(tmp_path / "a.wav", content)
    if magic == "RF64":
        soundfile.write(tmp_path / "b.wav", tone(), RATE, format="RF64", subtype="PCM_16")
        content = (tmp_path / "b.wav").read_bytes() + b"".join(laid)
        source = write(tmp_path / "a.wav", content[:20] + struct.pack("<Q", len(content) - 8) + content[28:])
        before = {}
    made = PLAIN.filter_file(source)
    found = chunks(made)
    for name, words in {**before, **{name: each for name, each in after.items() if each}}.items():
        assert found[name] == words, name
    order = list(found)
    assert all(order.index(name) < order.index(b"data") for name in before)
    assert soundfile.info(made).frames == FRAMES


@pytest.mark.fault
def test_aiff_keeps_its_marks(tmp_path: Path) -> None:
    kept = {b"MARK": b"\0\x01\0\x01\0\0\0\x64\x05first", b"ANNO": b"a word", b"INST": bytes(20)}
    content = encoded(tmp_path, "aiff", subtype="PCM_16") + b"".join(chunk(*each, ">") for each in kept.items())
    content = content[:4] + struct.pack(">I", len(content) - 8) + content[8:]
    found = chunks(PLAIN.filter_file(write(tmp_path / "a.aiff", content)))
    assert {name: found[name] for name in kept} == kept


@pytest.mark.fault
@pytest.mark.parametrize("suffix", ["aiff", "caf", "wav"])
def test_chunks_in_front_of_the_sound_stay_in_containers_of_big_endian(tmp_path: Path, suffix: str) -> None:
    """wav: RIFX. In front is where most programs put them."""
    content = encoded(tmp_path, suffix, subtype="PCM_16", endian="BIG")
    kept = b"ours", b"some words"
    if suffix == "caf":
        at = content.index(b"desc") + 12 + 32
        content = content[:at] + kept[0] + struct.pack(">q", len(kept[1])) + kept[1] + content[at:]
    else:
        content = content[:12] + chunk(*kept, ">") + content[12:]
        content = content[:4] + struct.pack(">I", len(content) - 8) + content[8:]
    made = PLAIN.filter_file(write(tmp_path / f"a.{suffix}", content))
    assert made.read_bytes().count(b"".join(kept[:1])) == 1
    assert kept[1] in made.read_bytes()
    assert soundfile.info(made).frames == FRAMES


def test_caf_keeps_its_chunks(tmp_path: Path) -> None:
    words = struct.pack(">I", 1) + b"title\0Notes\0"
    content = encoded(tmp_path, "caf", subtype="PCM_16") + b"info" + struct.pack(">q", len(words)) + words
    made = PLAIN.filter_file(write(tmp_path / "a.caf", content))
    assert words in made.read_bytes()
    assert soundfile.info(made).frames == FRAMES
    tags = read_tags(PLAIN.filter_file(made, tmp_path / "b.flac"))
    assert tags is not None
    assert tags.texts["title"] == ["Notes"]


@pytest.mark.fault
def test_loudness_is_left_out_with_a_word(tmp_path: Path) -> None:
    source = write(tmp_path / "a.wav", riff(form(), chunk(b"bext", bext(-2300)), chunk(b"data", pcm(tone()))))
    (result,) = PLAIN.filter_files([source], tmp_path / "out")
    assert result.target is not None
    assert chunks(result.target)[b"bext"] == bext()
    assert [note for note in result.notes if "loudness" in note]
    soundfile.write(tmp_path / "b.flac", tone(), RATE)
    write_tags(
        tmp_path / "b.flac", Tags({"title": ["x"], "replaygain_track_gain": ["-3 dB"], "r128_track_gain": ["9"]})
    )
    (result,) = PLAIN.filter_files([tmp_path / "b.flac"], tmp_path / "out")
    assert result.target is not None
    assert set(mutagen.File(result.target).tags.keys()) == {"title"}
    assert [note for note in result.notes if "replaygain_track_gain" in note]


def test_chunks_without_a_place_are_named(tmp_path: Path) -> None:
    source = write(tmp_path / "a.wav", riff(form(), chunk(b"bext", bext()), chunk(b"data", pcm(tone()))))
    notes: list[str] = []
    for result in PLAIN._filter_pairs([(source, tmp_path / "b.flac")]):
        notes += result.notes
    assert any("bext" in note for note in notes)


def test_marks_are_left_out_where_frames_are_dropped(tmp_path: Path) -> None:
    samples = 0.01 * tone(4 * RATE)
    samples[RATE : 2 * RATE] *= 100
    cue = struct.pack("<IIIIIII", 1, 1, 480, 0x61746164, 0, 0, 480)
    source = write(tmp_path / "a.wav", riff(form(), chunk(b"data", pcm(samples)), chunk(b"cue ", cue)))
    dropping = Denoiser(FakeBackend("plain", gain=1.0), vad_threshold=0.5, vad_gate="drop", vad_hold=0)
    assert b"cue " not in chunks(dropping.filter_file(source))


# ---- blocks of codecs ----


@pytest.mark.fault
@pytest.mark.parametrize("front", [b"", chunk(b"iXML", b"<BWFXML/>" * 10)])
@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610"])
def test_codecs_of_whole_blocks_keep_their_number_of_frames(tmp_path: Path, subtype: str, front: bytes) -> None:
    soundfile.write(tmp_path / "a.wav", tone(), RATE, subtype=subtype)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    at = content.index(b"fact") + 8
    content[at : at + 4] = struct.pack("<I", FRAMES)
    source = write(tmp_path / "a.wav", riff(front, bytes(content[12:])))
    made = PLAIN.filter_file(source)
    assert chunks(made).get(b"iXML", b"") == front[8:]
    assert struct.unpack("<I", chunks(made)[b"fact"])[0] == FRAMES
    again = PLAIN.filter_file(made, tmp_path / "b.wav")
    assert struct.unpack("<I", chunks(again)[b"fact"])[0] == FRAMES
    padding = soundfile.read(made)[0][FRAMES:]
    assert padding.size == 0 or np.abs(padding[64:]).max(initial=0) < 0.05


@pytest.mark.fault
@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610"])
def test_the_last_block_of_a_long_file_is_filled_and_no_other_one_is_written_over(tmp_path: Path, subtype: str) -> None:
    frames = 15 * RATE + 1  # more bytes than are read of a file at a time
    soundfile.write(tmp_path / "a.wav", tone(frames), RATE, subtype=subtype)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    assert len(content) > 1 << 17
    at = content.index(b"fact") + 8
    content[at : at + 4] = struct.pack("<I", frames)
    source = write(tmp_path / "a.wav", bytes(content))
    before, after = (soundfile.read(path)[0] for path in (source, PLAIN.filter_file(source)))
    assert len(after) == len(before)
    wrong = np.abs(after - before)[: frames // 4800 * 4800]
    assert wrong.reshape(-1, 4800).mean(1).max() < 0.05


# ---- tags ----


def tagged(folder: Path, suffix: str) -> Path:
    path = write(folder / f"source.{suffix}", encoded(folder, suffix, tone(RATE // 2)))
    texts = {name: list(values) for name, values in TEXTS.items()}
    assert write_tags(path, Tags(texts, [Picture(PNG, "image/png", 3, "cover")])) == []
    return path


@pytest.mark.fault
@pytest.mark.parametrize("came", TAGGED)
def test_tags_of_every_script_and_pictures_go_to_every_container(tmp_path: Path, came: str) -> None:
    source = tagged(tmp_path, came)
    for goes in TAGGED:
        made = PLAIN.filter_file(source, tmp_path / f"made.{goes}")
        tags = read_tags(made)
        assert tags is not None
        assert {name: tags.texts.get(name) for name in TEXTS} == TEXTS, goes
        assert [(each.data, each.mime, each.kind) for each in tags.pictures] == [(PNG, "image/png", 3)], goes
        assert soundfile.info(made).frames == RATE // 2
        made.unlink()


@pytest.mark.fault
@pytest.mark.parametrize("goes", ["m4a", "wma", "wv", "tta"])
def test_tags_and_pictures_go_into_what_ffmpeg_writes_and_out_of_it(tmp_path: Path, goes: str) -> None:
    require("av")
    made = PLAIN.filter_file(tagged(tmp_path, "wav"), tmp_path / f"made.{goes}")
    for path in (made, PLAIN.filter_file(made), PLAIN.filter_file(made, tmp_path / "back.flac")):
        tags = read_tags(path)
        assert tags is not None
        assert {name: tags.texts.get(name) for name in TEXTS} == TEXTS, path
        assert [(each.data, each.mime) for each in tags.pictures] == [(PNG, "image/png")], path


@pytest.mark.fault
def test_tags_go_through_containers_that_mutagen_does_not_know(tmp_path: Path) -> None:
    require("av")
    source = tagged(tmp_path, "flac")
    made = PLAIN.filter_file(source, tmp_path / "made.mka")
    tags = read_tags(PLAIN.filter_file(made, tmp_path / "back.flac"))
    assert tags is not None
    wanted = {name.replace(" ", "_"): ["; ".join(each)] for name, each in TEXTS.items()}
    assert {name: tags.texts.get(name) for name in wanted} == wanted
    assert [each.data for each in tags.pictures] == [PNG]


@pytest.mark.fault
@pytest.mark.parametrize("goes", ["aac", "ts"])
def test_tags_without_a_place_are_named(tmp_path: Path, goes: str) -> None:
    require("av")
    [result] = PLAIN._filter_pairs([(tagged(tmp_path, "wav"), tmp_path / f"made.{goes}")])
    assert any("no place for album, " in note for note in result.notes)


@pytest.mark.fault
def test_what_only_mp4_has_stays_in_mp4(tmp_path: Path) -> None:
    require("av")
    from mutagen.mp4 import MP4

    made = PLAIN.filter_file(tagged(tmp_path, "wav"), tmp_path / "made.m4a")
    file = MP4(made)
    file["cpil"], file["stik"], file["----:com.apple.iTunes:MINE"] = True, [2], [b"one", b"two"]
    file["----:com.apple.iTunes:replaygain_track_gain"] = [b"-7.00 dB"]
    file.save()
    [result] = PLAIN._filter_pairs([(made, tmp_path / "again.m4a")])
    again = MP4(tmp_path / "again.m4a")
    assert again["cpil"] is True
    assert again["stik"] == [2]
    assert [bytes(each) for each in again["----:com.apple.iTunes:MINE"]] == [b"one", b"two"]
    assert "----:com.apple.iTunes:replaygain_track_gain" not in again
    assert any("replaygain_track_gain left out" in note for note in result.notes)


@pytest.mark.fault
def test_a_wavpack_of_a_rate_that_mutagen_has_no_number_for_is_written(tmp_path: Path) -> None:
    require("av")
    source = write(tmp_path / "a.wav", encoded(tmp_path, "wav", tone(), 50_000))
    [result] = PLAIN._filter_pairs([(source, tmp_path / "b.wv")])
    assert result.error is None
    [result] = PLAIN._filter_pairs([(tmp_path / "b.wv", tmp_path / "c.wv")])
    assert result.error is None


@pytest.mark.fault
def test_speakers_go_into_what_ffmpeg_writes_or_are_named_as_lost(tmp_path: Path) -> None:
    av = require("av")
    samples = tone(channels=6)
    source = write(tmp_path / "a.wav", riff(form(6, 0x60F), chunk(b"data", pcm(samples))))
    for suffix in ("mka", "wv"):
        with av.open(PLAIN.filter_file(source, tmp_path / f"b.{suffix}")) as made:
            assert made.streams.audio[0].layout.name == "5.1(side)"
        again = PLAIN.filter_file(tmp_path / f"b.{suffix}")
        with av.open(again) as made:
            assert made.streams.audio[0].layout.name == "5.1(side)"
    [result] = PLAIN._filter_pairs([(source, tmp_path / "b.m4a")])
    assert result.notes == ("its mask of channels, 0x60f, is left out: alac does not take it",)


def with_cue_sheet(path: Path) -> Path:
    from mutagen.flac import FLAC, CueSheet, CueSheetTrack, CueSheetTrackIndex

    file, sheet = FLAC(path), CueSheet(None)
    sheet.tracks = [CueSheetTrack(number, start) for number, start in ((1, 0), (2, 9600), (170, FRAMES))]
    for track in sheet.tracks[:-1]:
        track.indexes = [CueSheetTrackIndex(1, 0)]
    file.metadata_blocks.append(sheet)
    file.cuesheet = sheet
    file.save()
    return path


@pytest.mark.fault
def test_the_cue_sheet_of_flac_stays_or_is_named_as_lost(tmp_path: Path) -> None:
    source = with_cue_sheet(write(tmp_path / "a.flac", encoded(tmp_path, "flac", tone())))
    sheet = mutagen.File(PLAIN.filter_file(source)).cuesheet
    assert [track.start_offset for track in sheet.tracks] == [0, 9600, FRAMES]
    [result] = PLAIN._filter_pairs([(source, tmp_path / "b.wav")])
    assert result.notes == ("its cue sheet left out, for which there is no place",)


@pytest.mark.fault
def test_chunks_of_w64_are_named_as_lost(tmp_path: Path) -> None:
    content = encoded(tmp_path, "w64", tone())
    mark = b"abcd" + bytes(12) + (32).to_bytes(8, "little") + bytes(8)
    source = write(tmp_path / "a.w64", content + bytes(-len(content) % 8) + mark)
    [result] = PLAIN._filter_pairs([(source, tmp_path / "b.w64")])
    assert result.error is None
    assert result.notes == ("chunks of W64 are left out: abcd",)


@pytest.mark.fault
def test_a_title_of_mp3_is_in_an_encoding_that_has_its_letters(tmp_path: Path) -> None:
    source = write(tmp_path / "a.wav", riff(form(), info_list(INAM="Прогноз".encode()), chunk(b"data", pcm(tone()))))
    tags = mutagen.File(PLAIN.filter_file(source, tmp_path / "b.mp3")).tags
    assert str(tags["TIT2"]) == "Прогноз"
    assert tags["TIT2"].encoding == 3


@pytest.mark.fault
@pytest.mark.parametrize("goes", ["mp3", "flac"])
def test_mp3_keeps_what_only_its_second_tags_say(tmp_path: Path, goes: str) -> None:
    """ID3 in front and APEv2 behind; where both name a thing, ID3 does."""
    from mutagen.apev2 import BINARY, APEv2, APEValue
    from mutagen.id3 import ID3, TIT2, TRCK

    source = write(tmp_path / "a.mp3", encoded(tmp_path, "mp3", tone()))
    ape = APEv2()
    ape["Title"], ape["Track"], ape["Album"], ape["Mine"] = "other", "9/12", "Álbum", ["one", "two"]
    ape["MP3GAIN_MINMAX"], ape["Cover Art (Back)"] = "1,2", APEValue(b"back\0" + PNG, BINARY)
    ape.save(source)
    frames = ID3()
    frames.add(TIT2(encoding=3, text=["title"]))
    frames.add(TRCK(encoding=3, text=["3"]))
    frames.save(source)
    [result] = PLAIN._filter_pairs([(source, tmp_path / f"b.{goes}")])
    kept = read_tags(tmp_path / f"b.{goes}")
    assert kept is not None
    texts = {name: values for name, values in kept.texts.items() if name != "encoder"}
    assert texts == {"title": ["title"], "tracknumber": ["3"], "album": ["Álbum"], "mine": ["one", "two"]}
    assert [(each.data, each.kind) for each in kept.pictures] == [(PNG, 4)]
    assert any("mp3gain_minmax" in note for note in result.notes)


@pytest.mark.fault
def test_ape_keeps_a_picture_of_each_kind_and_counts_others(tmp_path: Path) -> None:
    require("av")
    pictures = [Picture(PNG + bytes([number]), "image/png", kind) for number, kind in enumerate((3, 4, 0, 3))]
    source = write(tmp_path / "a.flac", encoded(tmp_path, "flac", tone()))
    write_tags(source, Tags(dict(TEXTS), pictures))
    [result] = PLAIN._filter_pairs([(source, tmp_path / "b.wv")])
    kept = read_tags(tmp_path / "b.wv")
    assert kept is not None
    assert {each.kind: each.data for each in kept.pictures} == {each.kind: each.data for each in pictures[:3]}
    assert "it has no place for 1 picture" in result.notes


@pytest.mark.fault
def test_mp3_keeps_frames_that_no_table_knows(tmp_path: Path) -> None:
    from mutagen import id3

    source = write(tmp_path / "a.mp3", encoded(tmp_path, "mp3"))
    tags = id3.ID3()
    tags.add(id3.CHAP(element_id="c1", start_time=0, end_time=500, sub_frames=[id3.TIT2(encoding=3, text=["one"])]))
    tags.add(id3.PRIV(owner="us", data=b"\0\1\2"))
    tags.add(id3.USLT(encoding=1, lang="rus", desc="d", text="слова"))
    tags.add(id3.RVA2(desc="track", channel=1, gain=-3, peak=0.5))
    tags.save(source)
    made = id3.ID3(PLAIN.filter_file(source))
    assert {"CHAP:c1", "PRIV:us:\0\1\2", "USLT:d:rus"} <= set(made)
    assert made["USLT:d:rus"].text == "слова"
    assert not made.getall("RVA2")


@pytest.mark.fault
@pytest.mark.parametrize(
    ("raw", "text"),
    [("Прогноз".encode(), "Прогноз"), (b"Gr\xfc\xdfe", "Grüße"), (b"\x93x\x94", "\u201cx\u201d"), (b"", "")],
)
def test_texts_whose_encoding_nothing_tells_are_read(raw: bytes, text: str) -> None:
    assert decoded(raw) == text


@pytest.mark.fault
def test_utf16_of_id3_without_a_mark_of_its_order_is_read(tmp_path: Path) -> None:
    text = "Прогноз".encode("utf-16-le")
    frame = b"TIT2" + struct.pack(">I", len(text) + 1) + b"\0\0\x01" + text
    tag = b"ID3\x03\0\0" + bytes([0, 0, 0, len(frame)]) + frame
    source = write(tmp_path / "a.mp3", tag + encoded(tmp_path, "mp3"))
    assert str(mutagen.File(PLAIN.filter_file(source)).tags["TIT2"]) == "Прогноз"


def test_without_mutagen_what_libsndfile_knows_is_kept_and_the_extra_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tagged(tmp_path, "flac")
    monkeypatch.setitem(sys.modules, "mutagen", None)
    (result,) = PLAIN.filter_files([source], tmp_path / "out")
    assert result.target is not None
    assert any("denoise-wrapper[tags]" in note for note in result.notes)
    with soundfile.SoundFile(result.target) as file:
        assert file.album == "Álbum"


def test_damaged_tags_keep_no_sound_from_being_cleaned(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for suffix in TAGGED:
        content = bytearray(tagged(tmp_path, suffix).read_bytes())
        at = content.find("Прогноз".encode()) if suffix != "ogg" and suffix != "opus" else -1
        if at < 0:
            continue
        content[at - 20 : at - 4] = rng.integers(0, 256, 16).astype(np.uint8).tobytes()
        path = write(tmp_path / f"damaged.{suffix}", bytes(content))
        with contextlib.suppress(FileError):  # of FLAC, whose readers go by what is damaged here
            assert soundfile.info(PLAIN.filter_file(path)).frames == RATE // 2


@pytest.mark.fault
@pytest.mark.parametrize("level", [0.2, 0.6, 0.9])
def test_vorbis_whose_header_names_no_bit_rate_keeps_its_quality(tmp_path: Path, level: float) -> None:
    samples = np.repeat(tone(4 * RATE), 2, axis=1)
    source = write(tmp_path / "a.ogg", encoded(tmp_path, "ogg", samples, 96000, compression_level=level))
    cleaned = Denoiser(FakeBackend("plain", gain=1.0, sample_rate=96000)).filter_file(source)
    assert vorbis_setup(cleaned.read_bytes()) == vorbis_setup(source.read_bytes()) != b""


@pytest.mark.fault
@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000])
def test_mp3_of_constant_rate_keeps_it_at_low_rates(tmp_path: Path, rate: int) -> None:
    content = encoded(tmp_path, "mp3", tone(4 * rate), rate, compression_level=0.3, bitrate_mode="CONSTANT")
    source = write(tmp_path / "a.mp3", content)
    cleaned = Denoiser(FakeBackend("plain", gain=1.0, sample_rate=rate)).filter_file(source)
    assert abs(cleaned.stat().st_size / source.stat().st_size - 1) < 0.05


@pytest.mark.fault
@pytest.mark.parametrize("level", [0.0, 0.4, 0.9])
def test_mp3_of_one_quality_keeps_it(tmp_path: Path, level: float) -> None:
    """A tone takes few bits, so that an average of the same rate is no measure of it."""
    content = encoded(tmp_path, "mp3", tone(4 * RATE, 2), compression_level=level, bitrate_mode="VARIABLE")
    source = write(tmp_path / "a.mp3", content)
    assert abs(PLAIN.filter_file(source).stat().st_size / source.stat().st_size - 1) < 0.05


@pytest.mark.fault
@pytest.mark.parametrize(
    ("subtype", "name", "words"),
    [
        ("FLOAT", "b.flac", "its floats are"),
        ("PCM_32", "b.flac", "its 32 bits are"),
        ("PCM_24", "b.voc", "its 24 bits"),
    ],
)
def test_fewer_bits_than_came_are_named(tmp_path: Path, subtype: str, name: str, words: str) -> None:
    soundfile.write(tmp_path / "a.wav", tone(), RATE, subtype=subtype)
    [result] = PLAIN._filter_pairs([(tmp_path / "a.wav", tmp_path / name)])
    assert [note for note in result.notes if note.startswith(words)]
    [result] = PLAIN._filter_pairs([(tmp_path / "a.wav", tmp_path / f"c{name[1:]}")], subtype="PCM_16")
    assert result.notes == ()


@pytest.mark.fault
def test_titles_of_wav_in_latin_1_are_read(tmp_path: Path) -> None:
    info = info_list(INAM="Größe".encode("latin-1"))
    source = write(tmp_path / "a.wav", riff(form(), info, chunk(b"data", pcm(tone()))))
    with soundfile.SoundFile(PLAIN.filter_file(source, tmp_path / "b.flac")) as file:
        assert file.title == "Größe"


# ---- times ----


def test_times_are_preserved_if_asked(tmp_path: Path) -> None:
    source = write(tmp_path / "a.wav", encoded(tmp_path, "wav"))
    os.utime(source, ns=(1_000_000_000_123_456_789, 1_100_000_000_123_456_789))
    assert PLAIN.filter_file(source, tmp_path / "b.wav").stat().st_mtime_ns != source.stat().st_mtime_ns
    made = PLAIN.filter_file(source, tmp_path / "c.wav", preserve_times=True)
    assert abs(made.stat().st_mtime_ns - 1_100_000_000_123_456_789) < 1000
    (result,) = PLAIN.filter_files([source], tmp_path / "out", preserve_times=True)
    assert result.target is not None
    assert abs(result.target.stat().st_mtime_ns - 1_100_000_000_123_456_789) < 1000


# ---- what a format cannot hold ----


@pytest.mark.fault
@pytest.mark.parametrize("rate", [65_536, 70_001, 88_201, 96_001, 131_071, 176_401])
def test_a_rate_that_flac_cannot_hold_is_refused_with_those_it_can(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(1000), rate)
    with pytest.raises(FileError, match="rates up to 65535 Hz, and tens up to 655350"):
        PLAIN.filter_file(tmp_path / "a.wav", tmp_path / "b.flac")
    assert os.listdir(tmp_path) == ["a.wav"]


@pytest.mark.fault
@pytest.mark.parametrize(("name", "rate"), [("b.opus", 44_100), ("b.mp3", 96_000), ("b.opus", 96_000)])
def test_a_rate_is_never_changed_in_silence(tmp_path: Path, name: str, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(1000), rate)
    with pytest.raises(FileError, match=f"cannot hold 1 channel of {rate} Hz"):
        PLAIN.filter_file(tmp_path / "a.wav", tmp_path / name)


@pytest.mark.fault
def test_a_high_rate_goes_to_ogg_on_a_small_stack(tmp_path: Path) -> None:
    import subprocess

    soundfile.write(tmp_path / "a.wav", tone(2 * 192_000, 2, 192_000), 192_000)
    program = (
        "import sys, threading\nfrom denoise_wrapper import Denoiser\n"
        "threading.stack_size(512 * 1024)\n"
        "work = threading.Thread(target=lambda: Denoiser().filter_file(sys.argv[1], sys.argv[2]))\n"
        "work.start(); work.join()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.wav"), str(tmp_path / "b.ogg")]
    assert subprocess.run(command, check=False).returncode == 0
    assert soundfile.info(tmp_path / "b.ogg").frames == 2 * 192_000


@pytest.mark.parametrize("channels", [1, 2])
def test_a_fact_that_is_far_from_the_truth_takes_no_sound_away(tmp_path: Path, channels: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(channels=channels), RATE, subtype="IMA_ADPCM")
    content = bytearray((tmp_path / "a.wav").read_bytes())
    at = content.index(b"fact") + 8
    content[at : at + 4] = struct.pack("<I", FRAMES // 2)
    made = PLAIN.filter_file(write(tmp_path / "a.wav", bytes(content)))
    assert soundfile.info(made).frames >= FRAMES
