"""RNNoise_Wrapper's class: its users' calls work, its traps are gone; foreign libraries load."""

from __future__ import annotations

import io
import itertools
import pickle
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from require import require

from denoise_wrapper import AudioError, DenoiseError, Denoiser, FileError, ModelError
from denoise_wrapper.backends.foreign import ForeignBackend, is_library
from denoise_wrapper.compare.measure.metrics import si_sdr_db
from denoise_wrapper.compat import RNNoise
from denoise_wrapper.models.shipped import MODELS

pydub = require("pydub")
Array = NDArray[Any]


def segment_of(frames: int = 96000, rate: int = 48000, channels: int = 1, level: float = 0.05, seed: int = 1) -> Any:
    samples = level * np.random.default_rng(seed).standard_normal((frames, channels))
    raw = np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes()
    return pydub.AudioSegment(data=raw, sample_width=2, frame_rate=rate, channels=channels)


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_segment_keeps_rate_channels_and_length(rate: int, channels: int) -> None:
    segment = segment_of(20_001, rate, channels)
    for whole in (False, True):
        cleaned = RNNoise().filter(segment, whole=whole)
        assert isinstance(cleaned, pydub.AudioSegment)
        assert (cleaned.frame_rate, cleaned.channels, cleaned.frame_count()) == (rate, channels, 20_001)
    np.testing.assert_array_equal(cleaned.raw_data, Denoiser().filter(segment).raw_data)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_segment_comes_at_48_khz_if_asked(whole: bool, channels: int) -> None:
    segment = segment_of(16000, 16000, channels)
    cleaned = RNNoise().filter(segment, save_source_sample_rate=False, whole=whole)
    assert (cleaned.frame_rate, cleaned.frame_count(), cleaned.channels) == (48000, 48000, channels)
    raw = RNNoise().filter(segment.set_channels(1).raw_data, 16000, save_source_sample_rate=False, whole=whole)
    assert len(raw) == 2 * 48000


def test_one_clip_does_not_leak_into_the_next() -> None:
    denoiser, raw = RNNoise(), segment_of().raw_data
    first = denoiser.filter(raw, whole=True)
    denoiser.filter(segment_of(seed=2).raw_data, whole=True)
    assert denoiser.filter(raw, whole=True) == first
    assert first == Denoiser().filter(raw, 48000, channels=1, dtype="int16")


@pytest.mark.parametrize("rate", [16000, 48000])
@pytest.mark.parametrize("ms", [10, 20, 33, 250, 500, 1000, 5000])
@pytest.mark.parametrize("kind", ["bytes", "segment"])
def test_buffers_of_any_size_are_one_signal_late_by_the_latency(rate: int, ms: int, kind: str) -> None:
    denoiser, segment = RNNoise(), segment_of(2 * rate, rate)
    size, raw = 2 * (rate * ms // 1000), segment.raw_data
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    if kind == "bytes":
        made = b"".join(denoiser.filter(piece, sample_rate=rate) for piece in pieces)
    else:
        made = b"".join(denoiser.filter(segment._spawn(piece)).raw_data for piece in pieces)
    assert len(made) == len(raw)
    late, aligned = 2 * denoiser.latency(rate), RNNoise().filter(raw, rate, whole=True)
    assert made[late:] == aligned[:-late]
    denoiser.reset()
    assert denoiser.filter(pieces[0], sample_rate=rate) == made[: len(pieces[0])]


@pytest.mark.parametrize("name", [None, "rnnoise-classic"])
def test_a_noisy_clip_gains_as_many_db_in_buffers_of_any_size_as_whole(shared: Path, name: str | None) -> None:
    clean, rate = soundfile.read(shared / "dev" / "clean" / "04.flac")
    noisy, _ = soundfile.read(shared / "dev" / "noisy" / "04.flac", dtype="int16")  # at 0 dB
    segment = pydub.AudioSegment(noisy.tobytes(), sample_width=2, frame_rate=rate, channels=1)
    denoiser = RNNoise(None if name is None else MODELS / f"{name}.dnnw")
    ratios = []
    for ms in (20, 250, 500, 1000):
        for parts in (segment[::ms], [part.raw_data for part in segment[::ms]]):
            denoiser.reset()
            cleaned = [denoiser.filter(part, None if pydub_segment(part) else rate) for part in parts]
            raw = b"".join(part.raw_data if pydub_segment(part) else part for part in cleaned)
            samples = np.frombuffer(raw, np.int16)[denoiser.latency(rate) :] / 32768
            ratios.append(si_sdr_db(samples, clean[: len(samples)]))
    whole = np.frombuffer(denoiser.filter(segment, whole=True).raw_data, np.int16) / 32768
    before = si_sdr_db(noisy / 32768, clean)
    assert si_sdr_db(whole, clean) > before + 6
    np.testing.assert_allclose(ratios, si_sdr_db(whole, clean), atol=0.05)


def pydub_segment(part: Any) -> bool:
    return isinstance(part, pydub.AudioSegment)


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
def test_buffers_come_at_48_khz_if_asked_as_one_signal(rate: int, library: Callable[..., Path]) -> None:
    denoiser, raw = RNNoise(library()), segment_of(rate, rate).raw_data
    wanted = RNNoise(library()).filter(raw, rate, save_source_sample_rate=False)
    bounds = np.cumsum([0, 1, 479, 1200, 10, 7000, rate])
    pieces = [raw[2 * at : 2 * end] for at, end in itertools.pairwise(bounds)]
    made = b"".join(denoiser.filter(piece, rate, save_source_sample_rate=False) for piece in pieces)
    assert made == wanted
    assert len(made) == 2 * 48000
    late = denoiser.latency(rate, save_source_sample_rate=False)
    aligned = np.frombuffer(denoiser.filter(raw, rate, save_source_sample_rate=False, whole=True), np.int16)
    np.testing.assert_array_equal(np.frombuffer(made, np.int16)[late:-400], aligned[: -late - 400])  # but for its end


def test_a_whole_clip_between_buffers_leaves_their_signal_alone() -> None:
    denoiser, raw = RNNoise(), segment_of().raw_data
    wanted = RNNoise().filter(raw)
    made = denoiser.filter(raw[:960])
    denoiser.filter(raw, whole=True)
    assert made + denoiser.filter(raw[960:]) == wanted


def test_a_buffer_of_another_kind_begins_a_new_signal() -> None:
    denoiser, raw = RNNoise(), segment_of(seed=3).raw_data
    denoiser.filter(segment_of(16000, 16000))
    assert denoiser.filter(raw) == RNNoise().filter(raw)


def test_frames_without_speech_are_left_out(library: Callable[..., Path]) -> None:
    denoiser = RNNoise(library())
    samples = np.full(96000, 100, np.int16)
    samples[48000:60000] = 5000
    raw = samples.tobytes()
    kept = np.frombuffer(denoiser.filter(raw, voice_prob_threshold=0.5, whole=True), np.int16)
    assert len(kept) == 12000 + 480  # with the frame before, which came out of the library when the speech came in
    live = b"".join(denoiser.filter(raw[at : at + 960], voice_prob_threshold=0.5) for at in range(0, len(raw), 960))
    assert live == kept.tobytes()
    assert denoiser.filter(raw[:96000], voice_prob_threshold=0.5) == b""


def test_frames_are_960_bytes() -> None:
    denoiser = RNNoise()
    raw = segment_of(4800).raw_data
    for at in range(0, len(raw), 960):
        voice, frame = denoiser.filter_frame(raw[at : at + 960])
        assert 0 <= voice <= 1
        assert isinstance(frame, bytes)
        assert len(frame) == 960
    with pytest.raises(AudioError, match="960 bytes"):
        denoiser.filter_frame(raw[:480])


def test_full_scale_does_not_wrap() -> None:
    samples = (32767 * np.sign(np.sin(np.arange(96000) / 40))).astype(np.int16)
    cleaned = np.frombuffer(RNNoise().filter(samples.tobytes(), 48000, whole=True), np.int16)
    assert np.abs(np.diff(cleaned.astype(int))).max() <= 65535
    floats = Denoiser().filter(samples / np.float32(32768), 48000)
    assert np.abs(cleaned - 32768 * np.clip(floats, -1, 1)).max() <= 1


@pytest.mark.parametrize("audio", [None, [1, 2], np.zeros(480, np.int16), "a.wav"])
def test_what_is_no_segment_and_no_bytes_is_refused(audio: Any) -> None:
    with pytest.raises(AudioError, match="AudioSegment or bytes"):
        RNNoise().filter(audio)


@pytest.mark.parametrize("size", [1, 959, 100_001])
def test_odd_bytes_are_refused(size: int) -> None:
    with pytest.raises(AudioError, match=r"odd|whole number"):
        RNNoise().filter(bytes(size))


def test_empty_audio_stays_empty() -> None:
    assert RNNoise().filter(b"") == b""
    assert RNNoise().filter(segment_of(0)).frame_count() == 0


# ---- files ----


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "PCM_U8"])
def test_read_and_write_wav(tmp_path: Path, subtype: str) -> None:
    samples = 0.1 * np.random.default_rng(3).standard_normal((10_000, 2))
    soundfile.write(tmp_path / "a.wav", samples, 44100, subtype=subtype)
    denoiser = RNNoise()
    segment = denoiser.read_wav(tmp_path / "a.wav")
    assert (segment.frame_rate, segment.channels, segment.sample_width) == (44100, 1, 2)
    assert segment.frame_count() == 10_000
    denoiser.write_wav(tmp_path / "b.wav", segment)
    np.testing.assert_allclose(soundfile.read(tmp_path / "b.wav")[0], samples.mean(axis=1), atol=0.01)
    assert denoiser.read_wav(str(tmp_path / "a.wav"), 48000).frame_count() == pytest.approx(10_000 * 480 / 441, abs=1)


def test_write_wav_of_bytes_replaces_what_was_there(tmp_path: Path) -> None:
    for seed in (1, 2):
        RNNoise().write_wav(tmp_path / "a.wav", segment_of(seed=seed).raw_data, 16000)
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert rate == 16000
    assert samples.tobytes() == segment_of(seed=2).raw_data
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_files_may_be_open_ones(tmp_path: Path) -> None:
    denoiser, segment, file = RNNoise(), segment_of(4800), io.BytesIO()
    denoiser.write_wav(file, segment)
    assert file.tell() == 0
    assert denoiser.read_wav(file).raw_data == segment.raw_data
    file = io.BytesIO()
    denoiser.write_wav(file, segment.raw_data, 16000)
    assert denoiser.read_wav(file, 48000).frame_count() == 3 * 4800
    with pytest.raises(FileError):
        denoiser.read_wav(io.BytesIO(b"no audio"))


def test_a_segment_is_resampled_to_the_rate_that_is_asked_for(tmp_path: Path) -> None:
    segment = segment_of(48000, 48000, 2)
    RNNoise().write_wav(tmp_path / "a.wav", segment, sample_rate=16000)
    samples, rate = soundfile.read(tmp_path / "a.wav")
    assert (rate, samples.shape) == (16000, (16000, 2))


def test_stereo_is_read_as_mono_so_that_its_length_stays(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(3).standard_normal((9600, 2)), 48000)
    denoiser = RNNoise()
    audio = denoiser.read_wav(tmp_path / "a.wav")
    raw = b"".join(denoiser.filter(part.raw_data, sample_rate=48000) for part in audio[::20])
    assert len(raw) == 2 * 9600


def test_a_file_that_cannot_be_read_or_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no file"):
        RNNoise().read_wav(tmp_path / "missing.wav")
    with pytest.raises(FileError, match="no folder"):
        RNNoise().write_wav(tmp_path / "nowhere" / "a.wav", b"")


# ---- models and libraries ----


def test_a_model_file_is_used(shared: Path) -> None:
    model = shared / "reference" / "rnnoise" / "sh.rnnn"
    raw = segment_of().raw_data
    wanted = Denoiser("rnnoise", model=model).filter(raw, 48000, channels=1, dtype="int16")
    denoiser = RNNoise(f_name_lib=str(model))
    assert denoiser.filter(raw, whole=True) == wanted
    denoiser.reset()
    assert denoiser.filter(raw, whole=True) == wanted
    assert RNNoise().filter(raw, whole=True) != wanted
    other = RNNoise()
    other.reset(new_f_name_lib=str(model))
    assert other.filter(raw, whole=True) == wanted


@pytest.mark.parametrize("name", ["missing.rnnn", "librnnoise.so.0.4.1", "so", "somewhere/librnnoise_mine.so.0.4.1"])
def test_a_name_that_means_nothing_is_refused_with_what_to_give(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match=r"there is no .*librnnoise_default.*model built in"):
        RNNoise(name)


THEIR_NAMES = {
    "librnnoise_default": "librnnoise_default",
    "librnnoise_5h_ru_500k": "librnnoise_5h_ru_500k",
    "librnnoise_5h_b_500k.so": "librnnoise_5h_b_500k",
    "librnnoise_default.so.0.4.1": "librnnoise_default",
    "5h_ru": "librnnoise_5h_ru_500k",
    "train_logs/a/librnnoise_5h_ru_500k.so.0.4.1": "librnnoise_5h_ru_500k",
}


@pytest.mark.parametrize(("name", "meant"), THEIR_NAMES.items())
def test_their_names_give_the_classic_network_and_say_so_where_the_libraries_are_absent(
    name: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.warns(
        UserWarning, match=rf"{meant} is not here, so rnnoise-classic .*own training.*{meant}\.so"
    ) as said:
        denoiser = RNNoise(name)
    assert said[0].filename == __file__
    raw = segment_of().raw_data
    wanted = Denoiser("rnnoise-classic").filter(raw, 48000, channels=1, dtype="int16")
    assert denoiser.filter(raw, whole=True) == wanted


@pytest.mark.parametrize(("name", "meant"), THEIR_NAMES.items())
def test_their_libraries_are_found_below_the_current_folder(
    name: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: Callable[..., Path]
) -> None:
    folder = tmp_path / "project" / "libs"
    folder.mkdir(parents=True)
    for each in THEIR_NAMES.values():
        shutil.copy(library(), folder / f"{each}.so.0.4.1")
    (folder / f"a_{meant}.txt").write_text("no library")
    monkeypatch.chdir(tmp_path)
    assert RNNoise(name)._denoiser.backend_name == f"{meant}.so.0.4.1"


def test_an_installed_rnnoise_wrapper_is_searched_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: Callable[..., Path]
) -> None:
    libs = tmp_path / "site" / "rnnoise_wrapper" / "libs"
    libs.mkdir(parents=True)
    (libs.parent / "__init__.py").write_text("raise RuntimeError('not to be imported')")
    shutil.copy(library(2), libs / "librnnoise_default.so.0.4.1")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.chdir(tmp_path)
    shutil.copy(library(1), tmp_path / "librnnoise_default.so.0.4.1_old.so")
    assert RNNoise("librnnoise_default")._denoiser.backend.delay == 960


def test_a_model_is_found_by_a_part_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: Path) -> None:
    (tmp_path / "models").mkdir()
    shutil.copy(shared / "reference" / "rnnoise" / "sh.rnnn", tmp_path / "models" / "room_7.rnnn")
    monkeypatch.chdir(tmp_path)
    raw = segment_of().raw_data
    wanted = Denoiser("rnnoise", model=shared / "reference" / "rnnoise" / "sh.rnnn")
    assert RNNoise("room_7").filter(raw, whole=True) == wanted.filter(raw, 48000, channels=1, dtype="int16")


@pytest.mark.parametrize("delay", [1, 2])
@pytest.mark.parametrize("options", [(), ("-DOLD",)])
def test_a_foreign_library_is_used_and_its_delay_measured(
    library: Callable[..., Path], delay: int, options: tuple[str, ...]
) -> None:
    path = library(delay, *options)
    backend = ForeignBackend(path)
    assert (backend.hop, backend.delay, backend.name) == (480, 480 * delay, path.name)
    samples = np.rint(1000 * np.random.default_rng(5).uniform(-1, 1, (9999, 2))).astype(np.int16)
    cleaned = Denoiser(backend).filter(samples.astype(np.float32) / 32768, 48000)
    np.testing.assert_array_equal(cleaned * 65536, samples)
    np.testing.assert_array_equal(Denoiser(backend, atten_lim_db=0).filter(samples, 48000), samples)
    assert RNNoise(path).filter(samples[:, 0].tobytes()[:9600])


def test_a_foreign_stream_resets_but_says_that_it_cannot_be_copied(library: Callable[..., Path]) -> None:
    stream = Denoiser(ForeignBackend(library())).stream()
    signal = np.random.default_rng(5).uniform(-1, 1, 5000).astype(np.float32)
    first = stream.process(signal)
    with pytest.raises(DenoiseError, match="cannot be copied or pickled"):
        pickle.dumps(stream)
    stream.reset()
    np.testing.assert_array_equal(stream.process(signal), first)


def test_what_is_no_librnnoise_is_refused(tmp_path: Path, needs: Callable[[str], str]) -> None:
    broken = tmp_path / "librnnoise.so"
    broken.write_bytes(b"\x7fELF and no more")
    with pytest.raises(ModelError, match="no shared library"):
        RNNoise(broken)
    (tmp_path / "other.c").write_text("int other(void) { return 1; }")
    other = tmp_path / "other.dll"
    subprocess.run([needs("gcc"), "-shared", "-fPIC", str(tmp_path / "other.c"), "-o", str(other)], check=True)
    with pytest.raises(ModelError, match="no function rnnoise_create"):
        RNNoise(other)


def test_a_library_is_a_backend_by_its_own_name(library: Callable[..., Path]) -> None:
    raw = segment_of(9600).raw_data
    denoiser = Denoiser("librnnoise", model=library())
    assert denoiser.filter(raw, 48000, channels=1, dtype="int16") == RNNoise(library()).filter(raw, whole=True)
    with pytest.raises(ModelError, match=r"shared library; its backend is librnnoise \(-b librnnoise"):
        Denoiser(model=library())
    with pytest.raises(ModelError, match="comes with no model; name a library"):
        Denoiser("librnnoise")


def test_a_library_is_told_by_its_bytes_not_its_name(tmp_path: Path) -> None:
    for name, content, wanted in (("a.rnnn", b"\x7fELF", True), ("b.so", b"rnnoise-nu model", False)):
        (tmp_path / name).write_bytes(content)
        assert is_library(tmp_path / name) is wanted
    assert is_library(tmp_path / "missing.so.1")
    assert not is_library(tmp_path / "missing.rnnn")
