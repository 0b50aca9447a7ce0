"""Arguments of every kind: taken where they mean something, refused by an error that Python people catch."""

from __future__ import annotations

import copy
import errno
import inspect
import io
import pickle
import re
import warnings
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeBackend
from numpy.typing import NDArray

from denoise_wrapper import AudioError, ConfigError, DenoiseError, Denoiser, FileError, ModelError, Stream, process_many
from denoise_wrapper.arguments import real, shown, whole
from denoise_wrapper.backends.dtln import DTLNBackend
from denoise_wrapper.backends.rnnoise import RNNoiseBackend
from denoise_wrapper.errors import DataError, file_error
from denoise_wrapper.machine import check_jobs
from denoise_wrapper.stream.settings import Settings

pytestmark = pytest.mark.fault
Array = NDArray[Any]
PLAIN = FakeBackend("plain", gain=1.0)
RATE = 16000


def tone(frames: int, level: float = 0.1) -> Array:
    return (level * np.sin(np.arange(frames) / 7)).astype(np.float32)


class Mute:
    """An object that cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no looks")


ODD: tuple[Any, ...] = (
    10**400, -(10**400), 10**5000, float("nan"), float("-inf"), -1, 1e300, Fraction(10**400, 3), Decimal("NaN"), 1j,
    True, np.bool_(True), np.array([0.1, 0.2]), np.array(["mute", "drop"]), np.ma.masked, "\udcff", "no\0", b"\xff", "",
    [], {}, (1, 2), object(), Mute(), type,
)  # fmt: skip
# Every argument that is a number or one of a few words, and a call that takes it.
TAKERS: dict[str, Any] = {
    **{
        name: lambda value, name=name: Denoiser(PLAIN, **{"vad_threshold": 0.5, name: value})
        for name in ("atten_lim_db", "mix", "vad_threshold", "vad_gate", "vad_hold", "non_finite")
    },
    "backend": lambda value: Denoiser(value),
    "preset": lambda value: Denoiser(PLAIN, preset=value),
    "sample_rate": lambda value: Denoiser(PLAIN).filter(tone(100), value),
    "channels": lambda value: Denoiser(PLAIN).filter(bytes(100), RATE, channels=value, dtype="int16"),
    "dtype": lambda value: Denoiser(PLAIN).filter(bytes(100), RATE, channels=1, dtype=value),
    "rate of a stream": lambda value: Denoiser(PLAIN).stream(value),
    "channels of a stream": lambda value: Denoiser(PLAIN).stream(RATE, value),
    "latency": lambda value: Denoiser(PLAIN).stream(RATE, latency=value),
    "step": lambda value: Stream(PLAIN, RATE, step=value),
    "switch": lambda value: Stream(PLAIN, RATE).switch(value),
    "latency's rate": lambda value: Denoiser(PLAIN).latency(value),
    "jobs": lambda value: Denoiser(PLAIN).filter_files([], jobs=value),
    "isa": lambda value: RNNoiseBackend(isa=value),
    "threads": lambda value: DTLNBackend(threads=value),
    "name": lambda value: DTLNBackend(name=value),
    "model": lambda value: Denoiser("rnnoise", model=value),
    "pair": lambda value: Denoiser("dtln-16k", model=value),
    "audio": lambda value: Denoiser(PLAIN).filter(value, RATE),
    "chunk": lambda value: Stream(PLAIN).process(value),
    "chunks": lambda value: process_many([Stream(PLAIN)], [value]),
    "frame": lambda value: Denoiser(PLAIN).filter_frame(value),
}


@pytest.mark.parametrize("name", TAKERS)
def test_any_odd_argument_is_taken_or_refused_by_an_error_of_ours_in_a_line(name: str) -> None:
    errors = []
    for value in ODD:
        try:
            TAKERS[name](value)
        except DenoiseError as error:
            errors.append(error)
    assert len(errors) > len(ODD) // 2
    assert all(isinstance(error, ValueError | TypeError | OSError) for error in errors)
    assert all(len(str(error)) < 500 for error in errors)


def test_an_instruction_set_in_the_environment_that_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for asked in ("\udcff", "8086", "avx2\n"):
        monkeypatch.setenv("DENOISE_WRAPPER_ISA", asked)
        with pytest.raises(ConfigError, match="this build knows"):
            RNNoiseBackend()


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.uint16])
def test_whole_numbers_of_numpy_are_whole_numbers(kind: Any, tmp_path: Path) -> None:
    two, latency = kind(2), np.arange(5000, 5001)[0]
    assert check_jobs(two) == 2
    assert Denoiser(PLAIN).filter_files([], jobs=two) == []
    assert Stream(PLAIN, channels=two, step=two).channels == 2
    assert Stream(PLAIN, latency=latency).latency == 5000
    assert DTLNBackend(threads=two).options == {"threads": 2}


@pytest.mark.parametrize("number", [np.float32(0.5), np.float64(0.5), Fraction(1, 2), 1, np.int64(1)])
def test_real_numbers_of_every_type_are_real_numbers(number: Any) -> None:
    assert Settings(mix=number).mix == number
    assert Denoiser(PLAIN, vad_threshold=number, vad_hold=number).filter(tone(99), RATE).shape == (99,)


def test_helpers_know_numbers_and_show_anything() -> None:
    assert [whole(value) for value in (3, np.uint8(3), True, np.bool_(True), 3.0)] == [3, 3, None, None, None]
    assert [real(value) for value in (3, Fraction(1, 4), True, 10**400, "3")] == [3.0, 0.25, None, None, None]
    assert shown("a" * 1000) == f"'{'a' * 75} ..."
    assert (shown(Mute()), shown(10**5000)) == ("this Mute", "this int")


# ---- errors are those of Python ----


def test_errors_are_also_those_that_python_people_catch(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="there is no file"):
        Denoiser(PLAIN).filter_file(tmp_path / "absent.wav")
    with pytest.raises(ValueError, match="mix is 0"):
        Denoiser(PLAIN, mix=2.0)
    with pytest.raises(TypeError, match="mix is 0"):
        Denoiser(PLAIN, mix="all")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="NumPy array"):
        Denoiser(PLAIN).filter(None)
    with pytest.raises(ValueError, match="no backend"):
        Denoiser("nothing")
    kinds: list[type[DenoiseError]] = [AudioError, ConfigError, FileError, ModelError, DataError]
    for kind in [*kinds, *FileError.__subclasses__()]:
        error = kind("it came, and is wanted")
        assert isinstance(error, DenoiseError)
        assert isinstance(error, OSError | ValueError)
        twin = pickle.loads(pickle.dumps(error))
        assert (type(twin), str(twin)) == (kind, "it came, and is wanted")


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EEXIST, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR])
def test_a_file_error_is_the_one_that_python_has_for_its_cause(number: int) -> None:
    cause = OSError(number, "theirs")
    error = file_error("ours", cause)
    assert isinstance(error, FileError)
    assert isinstance(error, type(cause))
    assert type(file_error("ours", OSError(errno.EIO, "theirs"))) is type(file_error("ours", ValueError())) is FileError


@pytest.mark.parametrize(
    ("second", "cure"),
    [
        (20, "write Denoiser('rnnoise', atten_lim_db=20)"), (0.5, "atten_lim_db=0.5"), (None, "atten_lim_db=20"),
        ("voice", "preset='voice'"), ("mine.rnnn", "model='mine.rnnn'"), (16000, r".filter(audio, 16000)"),
    ],
)  # fmt: skip
def test_settings_that_go_without_a_name_are_refused_by_the_line_to_write(second: Any, cure: str) -> None:
    with pytest.raises(TypeError, match=re.escape(cure)) as caught:
        Denoiser("rnnoise", second)  # type: ignore[misc]
    assert "positional" not in str(caught.value)
    assert isinstance(caught.value, ConfigError)
    Denoiser("rnnoise", atten_lim_db=20)
    assert list(inspect.signature(Denoiser).parameters)[:2] == ["backend", "model"]


def test_a_file_error_has_the_number_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileError) as caught:
        Denoiser(PLAIN).filter_file(tmp_path / "absent.wav")
    assert caught.value.errno == 2
    (tmp_path / "empty.wav").touch()
    with pytest.raises(FileError, match="is empty") as caught:
        Denoiser(PLAIN).filter_file(tmp_path / "empty.wav")
    assert caught.value.errno is None


@pytest.mark.parametrize("name", ["", ".", "/", "no\0name.wav"])
def test_a_name_that_is_no_file_s_is_refused(name: str) -> None:
    with pytest.raises(FileError):
        Denoiser(PLAIN).filter_file(name)


# ---- rate and scale ----


def test_an_array_without_a_rate_is_taken_at_the_backends_with_a_warning_at_the_callers_line() -> None:
    denoiser, audio = Denoiser(PLAIN), tone(4800)
    with pytest.warns(UserWarning, match="sample_rate=48000") as caught:
        cleaned = denoiser.filter(audio)
    assert [warning.filename for warning in caught] == [__file__]
    np.testing.assert_array_equal(cleaned, denoiser.filter(audio, 48000))
    with pytest.warns(UserWarning, match="sample_rate=48000"):
        denoiser.speech_probability(audio)


def test_a_rate_that_is_known_gives_no_warning() -> None:
    pydub = pytest.importorskip("pydub")
    data = (tone(4800) * 32767).astype(np.int16).tobytes()
    segment = pydub.AudioSegment(data=data, sample_width=2, frame_rate=RATE, channels=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cleaned = Denoiser(PLAIN, atten_lim_db=0).filter(segment)
        Denoiser(PLAIN).filter(tone(4800), RATE)
        Denoiser(PLAIN).filter(tone(4800), 48000)
    assert (cleaned.frame_rate, cleaned.frame_count()) == (RATE, 4800)


def calls_with(samples: Array, tmp_path: Path) -> dict[str, Any]:
    """Every way in which samples come in."""
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "a.wav", samples, 48000, "FLOAT")
    wide = samples[:, None]
    return {
        "filter": lambda: Denoiser(PLAIN).filter(samples, 48000),
        "channels": lambda: Denoiser(PLAIN).filter(np.concatenate([wide * 0, wide], axis=1), 48000),
        "probability": lambda: Denoiser(PLAIN).speech_probability(samples, 48000),
        "stream": lambda: Stream(PLAIN).process(samples),
        "late": lambda: [stream := Stream(PLAIN), stream.process(samples[:100] * 0), stream.process(samples)],
        "many": lambda: process_many([Stream(PLAIN), Stream(PLAIN)], [samples * 0, samples]),
        "frame": lambda: Denoiser(PLAIN).filter_frame(samples[480:960]),
        "file": lambda: Denoiser(PLAIN).filter_file(tmp_path / "a.wav", tmp_path / "b.wav", overwrite=True),
    }


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_int16_numbers_in_a_float_array_are_cleaned_with_one_warning(tmp_path: Path, kind: Any) -> None:
    samples = np.rint(tone(48000, 3000)).astype(kind)
    for name, call in calls_with(samples, tmp_path).items():
        with pytest.warns(UserWarning, match="int16 numbers in a float array") as caught:
            call()
        assert len(caught) == 1, name
        if name == "file":
            assert str(tmp_path / "a.wav") in str(caught[0].message)


@pytest.mark.parametrize("level", [0.0, 1e-4, 0.9, 4.0])
def test_honest_floats_give_no_warning_though_they_pass_full_scale(tmp_path: Path, level: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for call in calls_with(tone(48000, level), tmp_path).values():
            call()


@pytest.mark.parametrize(
    ("audio", "cure"),
    [
        ((RATE, tone(9)), r"a tuple \(rate, data\); use filter\(data, sample_rate=rate\)"),
        ((tone(9), RATE), r"a tuple \(data, rate\); use filter\(data, sample_rate=rate\)"),
        ("a.wav", "str 'a.wav', a path; filter_file"),
        (Path("a.wav"), "filter_file cleans files"),
        (io.BytesIO(b"RIFF"), "a file object, BytesIO; filter_file takes its path"),
        ([0.1, 0.2], r"a list; use np.asarray\(audio, dtype=np.float32\)"),
        (np.ma.masked_array(tone(9), tone(9) > 0), r"use audio.filled\(0\)"),
    ],
)
def test_what_is_no_array_is_refused_with_its_cure(audio: Any, cure: str) -> None:
    for call in (Denoiser(PLAIN).filter, Denoiser(PLAIN).speech_probability, Stream(PLAIN).process):
        with pytest.raises(AudioError, match=cure):
            call(audio)


# ---- a gate without a threshold; frames; copies ----


def test_a_gate_that_drops_needs_a_threshold() -> None:
    with pytest.raises(ConfigError, match="give vad_threshold"):
        Denoiser(PLAIN, vad_gate="drop")


def test_a_frame_may_be_any_memoryview() -> None:
    samples: Any = np.arange(960, dtype=np.int16)
    wanted = Denoiser(PLAIN).filter_frame(samples[::2].tobytes())
    for view in (memoryview(samples)[::2], memoryview(samples[::2].tobytes()), memoryview(samples[::2].copy())):
        assert Denoiser(PLAIN).filter_frame(view) == wanted
    with pytest.raises(AudioError, match="960 bytes"):
        Denoiser(PLAIN).filter_frame(memoryview(samples)[::3])


def test_a_copied_denoiser_has_frames_of_its_own() -> None:
    first, fresh = Denoiser(PLAIN), Denoiser(PLAIN)
    first.filter_frame(tone(480))
    twin = copy.copy(first)
    twin.filter_frame(tone(480, 0.3))
    fresh.filter_frame(tone(480))
    np.testing.assert_array_equal(first.filter_frame(tone(480, 0.2))[1], fresh.filter_frame(tone(480, 0.2))[1])


def test_a_long_chunk_takes_no_more_than_its_result_and_a_copy() -> None:
    import tracemalloc

    for chunk in (tone(1_500_000), np.zeros(3_000_000, np.int16), np.zeros(1_000_000)):
        stream = Stream(PLAIN)
        stream.process(chunk[:100])
        tracemalloc.start()
        try:
            stream.process(chunk)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 2.5 * chunk.nbytes
