"""Files: what is kept, what is refused, and that a failure leaves nothing behind."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fakes import FakeBackend
from numpy.typing import NDArray
from require import require

from denoise_wrapper import AudioError, DenoiseError, Denoiser, FileError
from denoise_wrapper.files import soundfiles as files
from denoise_wrapper.files.results import LIST

Array = NDArray[Any]

PLAIN = FakeBackend("plain", gain=1.0)


@pytest.fixture
def denoiser() -> Denoiser:
    """One that changes nothing at 48 kHz, so that what comes out can be told."""
    return Denoiser(PLAIN)


def signal_of(frames: int = 100_000, channels: int = 1) -> Array:
    rng = np.random.default_rng(11)
    return 0.2 * rng.uniform(-1, 1, (frames, channels))


def make(path: Path, samples: Array | None = None, rate: int = 48000, **form: Any) -> Path:
    soundfile.write(path, signal_of() if samples is None else samples, rate, **form)
    return path


def same_but_for(folder: Path, before: set[Path]) -> None:
    assert set(folder.iterdir()) - {folder / LIST} == before, "something was left behind"


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.wav", {"subtype": "PCM_16"}), ("a.wav", {"subtype": "PCM_24"}), ("a.wav", {"subtype": "PCM_32"}),
        ("a.wav", {"subtype": "PCM_U8"}), ("a.wav", {"subtype": "FLOAT"}), ("a.wav", {"subtype": "DOUBLE"}),
        ("a.wav", {"subtype": "ULAW"}), ("a.wav", {"subtype": "PCM_16", "endian": "BIG"}),
        ("a.wav", {"format": "WAVEX", "subtype": "PCM_24"}), ("a.wav", {"format": "RF64"}),
        ("a.flac", {"subtype": "PCM_16"}), ("a.flac", {"subtype": "PCM_24"}), ("a.w64", {}), ("a.caf", {}),
        ("a.aiff", {"subtype": "PCM_24"}), ("a.aif", {"format": "AIFF", "subtype": "FLOAT"}), ("a.au", {}),
        ("a.ogg", {}), ("a.mp3", {}), ("a.opus", {"format": "OGG", "subtype": "OPUS"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("channels", [1, 2])
def test_format_rate_channels_and_length_are_kept(
    tmp_path: Path, denoiser: Denoiser, name: str, form: dict[str, Any], channels: int
) -> None:
    source = make(tmp_path / name, signal_of(channels=channels), **form)
    made = denoiser.filter_file(source)
    assert made == tmp_path / f"a_denoised.{name.split('.')[1]}"
    before, after = soundfile.info(source), soundfile.info(made)
    for what in ("samplerate", "channels", "format", "subtype", "endian"):
        assert getattr(after, what) == getattr(before, what)
    lossless = before.subtype not in ("VORBIS", "OPUS", "MPEG_LAYER_III")
    assert after.frames == before.frames or (not lossless and abs(after.frames - before.frames) < 2000)
    if lossless:
        before_samples, after_samples = soundfile.read(source)[0], soundfile.read(made)[0]
        assert np.abs(after_samples - before_samples).max() < (
            2**-24 if before.subtype in ("PCM_32", "DOUBLE") else 1e-30
        )


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 96000])
def test_a_file_is_what_filter_makes_of_it(tmp_path: Path, rate: int) -> None:
    denoiser = Denoiser()
    source = make(tmp_path / "a.wav", rate=rate, subtype="FLOAT")
    samples, _ = soundfile.read(source, dtype="float32")
    made, made_rate = soundfile.read(denoiser.filter_file(source), dtype="float32")
    assert made_rate == rate
    np.testing.assert_array_equal(made, denoiser.filter(samples, rate))


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_tags_are_kept(tmp_path: Path, denoiser: Denoiser, suffix: str) -> None:
    tags = {"title": "Прогноз", "artist": "Someone", "comment": "noisy"}
    with soundfile.SoundFile(tmp_path / f"a.{suffix}", "w", 48000, 1) as file:
        for tag, text in tags.items():
            setattr(file, tag, text)
        file.write(signal_of())
    for name in (f"b.{suffix}", "c.flac"):
        with soundfile.SoundFile(denoiser.filter_file(tmp_path / f"a.{suffix}", tmp_path / name)) as file:
            assert {tag: getattr(file, tag) for tag in tags} == tags


@pytest.mark.parametrize(
    ("subtype", "name", "wanted"),
    [
        ("PCM_16", "b.flac", "PCM_16"), ("PCM_24", "b.flac", "PCM_24"), ("FLOAT", "b.flac", "PCM_24"),
        ("PCM_24", "b.ogg", "VORBIS"), ("FLOAT", "b.AIFF", "FLOAT"), ("PCM_16", "b.mp3", "MPEG_LAYER_III"),
        ("PCM_16", "b.opus", "OPUS"), ("PCM_32", "b", "PCM_32"), ("DOUBLE", "b.rf64", "DOUBLE"),
    ],
)  # fmt: skip
def test_another_suffix_means_another_format(
    tmp_path: Path, denoiser: Denoiser, subtype: str, name: str, wanted: str
) -> None:
    made = denoiser.filter_file(make(tmp_path / "a.wav", subtype=subtype), tmp_path / name)
    assert soundfile.info(made).subtype == wanted


def test_lossy_audio_becomes_plain_wav(tmp_path: Path, denoiser: Denoiser) -> None:
    for name in ("a.mp3", "a.ogg"):
        assert soundfile.info(denoiser.filter_file(make(tmp_path / name), tmp_path / f"{name}.wav")).subtype == "PCM_16"


def test_integers_in_files_are_clipped_and_floats_kept(tmp_path: Path) -> None:
    loud = np.sign(signal_of())
    for subtype, most in (("PCM_16", 1.0), ("PCM_24", 1.0), ("FLOAT", 4.0)):
        source = make(tmp_path / f"{subtype}.wav", loud, rate=44100, subtype=subtype)
        made, _ = soundfile.read(Denoiser(PLAIN).filter_file(source))
        before, _ = soundfile.read(source)
        assert np.abs(made).max() <= most
        assert (np.sign(made) == np.sign(before)).mean() > 0.9


def test_an_empty_recording_stays_one(tmp_path: Path, denoiser: Denoiser) -> None:
    assert soundfile.info(denoiser.filter_file(make(tmp_path / "a.wav", np.zeros((0, 2))))).frames == 0


def test_dropped_frames_shorten_the_file(tmp_path: Path) -> None:
    samples = 0.01 * signal_of(200_000)[:, 0]
    samples[60_000:100_000] *= 100
    dropping = Denoiser(PLAIN, vad_threshold=0.5, vad_gate="drop", vad_hold=0)
    made = soundfile.info(dropping.filter_file(make(tmp_path / "a.wav", samples)))
    assert 40_000 <= made.frames <= 41_000


def test_progress_is_told(tmp_path: Path, denoiser: Denoiser) -> None:
    calls: list[tuple[int, int]] = []
    denoiser.filter_file(make(tmp_path / "a.wav"), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(48000, 100_000), (96000, 100_000), (100_000, 100_000)]


# ---- what is refused ----


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff", "a.au", "a.rf64", "a.w64", "a.caf", "a.ogg"])
def test_a_truncated_file_is_refused(tmp_path: Path, denoiser: Denoiser, name: str) -> None:
    source = make(tmp_path / name)
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 2 // 3])
    with pytest.raises(FileError, match=r"cut short|damaged"):
        denoiser.filter_file(source)
    same_but_for(tmp_path, {source})


def test_a_wav_written_into_a_pipe_promises_no_length_and_is_read(tmp_path: Path, denoiser: Denoiser) -> None:
    source = make(tmp_path / "a.wav")
    raw = bytearray(source.read_bytes())
    raw[4:8] = raw[40:44] = b"\xff\xff\xff\xff"
    source.write_bytes(raw)
    assert soundfile.info(denoiser.filter_file(source)).frames == 100_000


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.wav", b"", "is empty"), ("empty.m4a", b"", "is empty"),
        ("text.wav", b"this is no audio at all\n" * 99, "no wav file that can be read"),
        ("text.flac", b"fLaC but then no more", "no flac file that can be read"),
        ("text.txt", b"this is no audio at all\n" * 99, "no audio file that can be read"),
        ("header.wav", b"RIFF\x24\x00\x00\x00WAVEfmt ", "no wav file that can be read"),
    ],
)  # fmt: skip
def test_what_is_no_audio_is_refused(
    tmp_path: Path, denoiser: Denoiser, name: str, content: bytes, message: str
) -> None:
    require("av")
    source = tmp_path / name
    source.write_bytes(content)
    with pytest.raises(FileError, match=message):
        denoiser.filter_file(source, tmp_path / "out.wav")
    same_but_for(tmp_path, {source})


def test_a_header_of_no_channels_is_refused(tmp_path: Path, denoiser: Denoiser) -> None:
    source = make(tmp_path / "a.wav")
    raw = bytearray(source.read_bytes())
    raw[22:24] = b"\0\0"
    source.write_bytes(raw)
    with pytest.raises(DenoiseError):
        denoiser.filter_file(source)
    same_but_for(tmp_path, {source})


def test_a_missing_file_and_a_folder_are_refused_as_python_refuses_them(tmp_path: Path, denoiser: Denoiser) -> None:
    source = make(tmp_path / "a.wav")
    (tmp_path / "folder").mkdir()
    for kind, words, src, dst in (
        (FileNotFoundError, "there is no file", "missing.wav", "out.wav"),
        (IsADirectoryError, "is a folder", "folder", "out.wav"),
        (NotADirectoryError, "cannot read", "a.wav/b.wav", "out.wav"),
        (FileNotFoundError, "no folder", "a.wav", "nowhere/out.wav"),
        (FileNotFoundError, "no folder", "a.wav", "nowhere/"),
        (FileExistsError, "exists", "a.wav", "a.wav"),
        (FileExistsError, "exists", "a.wav", ""),
    ):
        with pytest.raises(FileError, match=words) as caught:
            denoiser.filter_file(tmp_path / src, f"{tmp_path}/{dst}")
        assert isinstance(caught.value, kind)
        assert os.strerror(caught.value.errno or 0) == os.strerror(pickle.loads(pickle.dumps(caught.value)).errno)
    with pytest.raises(FileNotFoundError, match="there is no model file"):
        Denoiser(model=tmp_path / "missing.rnnn")
    same_but_for(tmp_path, {source, tmp_path / "folder"})


def test_in_a_folder_the_result_is_called_as_its_source_is(tmp_path: Path, denoiser: Denoiser) -> None:
    source, folder = make(tmp_path / "a.wav"), tmp_path / "folder"
    folder.mkdir()
    assert denoiser.filter_file(source, folder) == folder / "a.wav"
    assert denoiser.filter_file(source, f"{folder}/", format="flac") == folder / "a.flac"
    beside = soundfile.read(denoiser.filter_file(source))[0]
    for name in ("a.wav", "a.flac"):
        np.testing.assert_array_equal(soundfile.read(folder / name)[0], beside)
    with pytest.raises(FileExistsError):
        denoiser.filter_file(source, folder)
    with pytest.raises(IsADirectoryError), source.open("rb") as file:  # an object has no name
        denoiser.filter_file(file, folder)


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="needs a user who may not write everywhere")
def test_a_target_that_may_not_be_written_is_refused(tmp_path: Path, denoiser: Denoiser) -> None:
    source = make(tmp_path / "a.wav")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    with pytest.raises(FileError, match="permission"):
        denoiser.filter_file(source, locked / "out.wav")


def test_a_target_is_replaced_only_if_asked(tmp_path: Path, denoiser: Denoiser) -> None:
    source, target = make(tmp_path / "a.wav"), tmp_path / "b.wav"
    target.write_bytes(b"precious")
    with pytest.raises(FileError, match="exists"):
        denoiser.filter_file(source, target)
    assert target.read_bytes() == b"precious"
    assert soundfile.info(denoiser.filter_file(source, target, overwrite=True)).frames == 100_000


def test_a_file_is_cleaned_in_place_only_if_asked(tmp_path: Path) -> None:
    source = make(tmp_path / "a.wav")
    before = source.read_bytes()
    with pytest.raises(FileError, match="exists"):
        Denoiser().filter_file(source, source)
    assert source.read_bytes() == before
    Denoiser().filter_file(source, source, overwrite=True)
    assert len(source.read_bytes()) == len(before)
    assert source.read_bytes() != before
    same_but_for(tmp_path, {source})


def test_a_bad_sample_in_a_file_is_named_and_leaves_the_old_file(tmp_path: Path, denoiser: Denoiser) -> None:
    samples = signal_of()
    samples[70_000] = np.nan
    source, target = make(tmp_path / "a.wav", samples, subtype="FLOAT"), tmp_path / "b.wav"
    target.write_bytes(b"precious")
    with pytest.raises(AudioError, match=r"a\.wav: .* frame 70000"):
        denoiser.filter_file(source, target, overwrite=True)
    assert target.read_bytes() == b"precious"
    same_but_for(tmp_path, {source, target})


def test_an_interruption_leaves_the_old_file(tmp_path: Path, denoiser: Denoiser) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    source, target = make(tmp_path / "a.wav"), tmp_path / "b.wav"
    target.write_bytes(b"precious")
    with pytest.raises(KeyboardInterrupt):
        denoiser.filter_file(source, target, overwrite=True, progress=stop)
    assert target.read_bytes() == b"precious"
    same_but_for(tmp_path, {source, target})


@pytest.mark.parametrize("name", ["b.mp3", "b.opus", "b.ogg", "b.flac"])
def test_audio_that_a_format_cannot_hold_is_refused(tmp_path: Path, denoiser: Denoiser, name: str) -> None:
    source = make(tmp_path / "a.wav", np.zeros((100, 12)), rate=700_000)
    with pytest.raises(FileError, match="cannot hold 12 channels of 700000 Hz"):
        denoiser.filter_file(source, tmp_path / name)
    same_but_for(tmp_path, {source})


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 256), (400_000, 1)])
def test_what_ogg_cannot_hold_is_refused_before_libsndfile_crashes(
    tmp_path: Path, denoiser: Denoiser, rate: int, channels: int
) -> None:
    source = tmp_path / "a.wav"
    soundfile.write(source, np.zeros((100, channels), np.int16), rate)
    with pytest.raises(FileError, match=rf"cannot hold {channels} channels? of {rate} Hz as OGG VORBIS"):
        denoiser.filter_file(source, tmp_path / "b.ogg")
    same_but_for(tmp_path, {source})


@pytest.mark.parametrize("name", ["b.wav", "b.flac", "b.ogg", "b.mp3"])
@pytest.mark.parametrize("limit", [0, 20_000])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, name: str, limit: int) -> None:
    """A limit on the size of files stands in for the disk: both fail the same call of write."""
    source, target = make(tmp_path / "a.wav", signal_of(300_000)), tmp_path / name
    target.write_bytes(b"precious")

    def no_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    program = (
        "import sys\nfrom denoise_wrapper import Denoiser, FileError\n"
        "try:\n    Denoiser().filter_file(sys.argv[1], sys.argv[2], overwrite=True)\n"
        "except FileError as error:\n    sys.exit(f'refused: {error}')"
    )
    command = [sys.executable, "-B", "-c", program, str(source), str(target)]
    done = subprocess.run(command, preexec_fn=no_room, capture_output=True, text=True, check=False)
    assert done.stderr.startswith(f"refused: cannot write {target}: ")
    assert target.read_bytes() == b"precious"
    same_but_for(tmp_path, {source, target})


def test_without_the_extra_for_media_it_is_named(
    tmp_path: Path, denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    source = tmp_path / "a.m4a"
    source.write_bytes(b"\0\0\0\x10ftypM4A \0\0\0\0" + b"\0\0\0\x08moov")
    with pytest.raises(FileError, match=r"a\.m4a needs .* pip install 'denoise-wrapper\[media\]'"):
        denoiser.filter_file(source)
    with pytest.raises(FileError, match=r"b\.m4a needs .* pip install 'denoise-wrapper\[media\]'"):
        denoiser.filter_file(make(tmp_path / "a.wav"), tmp_path / "b.m4a")


def test_ctrl_c_within_a_write_stops_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def __init__(self, file: Any) -> None:
            self.file, self.writes = file, 0

        def write(self, data: bytes) -> int:
            self.writes += 1
            if self.writes == 3:
                raise KeyboardInterrupt
            return int(self.file.write(data))

    class Recorder(files.Recorder):
        def __init__(self, file: Any) -> None:
            super().__init__(file)
            self._file = Interrupted(file)  # type: ignore[assignment]

    soundfile.write(tmp_path / "a.wav", np.zeros(200_000, np.int16), 48000)
    monkeypatch.setattr(files, "Recorder", Recorder)
    with pytest.raises(KeyboardInterrupt):
        Denoiser(FakeBackend("plain")).filter_file(tmp_path / "a.wav")
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(
    ("suffix", "rate", "channels"), [("mp3", 48000, 1), ("mp3", 16000, 2), ("ogg", 44100, 2), ("opus", 48000, 1)]
)
def test_a_lossy_file_keeps_its_length_and_about_its_bit_rate(
    tmp_path: Path, suffix: str, rate: int, channels: int, level: float
) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, (5 * rate, channels)).astype(np.float32)
    source = tmp_path / f"a.{suffix}"
    form, subtype = ("OGG", "OPUS") if suffix == "opus" else (suffix.upper(), None)
    soundfile.write(source, noise, rate, format=form, subtype=subtype, compression_level=level)
    cleaned = Denoiser(FakeBackend("plain", gain=1.0)).filter_file(source)
    assert soundfile.info(cleaned).frames == soundfile.info(source).frames
    assert 0.6 < cleaned.stat().st_size / source.stat().st_size < 1.7


def test_a_recording_whose_header_was_never_finished_is_not_taken_for_empty(tmp_path: Path) -> None:
    whole = tmp_path / "a.wav"
    soundfile.write(whole, np.zeros(96000, np.int16), 48000)
    data = whole.read_bytes()
    whole.write_bytes(data[:4] + bytes(4) + data[8:40] + bytes(4) + data[44:])
    Denoiser(FakeBackend("plain")).filter_file(whole, whole, overwrite=True)
    assert soundfile.info(whole).frames == 96000


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_that_is_not_utf8_is_a_name(tmp_path: Path) -> None:
    source = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wav"))
    soundfile.write(os.fsencode(source), np.zeros(4800, np.int16), 48000, format="WAV")
    assert soundfile.info(os.fsencode(Denoiser(FakeBackend("plain")).filter_file(source))).frames == 4800
