"""Files that FFmpeg reads and writes: what stays as it is, what is refused, and that all stays in time."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fakes import FakeBackend
from numpy.typing import NDArray
from odd_files import flac_of_bits
from require import require

from denoise_wrapper import DenoiseError, Denoiser, FileError
from denoise_wrapper.files.soundsources import Foreign, SoundFileSource
from denoise_wrapper.files.transform import read_file, read_floats

require("av")

pytestmark = pytest.mark.fault
Array = NDArray[Any]
PLAIN = FakeBackend("plain", gain=1.0)
RATE = 48000
FRAMES = 2 * RATE + 77


@pytest.fixture
def denoiser() -> Denoiser:
    """One that changes nothing at 48 kHz, so that what comes out can be told."""
    return Denoiser(PLAIN)


@pytest.fixture
def ffmpeg(needs: Callable[[str], str]) -> Callable[..., None]:
    """Runs ffmpeg: ffmpeg(*words)."""
    program = needs("ffmpeg")

    def run(*words: str | Path) -> None:
        subprocess.run([program, "-v", "error", "-y", *words], check=True, stdin=subprocess.DEVNULL)

    return run


@pytest.fixture
def probe(needs: Callable[[str], str]) -> Callable[..., Any]:
    """What ffprobe says of a file: probe(path, *words)."""
    program = needs("ffprobe")

    def run(path: Path, *words: str) -> Any:
        words = words or ("-show_streams", "-show_format", "-show_chapters")
        done = subprocess.run([program, "-v", "error", "-of", "json", *words, path], check=True, capture_output=True)
        return json.loads(done.stdout)

    return run


def sweep(frames: int = FRAMES, channels: int = 1, rate: int = RATE) -> Array:
    """A tone that glides, in noise: its place in time shows to the sample."""
    rng, t = np.random.default_rng(5), np.arange(frames) / rate
    tone = 0.3 * np.sin(2 * np.pi * (300 + 100 * np.sin(4 * t)) * t) + 0.05 * rng.standard_normal(frames)
    return np.repeat(tone[:, None], channels, 1)


_made: dict[tuple[Any, ...], bytes] = {}  # each file is encoded once; many tests begin with the same


def made(ffmpeg: Callable[..., None], path: Path, *options: str | Path, rate: int = RATE, channels: int = 1) -> Path:
    key = path.suffix, options, rate, channels
    if key not in _made:
        wav = path.with_name("source.wav")
        soundfile.write(wav, sweep(2 * rate + 77, channels, rate), rate, subtype="PCM_16")
        ffmpeg("-i", wav, *options, path)
        wav.unlink()
        _made[key] = path.read_bytes()
    path.write_bytes(_made[key])
    return path


def lag(before: Array, after: Array) -> int:
    size = 1 << (len(before) + len(after)).bit_length()
    product = np.conj(np.fft.rfft(before, size)) * np.fft.rfft(after, size)
    at = int(np.argmax(np.fft.irfft(product)))
    return at if at < size // 2 else at - size


def first_channel(path: Path) -> Array:
    samples: Array = read_file(path)[0][:, 0].astype(np.float64)
    return samples


CODECS = [
    ("a.aac", ()), ("a.mkv", ("-c:a", "aac")), ("a.flv", ("-c:a", "aac")), ("a.ts", ("-c:a", "aac")), ("a.m4a", ()),
    ("a.mka", ("-c:a", "libmp3lame")), ("a.avi", ("-c:a", "libmp3lame")), ("a.mp2", ()), ("a.ac3", ()),
    ("a.webm", ("-c:a", "libopus")), ("a.wma", ()), ("a.eac3", ()), ("a.mov", ("-c:a", "pcm_s24le")),
]  # fmt: skip


@pytest.mark.fault
@pytest.mark.parametrize(("name", "options"), CODECS)
def test_what_comes_out_is_as_long_and_in_time(
    tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None], name: str, options: tuple[str, ...]
) -> None:
    source = made(ffmpeg, tmp_path / name, *options)
    cleaned = denoiser.filter_file(source)
    before, after = first_channel(source), first_channel(cleaned)
    assert len(after) == len(before)
    assert lag(before, after) == 0
    for path in (source, cleaned):  # full scale is 1, whatever type the decoder gives
        assert np.abs(read_floats(path)[0]).max() == pytest.approx(np.abs(sweep()).max(), rel=0.2)


@pytest.mark.fault
@pytest.mark.parametrize(
    ("name", "options", "rate"),
    [
        ("a.mp3", ("-b:a", "64k"), 8000), ("a.mp3", ("-b:a", "48k"), 11025), ("a.mp3", ("-b:a", "40k"), 12000),
        ("a.mp3", ("-b:a", "56k"), 16000), ("a.mkv", ("-c:a", "aac", "-b:a", "96k"), 48000),
        ("a.webm", ("-c:a", "libopus", "-b:a", "24k"), 48000), ("a.mp2", ("-b:a", "192k"), 48000),
        ("a.mka", ("-c:a", "ac3", "-b:a", "128k"), 48000), ("a.ogg", ("-c:a", "libvorbis", "-q:a", "-1"), 44100),
        ("a.ogg", ("-c:a", "libvorbis", "-q:a", "6"), 44100), ("a.mp3", ("-b:a", "160k"), 44100),
    ],
)  # fmt: skip
def test_the_bit_rate_of_the_audio_is_kept(
    tmp_path: Path,
    denoiser: Denoiser,
    ffmpeg: Callable[..., None],
    probe: Callable[..., Any],
    name: str,
    options: tuple[str, ...],
    rate: int,
) -> None:
    source = made(ffmpeg, tmp_path / name, *options, rate=rate)
    sizes = []
    for path in (source, Denoiser(FakeBackend("plain", gain=1.0, sample_rate=rate)).filter_file(source)):
        packets = probe(path, "-select_streams", "a", "-show_packets", "-show_entries", "packet=size")["packets"]
        sizes.append(sum(int(packet["size"]) for packet in packets))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.05)


@pytest.mark.fault
@pytest.mark.parametrize("name", ["cover.mp3", "cover.ogg"])
def test_a_picture_does_not_count_as_bit_rate(
    tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None], name: str
) -> None:
    mutagen = require("mutagen")
    source = made(ffmpeg, tmp_path / name, "-b:a", "96k", rate=44100)
    plain = denoiser.filter_file(source, tmp_path / f"plain{source.suffix}").stat().st_size
    file = mutagen.File(source)
    if name.endswith("mp3"):
        from mutagen.id3 import APIC

        file.add_tags() if file.tags is None else None
        file.tags.add(APIC(mime="image/png", type=3, data=bytes(200_000)))
    else:
        file["comment"] = "x" * 200_000
    file.save()
    assert denoiser.filter_file(source).stat().st_size - 200_000 == pytest.approx(plain, rel=0.1, abs=5000)


@pytest.mark.fault
@pytest.mark.parametrize(
    ("name", "options", "codec", "sample"),
    [
        ("a.mkv", ("-c:a", "flac"), "flac", "s16"), ("a.mka", ("-c:a", "pcm_s24le"), "pcm_s24le", "s32"),
        ("a.mp4", ("-c:a", "flac", "-strict", "-2"), "flac", "s16"),
        ("a.mov", ("-c:a", "pcm_s16be"), "pcm_s16be", "s16"),
        ("a.avi", ("-c:a", "pcm_s16le"), "pcm_s16le", "s16"), ("a.nut", ("-c:a", "pcm_s16le"), "pcm_s16le", "s16"),
        ("a.nut", ("-c:a", "flac"), "flac", "s16"),
        ("a.m4a", ("-c:a", "alac"), "alac", "s16p"), ("a.tta", (), "tta", "s16"),
        ("a.wv", ("-c:a", "wavpack", "-sample_fmt", "s16p"), "wavpack", "s16p"),
        ("a.oga", ("-c:a", "flac"), "flac", "s16"),
        ("a.mka", ("-c:a", "wavpack", "-sample_fmt", "s16p"), "wavpack", "s16p"),
    ],
)  # fmt: skip
def test_lossless_stays_lossless_and_as_deep(
    tmp_path: Path,
    ffmpeg: Callable[..., None],
    probe: Callable[..., Any],
    name: str,
    options: tuple[str, ...],
    codec: str,
    sample: str,
) -> None:
    source = made(ffmpeg, tmp_path / name, *options, channels=2)
    cleaned = Denoiser(PLAIN, mix=0.0).filter_file(source)
    stream = probe(cleaned)["streams"][0]
    assert (stream["codec_name"], stream["sample_fmt"]) == (codec, sample)
    np.testing.assert_array_equal(read_file(cleaned)[0], read_file(source)[0])


@pytest.mark.fault
@pytest.mark.parametrize(("name", "long_s"), [("film.mkv", 600), ("film.mp4", 600), ("film.mp4", 0)])
def test_everything_but_the_audio_goes_through(
    tmp_path: Path,
    denoiser: Denoiser,
    ffmpeg: Callable[..., None],
    probe: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    long_s: int,
) -> None:
    """long_s: seconds from which on an MP4 is written in fragments, which are joined."""
    monkeypatch.setattr("denoise_wrapper.files.media.target.LONG_S", long_s)
    source = film(tmp_path / name, ffmpeg)
    before, after = probe(source), probe(denoiser.filter_file(source))
    kept = ("index", "codec_name", "codec_type", "disposition", "width", "height")
    for old, new in zip(before["streams"], after["streams"], strict=True):
        assert {key: new.get(key) for key in kept} == {key: old.get(key) for key in kept}
        assert new.get("tags", {}).get("language") == old.get("tags", {}).get("language")
    assert [each["tags"]["title"] for each in after["chapters"]] == ["One", "Two"]
    tags = {key.lower(): text for key, text in after["format"]["tags"].items()}
    assert (tags["title"], tags["artist"]) == ("Лекция", "山田")
    for path in (source, tmp_path / f"film_denoised{source.suffix}"):
        ffmpeg("-i", path, "-map", "0:v", "-c", "copy", "-f", "framemd5", path.with_suffix(f"{path.suffix}.md5"))
    sums = [
        [line.split(",")[-1] for line in path.read_text().splitlines() if not line.startswith("#")]
        for path in sorted(tmp_path.glob("*.md5"))
    ]
    assert sums[0] == sums[1]


def film(path: Path, ffmpeg: Callable[..., None]) -> Path:
    """A picture, audio from 1 s on in German, audio in English, subtitles, chapters, and a font where it fits."""
    folder = path.parent
    (folder / "s.srt").write_text("1\n00:00:00,500 --> 00:00:01,500\nHello\n\n")
    chapter = "[CHAPTER]\nTIMEBASE=1/1000\nSTART={}\nEND={}\ntitle={}\n"
    words = ";FFMETADATA1\ntitle=Лекция\nartist=山田\n"
    (folder / "c.txt").write_text(words + chapter.format(0, 1000, "One") + chapter.format(1000, 3000, "Two"), "utf-8")
    (folder / "f.ttf").write_bytes(b"font")
    text = "srt" if path.suffix == ".mkv" else "mov_text"
    font: list[str | Path] = ["-attach", folder / "f.ttf", "-metadata:s:t", "mimetype=application/x-truetype-font"]
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=3", "-itsoffset", "1", "-f", "lavfi", "-i",
        "anoisesrc=r=48000:d=2:a=0.1:seed=1", "-f", "lavfi", "-i", "sine=880:r=44100:d=3", "-i", folder / "s.srt",
        "-i", folder / "c.txt", "-map", "0:v", "-map", "1:a", "-map", "2:a", "-map", "3:s", "-map_metadata", "4",
        "-map_chapters", "4", *(font if text == "srt" else []), "-c:v", "mpeg4", "-c:a:0", "aac",
        "-c:a:1", "libmp3lame", "-c:s", text, "-metadata:s:a:0", "language=deu", "-metadata:s:a:1", "language=eng",
        "-disposition:a:0", "0", "-disposition:a:1", "default", path,
    )  # fmt: skip
    return path


@pytest.mark.fault
def test_audio_that_starts_late_starts_late(tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None]) -> None:
    for name in ("film.mkv", "film.mp4"):
        source = film(tmp_path / name, ffmpeg)
        cleaned = denoiser.filter_file(source)
        wavs = []
        for path in (source, cleaned):
            wavs.append(path.with_suffix(f"{path.suffix}.wav"))
            ffmpeg("-copyts", "-i", path, "-map", "0:a:0", "-af", "aresample=async=1:first_pts=0", "-ac", "1", wavs[-1])
        before, after = (soundfile.read(wav)[0] for wav in wavs)
        assert np.abs(before[: RATE * 9 // 10]).max() < 1e-3
        assert abs(lag(before, after)) <= 48  # FFmpeg's own rounding of Matroska's milliseconds


@pytest.mark.fault
def test_a_gap_stays_a_gap(
    tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None], probe: Callable[..., Any]
) -> None:
    source = tmp_path / "gap.webm"
    noise = "anoisesrc=r=48000:d=4:a=0.1:seed=1,aselect='not(between(t,1.5,2.5))'"
    ffmpeg("-f", "lavfi", "-i", noise, "-c:a", "libopus", source)
    cleaned = denoiser.filter_file(source)
    before, after = first_channel(source), first_channel(cleaned)
    assert len(after) == len(before) > 3.9 * RATE
    assert lag(before, after) == 0
    widest = []
    for path in (source, cleaned):
        packets = probe(path, "-show_packets", "-show_entries", "packet=pts_time")["packets"]
        widest.append(np.diff([float(packet["pts_time"]) for packet in packets]).max())
    assert widest[0] > 0.9
    assert widest[1] > 0.9


@pytest.mark.fault
def test_one_track_is_chosen_and_the_others_go_through(tmp_path: Path, ffmpeg: Callable[..., None]) -> None:
    source, silent = film(tmp_path / "film.mkv", ffmpeg), Denoiser(FakeBackend("quiet", gain=0.0))
    for track, loud in (("deu", "0:a:1"), ("2", "0:a:0")):
        cleaned = silent.filter_file(source, overwrite=True, track=track)
        for path in (source, cleaned):
            ffmpeg("-i", path, "-map", loud, "-c", "copy", path.with_suffix(".mka"))
        np.testing.assert_array_equal(
            first_channel(source.with_suffix(".mka")), first_channel(cleaned.with_suffix(".mka"))
        )
    with pytest.raises(FileError, match=r"no audio track 'fra' \(--track\); it has 1 \(deu\), 2 \(eng\)"):
        silent.filter_file(source, overwrite=True, track="fra")


DAMAGED = [
    ("a.m4a", ("-movflags", "faststart")), ("a.mkv", ("-c:a", "aac")), ("a.webm", ("-c:a", "libopus")), ("a.aac", ()),
    ("a.wma", ()), ("a.tta", ()), ("a.wv", ()), ("a.mka", ("-c:a", "flac")), ("a.avi", ("-c:a", "aac")),
]  # fmt: skip


@pytest.mark.fault
@pytest.mark.parametrize("how", ["cut", "overwritten"])
@pytest.mark.parametrize(("name", "options"), DAMAGED)
def test_a_damaged_file_is_refused_with_the_time(
    tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None], name: str, options: tuple[str, ...], how: str
) -> None:
    source = made(ffmpeg, tmp_path / name, *options)
    data = bytearray(source.read_bytes())
    middle = len(data) * 6 // 10
    if how == "cut":
        del data[middle:]
    else:
        data[middle : middle + 3000] = np.random.default_rng(2).bytes(3000)
    source.write_bytes(data)
    with pytest.raises(FileError, match=r"a\.\w+ is damaged at \d\.\d\d s: "):
        denoiser.filter_file(source)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(("name", "options"), [("a.mkv", ("-c:a", "aac")), ("a.m4a", ()), ("a.tta", ())])
def test_damage_is_kept_as_silence_or_left_out(
    tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None], name: str, options: tuple[str, ...]
) -> None:
    source = made(ffmpeg, tmp_path / name, *options)
    whole = first_channel(source)
    data = bytearray(source.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = np.random.default_rng(2).bytes(2000)
    source.write_bytes(data)
    kept = first_channel(denoiser.filter_file(source, damaged="keep"))
    assert abs(len(kept) - len(whole)) <= 1024 + RATE // 100
    assert lag(whole, kept) == 0
    left = first_channel(denoiser.filter_file(source, overwrite=True, damaged="skip"))
    assert len(left) < len(kept)


@pytest.mark.fault
@pytest.mark.parametrize("gone", ["cut out", "overwritten"])
def test_damaged_opus_keeps_its_time_or_is_shorter(tmp_path: Path, denoiser: Denoiser, gone: str) -> None:
    soundfile.write(tmp_path / "a.opus", sweep(10 * RATE), RATE, format="OGG", subtype="OPUS")
    source, whole = tmp_path / "a.opus", first_channel(tmp_path / "a.opus")
    data = bytearray(source.read_bytes())
    pages = [at for at in range(len(data)) if data.startswith(b"OggS", at)]
    middle = len(pages) // 2
    if gone == "cut out":
        del data[pages[middle] : pages[middle + 1]]
    else:
        data[pages[middle] + 200 : pages[middle] + 700] = bytes(500)
    source.write_bytes(data)
    kept = first_channel(denoiser.filter_file(source, damaged="keep"))
    assert len(kept) == len(whole)
    assert lag(whole[-3 * RATE :], kept[-3 * RATE :]) == 0
    short = first_channel(denoiser.filter_file(source, overwrite=True, damaged="skip"))
    assert 0.5 * RATE < len(whole) - len(short) < 2 * RATE  # libsndfile's pages are of a second
    assert lag(whole[-3 * RATE :], short[-3 * RATE :]) == 0


@pytest.mark.fault
@pytest.mark.parametrize("name", ["a.m4a", "a.mov"])
def test_a_cut_file_without_an_index_is_refused_with_advice(
    tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None], name: str
) -> None:
    source = made(ffmpeg, tmp_path / name)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    for damaged in ("stop", "skip", "keep"):
        with pytest.raises(FileError, match=r"was cut short: its index \(moov\) is missing, .*; copy it anew"):
            denoiser.filter_file(source, damaged=damaged)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.fault
@pytest.mark.parametrize("name", ["a.m4a", "a.tta"])
def test_a_second_file_behind_the_first_is_not_lost_in_silence(
    tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None], name: str
) -> None:
    source = made(ffmpeg, tmp_path / name, "-metadata", "title=One")
    content = source.read_bytes()
    source.write_bytes(content * 2)
    with pytest.raises(FileError, match=f"has another file behind its end, from byte {len(content)} on"):
        denoiser.filter_file(source)
    source.write_bytes(content)
    denoiser.filter_file(source)


@pytest.mark.fault
def test_mp2_named_mp3_is_advised_a_format_of_another_name(
    tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = made(ffmpeg, tmp_path / "a.mp2").rename(tmp_path / "b.mp3")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(FileError) as caught:
        denoiser.filter_file(source)
    advice = str(caught.value).partition(";")[2]
    assert ".wav" in advice or "denoise-wrapper[media]" in str(caught.value)
    assert ".mp3" not in advice


@pytest.mark.fault
def test_words_about_the_coding_of_a_stream_do_not_stay_where_it_is_another_one(
    tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None], probe: Callable[..., Any]
) -> None:
    source = film(tmp_path / "film.mkv", ffmpeg)
    tagged = tmp_path / "tagged.mkv"
    words = [
        word
        for kind in ("v", "a")
        for word in (f"-metadata:s:{kind}", "BPS=1", f"-metadata:s:{kind}", "NUMBER_OF_BYTES=2")
    ]
    ffmpeg("-i", source, "-map", "0", "-c", "copy", *words, tagged)
    video, *audio = (each.get("tags", {}) for each in probe(denoiser.filter_file(tagged))["streams"][:3])
    assert (video["BPS"], video["NUMBER_OF_BYTES"]) == ("1", "2")
    assert not any("BPS" in each or "NUMBER_OF_BYTES" in each for each in audio)


@pytest.mark.fault
def test_a_file_object_gets_the_kind_of_container_that_came(
    tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None]
) -> None:
    for name, options, at, word in (
        ("a.m4a", (), 8, b"M4A "), ("a.mov", ("-c:a", "pcm_s16le"), 8, b"qt  "),
        ("a.m2ts", ("-c:a", "ac3", "-mpegts_m2ts_mode", "1"), 4, b"G"),
    ):  # fmt: skip
        target = BytesIO()
        denoiser.filter_file(BytesIO(made(ffmpeg, tmp_path / name, *options, rate=48000).read_bytes()), target)
        assert target.getvalue()[at : at + len(word)] == word


@pytest.mark.fault
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_flac_in_matroska_is_not_taken_for_flac_with_something_in_front(
    tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None], channels: int
) -> None:
    source = made(ffmpeg, tmp_path / "a.mka", "-c:a", "flac", channels=channels)
    with contextlib.ExitStack() as stack, pytest.raises(Foreign):
        SoundFileSource(source, stack)
    np.testing.assert_array_equal(read_file(denoiser.filter_file(source))[0], read_file(source)[0])


@pytest.mark.fault
def test_a_codec_that_a_muxer_does_not_take_is_refused_with_advice(
    tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None]
) -> None:
    source = made(ffmpeg, tmp_path / "a.caf", "-c:a", "libopus")
    with pytest.raises(FileError, match=r"cannot write .*; name a target of another format, such as \.mka"):
        denoiser.filter_file(source)
    assert list(tmp_path.iterdir()) == [source]
    denoiser.filter_file(source, tmp_path / "a.mka")


@pytest.mark.fault
def test_a_file_of_nothing_but_promises_is_refused(
    tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None]
) -> None:
    source = made(ffmpeg, tmp_path / "a.m4a", "-movflags", "+faststart")
    data = source.read_bytes()
    source.write_bytes(data[: data.index(b"mdat") + 4])
    with pytest.raises(FileError, match=r"damaged at 0\.00 s: "):
        denoiser.filter_file(source)
    with pytest.raises(FileError, match="there is no sound in"):
        denoiser.filter_file(source, damaged="skip")
    assert list(tmp_path.iterdir()) == [source]


def test_one_track_of_several_is_read_alone(tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None]) -> None:
    source = film(tmp_path / "film.mkv", ffmpeg)
    assert len(first_channel(source)) == pytest.approx(2 * RATE, abs=2048)
    with pytest.raises(FileError, match=r"has 2 audio tracks and .* holds one: --track 1"):
        denoiser.filter_file(source, tmp_path / "b.wav")
    denoiser.filter_file(source, tmp_path / "b.wav", track="eng")
    assert soundfile.info(tmp_path / "b.wav").samplerate == 44100


@pytest.mark.parametrize("name", ["a.webm", "a.ogv"])
def test_vorbis_beside_a_picture_stays_vorbis(
    tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None], probe: Callable[..., Any], name: str
) -> None:
    source, video = tmp_path / name, "libvpx" if name == "a.webm" else "libtheora"
    picture, noise = "testsrc=s=64x48:r=10:d=2", "anoisesrc=r=48000:d=2:a=0.1:seed=1"
    inputs = ("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", noise)
    ffmpeg(*inputs, "-c:v", video, "-c:a", "libvorbis", "-q:a", "2", source)
    cleaned = denoiser.filter_file(source)
    assert [each["codec_name"] for each in probe(cleaned)["streams"]][1] == "vorbis"
    before, after = first_channel(source), first_channel(cleaned)
    assert len(after) == len(before)
    assert lag(before, after) == 0


@pytest.mark.fault
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.m4a", "#EXTM3U\n#EXTINF:2,\nfile://{}\n#EXT-X-ENDLIST\n"),
        ("list.mp3", "ffconcat version 1.0\nfile '{}'\n"),
        ("list.mkv", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns={}\nm=audio 5004 RTP/AVP 0\n"),
    ],
)
def test_a_playlist_is_not_followed(
    tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None], name: str, content: str
) -> None:
    sound = made(ffmpeg, tmp_path / "a.m4a")
    (tmp_path / name).write_text(content.format(sound))
    with pytest.raises(FileError):
        denoiser.filter_file(tmp_path / name)
    assert sorted(tmp_path.iterdir()) == sorted([sound, tmp_path / name])


@pytest.mark.fault
@pytest.mark.parametrize(
    ("made_as", "named", "codec"),
    [
        ("a.aac", "b.mp3", "aac"), ("a.m4a", "b.wav", "aac"), ("a.mp2", "b.mp3", "mp2"), ("a.wma", "b.mp3", "wmav2"),
        ("a.webm", "b.ogg", "opus"), ("a.flac", "b.tmp", "flac"), ("a.wav", "b.bak", "pcm_s16le"),
        ("a.m4a", "b.raw", "aac"), ("a.wav", "b.pcm", "pcm_s16le"),
    ],
)  # fmt: skip
def test_the_content_says_what_a_file_is(
    tmp_path: Path,
    denoiser: Denoiser,
    ffmpeg: Callable[..., None],
    probe: Callable[..., Any],
    made_as: str,
    named: str,
    codec: str,
) -> None:
    source = made(ffmpeg, tmp_path / made_as).rename(tmp_path / named)
    cleaned = denoiser.filter_file(source)
    assert probe(cleaned)["streams"][0]["codec_name"] == codec
    assert probe(cleaned)["format"]["format_name"] == probe(source)["format"]["format_name"]
    assert lag(first_channel(source), first_channel(cleaned)) == 0


@pytest.mark.fault
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mp3.wav", ("-c:a", "libmp3lame")), ("ac3.wav", ("-c:a", "ac3")),
        ("g722.wav", ("-c:a", "g722", "-ar", "16000")),
        ("yamaha.wav", ("-c:a", "adpcm_yamaha")), ("flac.oga", ("-c:a", "flac")), ("alac.caf", ("-c:a", "alac")),
        ("mp2.wav", ("-c:a", "mp2")), ("s64.wav", ("-c:a", "pcm_s64le")),
    ],
)  # fmt: skip
def test_codecs_that_libsndfile_does_not_write_keep_their_container(
    tmp_path: Path,
    denoiser: Denoiser,
    ffmpeg: Callable[..., None],
    probe: Callable[..., Any],
    name: str,
    options: tuple[str, ...],
) -> None:
    source = made(ffmpeg, tmp_path / name, *options)
    cleaned = denoiser.filter_file(source)
    before, after = probe(source), probe(cleaned)
    assert after["streams"][0]["codec_name"] == before["streams"][0]["codec_name"]
    assert after["format"]["format_name"] == before["format"]["format_name"]
    assert len(first_channel(cleaned)) == len(first_channel(source))


@pytest.mark.fault
@pytest.mark.parametrize(("name", "form"), [("b.sph", "NIST"), ("b.8svx", "SVX"), ("b.raw", "AIFF"), ("b.txt", "FLAC")])
def test_a_suffix_that_says_nothing_keeps_the_format_that_came(
    tmp_path: Path, denoiser: Denoiser, name: str, form: str
) -> None:
    soundfile.write(tmp_path / "a", sweep(), RATE, format=form, subtype="PCM_16")
    source = (tmp_path / "a").rename(tmp_path / name)
    assert soundfile.SoundFile(BytesIO(denoiser.filter_file(source).read_bytes())).format == form


@pytest.mark.fault
def test_a_folder_is_searched_for_everything_that_can_be_cleaned(tmp_path: Path, denoiser: Denoiser) -> None:
    for suffix in "m4b voc wv tta ac3 eac3 spx mp2 bwf 8svx snd avi ts ogv mpg m4a webm".split():
        soundfile.write(tmp_path / f"{suffix}.{suffix}", sweep(4800), RATE, format="WAV")
    results = denoiser.filter_files(tmp_path)
    assert len(results) == 17
    assert all(result.error is None for result in results)


def test_a_file_object_gets_the_container_that_came(
    tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None], probe: Callable[..., Any]
) -> None:
    source, target = made(ffmpeg, tmp_path / "a.m4a"), tmp_path / "b"
    with source.open("rb") as read, target.open("wb") as write:
        denoiser.filter_file(read, write)
    assert probe(target)["streams"][0]["codec_name"] == "aac"
    assert len(first_channel(target)) == len(first_channel(source))


@pytest.mark.fault
def test_mpeg_without_a_frame_is_refused(tmp_path: Path, denoiser: Denoiser) -> None:
    source = tmp_path / "a.mp3"
    source.write_bytes(b"ID3\x04\0\0\0\0\0\x10" + bytes(5000))
    with pytest.raises(DenoiseError, match=r"no audio|no mp3 file that can be read"):
        denoiser.filter_file(source)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.fault
def test_what_ffmpeg_reads_and_does_not_write_is_refused_with_advice(tmp_path: Path, denoiser: Denoiser) -> None:
    source = tmp_path / "a.dsf"
    blocks, frames = 4096 * 2, 8 * 4096 * 2
    form = b"fmt " + (52).to_bytes(8, "little")
    for number, size in ((1, 4), (0, 4), (1, 4), (1, 4), (2822400, 4), (1, 4), (frames, 8), (4096, 4), (0, 4)):
        form += number.to_bytes(size, "little")
    sound = b"data" + (12 + blocks).to_bytes(8, "little") + b"\x55\xaa" * (blocks // 2)
    size = 28 + len(form) + len(sound)
    source.write_bytes(b"DSD " + (28).to_bytes(8, "little") + size.to_bytes(8, "little") + bytes(8) + form + sound)
    with pytest.raises(FileError, match=r"does not write it; name a target such as \.flac"):
        denoiser.filter_file(source)
    denoiser.filter_file(source, tmp_path / "b.wav")


@pytest.mark.fault
def test_rates_and_channels_do_not_change_in_silence(
    tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None]
) -> None:
    wav = tmp_path / "a.wav"
    soundfile.write(wav, sweep(10_000, 8), 96000)
    with pytest.raises(FileError, match="only 32000, 44100 and 48000 Hz"):
        denoiser.filter_file(wav, tmp_path / "b.ac3")
    soundfile.write(wav, sweep(10_000, 8), 48000)
    with pytest.raises(FileError, match="ac3 cannot hold 8 channels of 48000 Hz, only 6"):
        denoiser.filter_file(wav, tmp_path / "b.ac3")
    assert list(tmp_path.iterdir()) == [wav]


def test_wav_becomes_lossless_m4a_unless_a_codec_is_asked_for(
    tmp_path: Path, denoiser: Denoiser, probe: Callable[..., Any]
) -> None:
    wav = tmp_path / "a.wav"
    soundfile.write(wav, sweep(), RATE)
    made = denoiser.filter_file(wav, tmp_path / "b.m4a")
    assert probe(made)["streams"][0]["codec_name"] == "alac"
    made = denoiser.filter_file(wav, tmp_path / "c.m4a", codec="aac", bit_rate=96000)
    stream = probe(made)["streams"][0]
    assert stream["codec_name"] == "aac"
    assert int(stream["bit_rate"]) == pytest.approx(96000, rel=0.1)
    assert len(first_channel(made)) == FRAMES


def test_flac_in_ogg_that_is_chained_is_cleaned_to_its_end(
    tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None], probe: Callable[..., Any]
) -> None:
    one, two = (made(ffmpeg, tmp_path / f"{name}.oga", "-c:a", "flac") for name in ("one", "two"))
    source = tmp_path / "a.oga"
    source.write_bytes(one.read_bytes() + two.read_bytes())
    both = np.concatenate([first_channel(one), first_channel(two)])
    cleaned = denoiser.filter_file(source)
    np.testing.assert_array_equal(first_channel(source), both)
    np.testing.assert_array_equal(first_channel(cleaned), both)
    assert [(each["codec_name"], each["sample_fmt"]) for each in probe(cleaned)["streams"]] == [("flac", "s16")]
    stereo = made(ffmpeg, tmp_path / "stereo.oga", "-c:a", "flac", channels=2)
    source.write_bytes(one.read_bytes() + stereo.read_bytes())
    with pytest.raises(FileError, match="goes on with 2 channels"):
        denoiser.filter_file(source, tmp_path / "b.oga")


def test_a_film_in_ogg_that_another_was_joined_to_is_refused_as_such(
    tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None]
) -> None:
    one, source = tmp_path / "one.ogv", tmp_path / "a.ogv"
    inputs = ["-f", "lavfi", "-i", "testsrc=s=32x32:r=5:d=2", "-f", "lavfi", "-i", "anoisesrc=r=48000:d=2:seed=1"]
    ffmpeg(*inputs, "-c:v", "libtheora", "-c:a", "libvorbis", one)
    source.write_bytes(2 * one.read_bytes())
    with pytest.raises(FileError, match=r"go back by .* another file was joined to it"):
        denoiser.filter_file(source, tmp_path / "b.ogv")


def packets_of(content: bytes) -> list[tuple[int, bool, bytes]]:
    """Packets of a transport stream: number of their stream, whether a frame begins in them, and their bytes."""
    cut = [content[at : at + 188] for at in range(0, len(content), 188)]
    return [((packet[1] & 31) << 8 | packet[2], bool(packet[1] & 0x40), packet) for packet in cut]


def test_packets_cut_out_of_a_transport_stream_are_damage(
    tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None]
) -> None:
    source = made(ffmpeg, tmp_path / "a.ts", "-c:a", "mp2", "-b:a", "384k")
    packets, audio = packets_of(source.read_bytes()), 256
    begins = [at for at, (pid, first, _) in enumerate(packets) if pid == audio and first]
    low, high = begins[len(begins) // 2], begins[len(begins) // 2 + 1]  # whole frames, so that none decodes badly
    gone = [at for at in range(low, high) if packets[at][0] == audio]
    assert len(gone) % 16, "the counter of packets would come round"
    source.write_bytes(b"".join(packet for at, (_, _, packet) in enumerate(packets) if at not in gone))
    with pytest.raises(FileError, match=r"damaged at 1\.0\d s: packets are missing"):
        denoiser.filter_file(source)
    kept = denoiser.filter_file(source, tmp_path / "kept.ts", damaged="keep")
    assert abs(len(first_channel(kept)) - FRAMES) < 2 * 1152
    left = denoiser.filter_file(source, tmp_path / "left.ts", damaged="skip")
    assert len(first_channel(left)) < FRAMES - 1152


@pytest.mark.fault
def test_nothing_is_printed_by_the_libraries(
    tmp_path: Path, denoiser: Denoiser, ffmpeg: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    source = made(ffmpeg, tmp_path / "a.mp3", rate=22050)
    denoiser.filter_file(source)
    bad = made(ffmpeg, tmp_path / "b.mkv", "-c:a", "aac")
    bad.write_bytes(bad.read_bytes()[:9000])
    with pytest.raises(FileError):
        denoiser.filter_file(bad)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("channels", range(3, 9))
@pytest.mark.parametrize("codec", ["alac", "aac", "flac", "opus"])
def test_channels_that_no_mask_names_go_into_an_m4a(
    tmp_path: Path, denoiser: Denoiser, channels: int, codec: str
) -> None:
    soundfile.write(tmp_path / "a.wav", sweep(4800, channels), RATE, subtype="PCM_16")
    cleaned = denoiser.filter_file(tmp_path / "a.wav", tmp_path / "a.m4a", codec=codec)
    assert read_file(cleaned)[0].shape[1] == channels


@pytest.mark.parametrize(("mask", "codec"), [(0x63F, "alac"), (0x60F, "alac"), (0x60F, "aac"), (0xFF, "aac")])
def test_a_mask_that_a_codec_does_not_take_is_named(tmp_path: Path, denoiser: Denoiser, mask: int, codec: str) -> None:
    soundfile.write(tmp_path / "a.wav", sweep(4800, mask.bit_count()), RATE, subtype="PCM_16", format="WAVEX")
    data = bytearray((tmp_path / "a.wav").read_bytes())
    at = data.index(b"fmt ") + 28
    data[at : at + 4] = mask.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    (result,) = denoiser._filter_pairs([(tmp_path / "a.wav", tmp_path / "a.m4a")], codec=codec)
    assert result.error is None
    assert list(result.notes) == [f"its mask of channels, {mask:#x}, is left out: {codec} does not take it"]
    assert read_file(tmp_path / "a.m4a")[0].shape[1] == mask.bit_count()


def test_flac_goes_into_ogg_where_it_is_asked_for(tmp_path: Path, denoiser: Denoiser) -> None:
    soundfile.write(tmp_path / "a.wav", sweep(), RATE, subtype="PCM_16")
    cleaned = denoiser.filter_file(tmp_path / "a.wav", tmp_path / "a.ogg", codec="flac")
    assert b"\x7fFLAC" in cleaned.read_bytes()[:64]
    np.testing.assert_array_equal(read_file(cleaned)[0], read_file(tmp_path / "a.wav")[0])


@pytest.mark.parametrize(("bits", "written"), [(12, 16), (15, 16), (20, 24)])
def test_flac_of_an_odd_depth_is_written_in_the_next_one_and_says_so(
    tmp_path: Path, denoiser: Denoiser, bits: int, written: int
) -> None:
    samples = np.rint(sweep(6000)[:, 0] * 2 ** (bits - 1)).astype(np.int64)
    (tmp_path / "a.flac").write_bytes(flac_of_bits(samples, bits))
    (result,) = denoiser._filter_pairs([(tmp_path / "a.flac", tmp_path / "b.flac")])
    assert result.error is None
    assert list(result.notes) == [f"its {bits} bits are written as {written}, as flac is encoded here"]
    made, _ = soundfile.read(tmp_path / "b.flac", dtype="int32")
    np.testing.assert_array_equal(made, samples << (32 - bits))


def test_a_track_that_a_plain_file_has_not_is_refused(tmp_path: Path, denoiser: Denoiser) -> None:
    soundfile.write(tmp_path / "a.wav", sweep(4800), RATE)
    for track in ("2", "eng"):
        with pytest.raises(FileError, match=rf"no audio track '{track}' \(--track\); it has 1"):
            denoiser.filter_file(tmp_path / "a.wav", track=track)
    denoiser.filter_file(tmp_path / "a.wav", track="1")
