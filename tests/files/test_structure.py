"""Files that hold more, or less, than their headers say: read whole, or refused; never cut in silence."""

from __future__ import annotations

import contextlib
import io
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fakes import FakeBackend
from numpy.typing import NDArray
from odd_files import (
    FRAMES,
    PCM_GUID,
    RATE,
    chunk,
    encoded,
    form,
    info_list,
    of_unknown_length,
    pcm,
    repaged,
    riff,
    tone,
    wav_in_chunks,
    write,
)

from denoise_wrapper import Denoiser, FileError
from denoise_wrapper.files.containers.ogg import checksum
from denoise_wrapper.files.containers.pieces import FileBytes, find_all
from denoise_wrapper.files.containers.riff import read_riff
from denoise_wrapper.files.containers.survey import survey
from denoise_wrapper.files.soundsources import Foreign, SoundFileSource
from denoise_wrapper.files.tags.chunks import read_chunks
from denoise_wrapper.files.transform import read_file

PLAIN = Denoiser(FakeBackend("plain", gain=1.0))


@pytest.fixture(params=["with PyAV", "without PyAV"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once as it is, and once as if PyAV were not installed."""
    if request.param == "without PyAV":
        monkeypatch.setitem(sys.modules, "av", None)


def read(path: Path, damaged: str = "stop", size: int = RATE) -> NDArray[Any]:
    with contextlib.ExitStack() as stack:
        source = SoundFileSource(path, stack, damaged)
        blocks = list(source.blocks(size))
        assert all(0 < len(block) <= size for block in blocks)
        samples = np.concatenate(blocks)
        assert source.total in (0, len(samples)) or damaged == "skip"
        return samples


def refused(path: Path, words: str) -> None:
    before = path.read_bytes()
    with pytest.raises(FileError, match=words) as caught:
        PLAIN.filter_file(path)
    assert "\n" not in str(caught.value)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == before


def test_the_head_of_a_file_is_read_once(tmp_path: Path) -> None:
    class Counted(io.FileIO):
        reads = 0

        def read(self, size: int | None = -1) -> Any:
            self.reads += 1
            return super().read(-1 if size is None else size)

    soundfile.write(tmp_path / "a.wav", tone(), RATE, "PCM_16")
    with Counted(tmp_path / "a.wav") as file:
        data = FileBytes(file)
        assert len(survey(data, ".wav").parts) == 1
        assert read_chunks(data).kind == "RIFF"
        assert read_riff(data) is read_riff(data)
        assert data[len(data) : len(data) + 12] == b""
        assert file.reads == 1


# ---- more than the header says ----


@pytest.mark.fault
@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("suffix", ["ogg", "opus"])
def test_a_chained_ogg_is_cleaned_to_its_end(tmp_path: Path, suffix: str) -> None:
    links = [encoded(tmp_path, suffix, tone(seed=seed)) for seed in (1, 2, 3)]
    each = [read(write(tmp_path / f"link.{suffix}", link)) for link in links]
    source = write(tmp_path / f"a.{suffix}", b"".join(links))
    np.testing.assert_array_equal(read(source), np.concatenate(each))
    assert len(read(PLAIN.filter_file(source))) == 3 * FRAMES


@pytest.mark.fault
@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("other", [{"channels": 2}, {"rate": 24000}])
def test_a_chained_ogg_of_another_rate_or_of_other_channels_says_so(tmp_path: Path, other: dict[str, int]) -> None:
    second = tone(channels=other.get("channels", 1))
    content = encoded(tmp_path, "ogg") + encoded(tmp_path, "ogg", second, other.get("rate", RATE))
    refused(write(tmp_path / "a.ogg", content), r"goes on with \d channels of \d+ Hz after 1 of 48000 Hz")


@pytest.mark.fault
@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("between", [b"", bytes(700), b"TAG" + bytes(125), b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)])
def test_joined_mp3_is_cleaned_to_its_end(tmp_path: Path, between: bytes) -> None:
    one, two = (encoded(tmp_path, "mp3", tone(seed=seed)) for seed in (1, 2))
    each = [read(write(tmp_path / "one.mp3", part)) for part in (one, two)]
    source = write(tmp_path / "a.mp3", one + between + two)
    np.testing.assert_array_equal(read(source), np.concatenate(each))
    assert len(read(PLAIN.filter_file(source))) == 2 * FRAMES


@pytest.mark.fault
@pytest.mark.usefixtures("either_way")
def test_flac_of_unknown_length_is_read_to_its_end(tmp_path: Path) -> None:
    whole = encoded(tmp_path, "flac")
    source = write(tmp_path / "a.flac", of_unknown_length(whole))
    np.testing.assert_array_equal(read(source), read(write(tmp_path / "whole.flac", whole)))
    assert soundfile.info(PLAIN.filter_file(source)).frames == FRAMES


@pytest.mark.fault
def test_joined_flac_and_joined_wav_are_read_to_their_ends(tmp_path: Path) -> None:
    for suffix in ("flac", "wav"):
        content = encoded(tmp_path, suffix, tone(), subtype="PCM_16")
        once = read(write(tmp_path / f"once.{suffix}", content))
        twice = read(write(tmp_path / f"twice.{suffix}", content + content))
        np.testing.assert_array_equal(twice, np.concatenate([once, once]))


@pytest.mark.fault
def test_joined_flac_of_one_length_is_cleaned_to_its_end(tmp_path: Path) -> None:
    content = encoded(tmp_path, "flac")
    once = read(write(tmp_path / "once.flac", content))
    cleaned = PLAIN.filter_file(write(tmp_path / "thrice.flac", content * 3))
    np.testing.assert_array_equal(read(cleaned), np.concatenate([once, once, once]))


@pytest.mark.fault
def test_flac_with_another_behind_it_that_is_cut_is_refused(tmp_path: Path) -> None:
    content, other = encoded(tmp_path, "flac"), encoded(tmp_path, "flac", tone(2 * FRAMES))
    with pytest.raises(FileError, match="was cut short"):
        read(write(tmp_path / "a.flac", content + other[: len(other) // 2] + content))


def test_a_word_is_found_wherever_it_lies(tmp_path: Path) -> None:
    size = 3 << 17  # three blocks that are read at a time
    for places in ([0, 5, 9], [(1 << 17) - at for at in (9, 4)], [(1 << 17) - 3, (1 << 18) - 6], [size - 4]):
        content = bytearray(size)
        for place in places:
            content[place : place + 4] = b"fLaC"
        with open(write(tmp_path / "a", bytes(content)), "rb") as file:
            assert find_all(FileBytes(file), b"fLaC") == places
            assert find_all(FileBytes(file), b"fLaC", places[-1]) == places[-1:]


@pytest.mark.fault
@pytest.mark.parametrize("in_data", [0, 0x7FFFF000, 0xFFFFFFFF])
@pytest.mark.parametrize("in_riff", [0, 0x7FFFF024, 0xFFFFFFFF])
def test_wav_whose_sizes_were_never_written_is_read_to_its_end(tmp_path: Path, in_data: int, in_riff: int) -> None:
    content = bytearray(riff(form(), chunk(b"data", pcm(tone()))))
    content[4:8], content[40:44] = struct.pack("<I", in_riff), struct.pack("<I", in_data)
    source = write(tmp_path / "a.wav", bytes(content))
    np.testing.assert_array_equal(read(source)[:, 0], np.frombuffer(pcm(tone()), "<i2"))
    assert soundfile.info(PLAIN.filter_file(source)).frames == FRAMES


def test_wav_of_no_sound_with_texts_behind_it_stays_empty(tmp_path: Path) -> None:
    source = write(tmp_path / "a.wav", riff(form(), chunk(b"data", b""), info_list(INAM=b"nothing")))
    assert soundfile.info(PLAIN.filter_file(source)).frames == 0


@pytest.mark.fault
@pytest.mark.usefixtures("either_way")
def test_a_chained_ogg_of_another_codec_says_so(tmp_path: Path) -> None:
    content = encoded(tmp_path, "ogg") + encoded(tmp_path, "opus")
    refused(write(tmp_path / "a.ogg", content), "goes on with Opus after Vorbis; take it apart")


@pytest.mark.fault
def test_joined_wav_of_another_depth_says_so(tmp_path: Path) -> None:
    content = encoded(tmp_path, "wav", subtype="PCM_16") + encoded(tmp_path, "wav", subtype="PCM_24")
    refused(write(tmp_path / "a.wav", content), "goes on with PCM_24 after PCM_16; take it apart")


@pytest.mark.fault
@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("suffix", ["au", "caf", "w64"])
def test_a_second_file_that_no_reader_looks_for_is_named(tmp_path: Path, suffix: str) -> None:
    content = encoded(tmp_path, suffix, subtype="PCM_16")
    refused(
        write(tmp_path / f"a.{suffix}", content * 2), f"has another file behind its end, from byte {len(content)} on"
    )


@pytest.mark.fault
@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("size", range(12, 48, 4))
def test_rf64_that_ends_within_its_header_is_refused(tmp_path: Path, size: int) -> None:
    content = b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<I", 28) + bytes(28)
    refused(write(tmp_path / "a.wav", content[:size]), r"a\.wav")


@pytest.mark.fault
def test_wav_of_several_data_chunks_is_read_whole(tmp_path: Path) -> None:
    source = write(tmp_path / "a.wav", wav_in_chunks(tone(channels=2), 20_000, 1, FRAMES - 20_001))
    np.testing.assert_array_equal(read(source).reshape(-1), np.frombuffer(pcm(tone(channels=2)), "<i2"))


@pytest.mark.parametrize("size", [1000, RATE])
@pytest.mark.parametrize("channels", [6, 8])
@pytest.mark.fault
def test_opus_whose_pages_begin_with_continued_packets_is_read_whole(tmp_path: Path, channels: int, size: int) -> None:
    content = encoded(tmp_path, "opus", tone(2 * RATE, channels))
    wanted = read(write(tmp_path / "whole.opus", content))
    again = repaged(content, 60)
    assert any(page[1] & 1 for page in again.split(b"OggS")[1:]), "no page continues a packet"
    path = write(tmp_path / "a.opus", again)
    np.testing.assert_array_equal(read(path, size=size), wanted)
    assert len(read(PLAIN.filter_file(path))) == 2 * RATE


@pytest.mark.fault
def test_what_lies_in_front_of_ogg_and_flac_is_passed_over(tmp_path: Path) -> None:
    for suffix in ("ogg", "flac"):
        content = encoded(tmp_path, suffix)
        clean = read(write(tmp_path / f"clean.{suffix}", content))
        for junk in (b"junk" * 99, b"ID3\x03\0\0\0\0\0\x05hello"):
            np.testing.assert_array_equal(read(write(tmp_path / f"a.{suffix}", junk + content)), clean)


@pytest.mark.fault
def test_flac_whose_header_names_too_small_a_block_is_read(tmp_path: Path) -> None:
    content = bytearray(encoded(tmp_path, "flac"))
    content[8:12] = b"\x04\0\x04\0"
    np.testing.assert_array_equal(read(write(tmp_path / "a.flac", bytes(content))), read_whole(tmp_path))
    assert soundfile.info(PLAIN.filter_file(tmp_path / "a.flac")).frames == FRAMES


def read_whole(folder: Path) -> NDArray[Any]:
    return read(write(folder / "whole.flac", encoded(folder, "flac")))


@pytest.mark.fault
def test_bw64_is_read_and_stays_bw64(tmp_path: Path) -> None:
    content = b"BW64" + encoded(tmp_path, "wav", subtype="PCM_16", format="RF64")[4:]
    source = write(tmp_path / "a.wav", content)
    made = PLAIN.filter_file(source)
    assert made.read_bytes()[:4] == b"BW64"
    np.testing.assert_array_equal(read(made), read(source))


# ---- MP3: no length is an estimate ----


@pytest.mark.parametrize("options", [["-b:a", "64k"], ["-q:a", "4"]])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("rate", [48000, 22050, 8000])
def test_every_frame_of_mp3_is_read_whatever_tells_its_length(
    tmp_path: Path, needs: Callable[[str], str], options: list[str], header: bool, rate: int
) -> None:
    import subprocess

    wav, path = tmp_path / "a.wav", tmp_path / "a.mp3"
    soundfile.write(wav, tone(3 * rate, rate=rate), rate)
    switch = ["-write_xing", str(int(header))]
    subprocess.run([needs("ffmpeg"), "-v", "error", "-i", str(wav), *options, *switch, str(path)], check=True)
    frames = len(read(path))
    late = 0 if header else 3 * 1152
    assert 3 * rate <= frames <= 3 * rate + late
    assert soundfile.info(PLAIN.filter_file(path)).frames == frames


@pytest.mark.fault
@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("header", [True, False])
def test_mp3_cut_short_is_refused(tmp_path: Path, needs: Callable[[str], str], header: bool) -> None:
    import subprocess

    wav, path = tmp_path / "a.wav", tmp_path / "a.mp3"
    soundfile.write(wav, tone(), RATE)
    command = [needs("ffmpeg"), "-v", "error", "-i", str(wav), "-write_xing", str(int(header)), str(path)]
    subprocess.run(command, check=True)
    wav.unlink()
    write(path, path.read_bytes()[: path.stat().st_size // 2])
    refused(path, r"cut short: it promises \d+ frames" if header else "cut short: its last frame, at 0.5")


# ---- less than the header says, or damage ----


def cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


@pytest.mark.fault
def test_ogg_cut_on_the_border_of_a_page_is_refused(tmp_path: Path) -> None:
    content = encoded(tmp_path, "ogg", tone(5 * RATE))
    last = content.rindex(b"OggS")
    refused(write(tmp_path / "a.ogg", content[:last]), r"cut short: it ends at \d\.\d\d s")


@pytest.mark.parametrize("suffix", ["ogg", "opus"])
def test_ogg_with_a_page_damaged_or_gone_is_refused_with_the_time(tmp_path: Path, suffix: str) -> None:
    content = encoded(tmp_path, suffix, tone(5 * RATE))
    pages = [at for at in range(len(content)) if content.startswith(b"OggS", at)]
    damaged = bytearray(content)
    damaged[pages[3] + 60] ^= 1
    refused(write(tmp_path / f"a.{suffix}", bytes(damaged)), r"is damaged: a page is damaged at \d\.\d\d s")
    gone = content[: pages[3]] + content[pages[4] :]
    refused(write(tmp_path / f"a.{suffix}", gone), r"is damaged: pages are missing at \d\.\d\d s")


def test_the_checksum_of_pages_is_that_of_ogg(tmp_path: Path) -> None:
    content = encoded(tmp_path, "ogg")
    page = content[: content.index(b"OggS", 4)]
    assert checksum(page[:22] + bytes(4) + page[26:]) == int.from_bytes(page[22:26], "little")


def test_mp3_with_bytes_gone_is_refused_with_the_time(tmp_path: Path) -> None:
    content = encoded(tmp_path, "mp3")
    refused(write(tmp_path / "a.mp3", content[:3000] + content[3300:]), r"damaged at 0\.\d\d s")


@pytest.mark.fault
def test_flac_damaged_in_the_middle_says_so_and_when(tmp_path: Path) -> None:
    content = bytearray(encoded(tmp_path, "flac"))
    middle = len(content) // 2
    content[middle : middle + 300] = bytes(300)
    refused(write(tmp_path / "a.flac", bytes(content)), r"is damaged: .* after 0\.\d\d s")


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.flac", "a.w64", "a.rf64"])
def test_silence_is_kept_for_the_end_that_is_gone(tmp_path: Path, name: str) -> None:
    content = encoded(tmp_path, name[2:], subtype="PCM_16")
    whole = read(write(tmp_path / name, content))
    source = write(tmp_path / name, cut(content))
    short = read(source, "skip")
    kept = read(source, "keep")
    assert 0.5 * FRAMES < len(short) < 0.8 * FRAMES
    np.testing.assert_array_equal(short, whole[: len(short)])
    assert len(kept) == FRAMES
    np.testing.assert_array_equal(kept[: len(short)], short)
    assert not kept[len(short) :].any()


@pytest.mark.parametrize("bytes_gone", [1, 300, 3000])
def test_flac_keeps_its_time_around_damage(tmp_path: Path, bytes_gone: int) -> None:
    content = bytearray(encoded(tmp_path, "flac"))
    whole = read(write(tmp_path / "a.flac", bytes(content)))
    middle = len(content) // 2
    content[middle : middle + bytes_gone] = bytes(byte ^ 0x55 for byte in content[middle : middle + bytes_gone])
    source = write(tmp_path / "a.flac", bytes(content))
    kept, short = read(source, "keep"), read(source, "skip")
    assert len(kept) == FRAMES
    gone = np.flatnonzero((kept != whole).any(1))
    assert gone[-1] - gone[0] < 3 * 4096
    assert not kept[gone].any()
    np.testing.assert_array_equal(
        short, np.delete(whole, range(gone[0] // 4096 * 4096, -(-gone[-1] // 4096) * 4096), 0)
    )


def test_mp3_keeps_its_time_around_damage(tmp_path: Path) -> None:
    content = encoded(tmp_path, "mp3", tone(4 * RATE))
    whole = read(write(tmp_path / "a.mp3", content))[:, 0]
    source = write(tmp_path / "a.mp3", content[:9000] + content[9900:])
    kept, short = read(source, "keep")[:, 0], read(source, "skip")[:, 0]
    assert len(short) < len(kept)
    tail = RATE // 2  # behind the damage the decoder is in step again
    part = slice(2 * RATE, 2 * RATE + tail)
    lags = range(-1200, 1201)
    late = max(lags, key=lambda lag: float(np.dot(np.roll(kept, lag)[part], whole[part])))
    assert late == 0


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "a.wav"
    soundfile.write(source, tone(5 * RATE), RATE)

    def grow(done: int, total: int) -> None:
        with open(source, "ab") as file:
            file.write(bytes(100))

    with pytest.raises(FileError, match="changed by another program while it was read"):
        PLAIN.filter_file(source, progress=grow)
    assert list(tmp_path.iterdir()) == [source]


def test_a_file_that_vanishes_while_it_is_read_is_read_whole(tmp_path: Path) -> None:
    source = tmp_path / "a.wav"
    soundfile.write(source, tone(5 * RATE), RATE)
    made = PLAIN.filter_file(source, progress=lambda done, total: source.unlink(missing_ok=True))
    assert soundfile.info(made).frames == 5 * RATE


# ---- words ----


@pytest.mark.fault
def test_an_mp3_that_cannot_be_read_is_not_called_a_pipe(tmp_path: Path) -> None:
    source = write(tmp_path / "a.mp3", b"ID3\x03\0\0\0\0\0\0" + b"no audio at all " * 200)
    with pytest.raises(FileError) as caught:
        PLAIN.filter_file(source)
    assert "pipe" not in str(caught.value)


@pytest.mark.fault
def test_no_message_counts_to_the_end_of_all_numbers(tmp_path: Path) -> None:
    content = bytearray(of_unknown_length(encoded(tmp_path, "flac")))
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    source = write(tmp_path / "a.flac", bytes(content))
    with contextlib.suppress(FileError):
        made = PLAIN.filter_file(source)
        assert soundfile.info(made).frames < FRAMES
        return
    with pytest.raises(FileError) as caught:
        PLAIN.filter_file(source)
    assert "9223372036854775807" not in str(caught.value)


@pytest.mark.fault
def test_what_libsndfile_names_and_cannot_read_is_for_another_decoder(
    tmp_path: Path, needs: Callable[[str], str]
) -> None:
    import subprocess

    wav = tmp_path / "a.wav"
    soundfile.write(wav, tone(), RATE)
    for name, options in (("a.oga", ["-c:a", "flac"]), ("a.spx.ogg", ["-c:a", "libspeex", "-ar", "16000"])):
        command = [needs("ffmpeg"), "-v", "error", "-y", "-i", str(wav), *options, "-f", "ogg", str(tmp_path / name)]
        if subprocess.run(command, check=False).returncode:
            continue
        with contextlib.ExitStack() as stack, pytest.raises(Foreign, match="in Ogg"):
            SoundFileSource(tmp_path / name, stack)


def test_reading_a_clip_gives_all_of_it(tmp_path: Path) -> None:
    content = encoded(tmp_path, "ogg") + encoded(tmp_path, "ogg", tone(seed=2))
    samples, rate = read_file(write(tmp_path / "a.ogg", content))
    assert (len(samples), rate) == (2 * FRAMES, RATE)


@pytest.mark.fault
def test_rifx_with_an_extensible_format_is_read_and_stays_rifx(tmp_path: Path) -> None:
    words = struct.pack(">HHIIHHHHI", 0xFFFE, 2, RATE, RATE * 4, 4, 16, 22, 16, 3) + PCM_GUID
    sound = np.frombuffer(pcm(tone(channels=2)), "<i2").astype(">i2").tobytes()
    body = b"WAVE" + chunk(b"fmt ", words, ">") + chunk(b"data", sound, ">")
    source = write(tmp_path / "a.wav", b"RIFX" + struct.pack(">I", len(body)) + body)
    made = PLAIN.filter_file(source)
    assert made.read_bytes()[:4] == b"RIFX"
    for path in (source, made):
        np.testing.assert_array_equal(read(path).reshape(-1), np.frombuffer(pcm(tone(channels=2)), "<i2"))


@pytest.mark.fault
def test_mp3_of_no_sound_is_refused_and_no_empty_file_is_written(tmp_path: Path) -> None:
    source = write(tmp_path / "a.wav", riff(form(), chunk(b"data", b"")))
    with pytest.raises(FileError, match="there is no sound in"):
        PLAIN.filter_file(source, tmp_path / "b.mp3")
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.fault
@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("suffix", ["m4a", "wav", "m3u8", "mp3"])
@pytest.mark.parametrize(
    "words",
    ["#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.0,\na.wav\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile a.wav\n"],
)
def test_a_playlist_is_never_followed(tmp_path: Path, suffix: str, words: str) -> None:
    write(tmp_path / "a.wav", encoded(tmp_path, "wav"))
    source = write(tmp_path / f"list.{suffix}", words.encode())
    with pytest.raises(FileError):
        PLAIN.filter_file(source, tmp_path / "b.wav")
    assert not (tmp_path / "b.wav").exists()


def test_no_days_of_silence_are_written_for_a_promise(tmp_path: Path) -> None:
    content = bytearray(encoded(tmp_path, "flac"))
    content[21] |= 0x0F
    content[22:26] = b"\xff" * 4
    source = write(tmp_path / "a.flac", bytes(content))
    with pytest.raises(FileError, match="hours more than it holds"):
        read(source, "keep")
    assert len(read(source, "skip")) == FRAMES


def test_vorbis_keeps_its_time_around_pages_that_are_gone(tmp_path: Path) -> None:
    content = encoded(tmp_path, "ogg", tone(5 * RATE))
    whole = read(write(tmp_path / "a.ogg", content))
    pages = [at for at in range(len(content)) if content.startswith(b"OggS", at)]
    middle = len(pages) // 2
    source = write(tmp_path / "a.ogg", content[: pages[middle]] + content[pages[middle + 1] :])
    kept, short = read(source, "keep"), read(source, "skip")
    assert len(kept) == len(whole)
    gone = np.flatnonzero((kept != whole).any(1))
    assert not kept[gone].any()
    np.testing.assert_array_equal(short, np.delete(whole, range(gone[0], gone[-1] + 1), 0))
