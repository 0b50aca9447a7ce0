"""RNNoise_Wrapper's class: its users' calls work, its traps are gone; foreign libraries load."""

from __future__ import annotations

import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from require import require

from denoise_wrapper import AudioError, DenoiseError, Denoiser, FileError, ModelError, Stream
from denoise_wrapper.backends.foreign import ForeignBackend, is_library
from denoise_wrapper.compat import RNNoise

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
    cleaned = RNNoise().filter(segment)
    assert isinstance(cleaned, pydub.AudioSegment)
    assert (cleaned.frame_rate, cleaned.channels, cleaned.frame_count()) == (rate, channels, 20_001)
    np.testing.assert_array_equal(cleaned.raw_data, Denoiser().filter(segment).raw_data)


def test_a_segment_comes_at_48_khz_if_asked() -> None:
    cleaned = RNNoise().filter(segment_of(16000, 16000), save_source_sample_rate=False)
    assert (cleaned.frame_rate, cleaned.frame_count()) == (48000, 48000)
    raw = RNNoise().filter(segment_of(16000, 16000).raw_data, 16000, save_source_sample_rate=False)
    assert len(raw) == 2 * 48000


def test_one_clip_does_not_leak_into_the_next() -> None:
    denoiser, raw = RNNoise(), segment_of().raw_data
    first = denoiser.filter(raw)
    denoiser.filter(segment_of(seed=2).raw_data)
    assert denoiser.filter(raw) == first
    assert first == Denoiser().filter(raw, 48000, channels=1, dtype="int16")


@pytest.mark.parametrize("rate", [16000, 48000])
@pytest.mark.parametrize("ms", [10, 20, 33])
def test_short_pieces_of_bytes_are_one_live_signal(rate: int, ms: int) -> None:
    denoiser, segment = RNNoise(), segment_of(2 * rate, rate)
    size = 2 * (rate * ms // 1000)
    raw = segment.raw_data
    pieces = [denoiser.filter(raw[at : at + size], sample_rate=rate) for at in range(0, len(raw), size)]
    made = np.frombuffer(b"".join(pieces), np.int16)
    np.testing.assert_array_equal(made, Stream(Denoiser().backend, rate).process(np.frombuffer(raw, np.int16)))
    denoiser.reset()
    assert denoiser.filter(raw[:size], sample_rate=rate) == pieces[0]


def test_frames_without_speech_are_left_out(library: Callable[..., Path]) -> None:
    denoiser = RNNoise(library())
    samples = np.full(96000, 100, np.int16)
    samples[48000:60000] = 5000
    raw = samples.tobytes()
    kept = np.frombuffer(denoiser.filter(raw, voice_prob_threshold=0.5), np.int16)
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
    cleaned = np.frombuffer(RNNoise().filter(samples.tobytes(), 48000), np.int16)
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
    assert (segment.frame_rate, segment.channels, segment.sample_width) == (44100, 2, 2)
    assert segment.frame_count() == 10_000
    denoiser.write_wav(tmp_path / "b.wav", segment)
    np.testing.assert_allclose(soundfile.read(tmp_path / "b.wav")[0], samples, atol=0.01)
    assert denoiser.read_wav(str(tmp_path / "a.wav"), 48000).frame_count() == pytest.approx(10_000 * 480 / 441, abs=1)


def test_write_wav_of_bytes_replaces_what_was_there(tmp_path: Path) -> None:
    for seed in (1, 2):
        RNNoise().write_wav(tmp_path / "a.wav", segment_of(seed=seed).raw_data, 16000)
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert rate == 16000
    assert samples.tobytes() == segment_of(seed=2).raw_data
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


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
    assert denoiser.filter(raw) == wanted
    denoiser.reset()
    assert denoiser.filter(raw) == wanted
    assert RNNoise().filter(raw) != wanted
    other = RNNoise()
    other.reset(new_f_name_lib=str(model))
    assert other.filter(raw) == wanted


@pytest.mark.parametrize("name", ["5h_b_500k", "missing.rnnn", "librnnoise.so.0.4.1"])
def test_a_model_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(FileError, match="there is no"):
        RNNoise(name)


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


def test_a_library_is_told_by_its_bytes_not_its_name(tmp_path: Path) -> None:
    for name, content, wanted in (("a.rnnn", b"\x7fELF", True), ("b.so", b"rnnoise-nu model", False)):
        (tmp_path / name).write_bytes(content)
        assert is_library(tmp_path / name) is wanted
    assert is_library(tmp_path / "missing.so.1")
    assert not is_library(tmp_path / "missing.rnnn")
