"""The face of the library: what dir() lists, what type checkers are told, what repr() shows."""

from __future__ import annotations

from typing import Any, assert_type, get_args, get_type_hints

import numpy as np
import pytest
from numpy.typing import NDArray

import denoise_wrapper
from denoise_wrapper import Denoiser, FileResult, Stream, denoise
from denoise_wrapper.backends import BackendName, known_names
from denoise_wrapper.presets import PRESET_NAMES
from denoise_wrapper.stream.settings import Settings


def test_dir_of_the_package_lists_what_is_meant_to_be_used() -> None:
    assert {name for name in dir(denoise_wrapper) if not name.startswith("__")} == {
        name for name in denoise_wrapper.__all__ if not name.startswith("__")
    }
    for name in dir(denoise_wrapper):
        getattr(denoise_wrapper, name)


@pytest.mark.parametrize(
    ("cls", "names"),
    [
        (
            Denoiser,
            "astream backend backend_name filter filter_file filter_files filter_frame latency reset settings "
            "speech_probability stream",
        ),
        (
            Stream,
            "backend channels flush frame_bytes latency latency_seconds limit process reset sample_rate settings "
            "switch vad",
        ),
    ],
)
def test_classes_list_what_is_meant_to_be_used(cls: type, names: str) -> None:
    shown = [name for name in dir(cls) if not name.startswith("_")]
    assert shown == names.split()
    for name in shown:
        assert getattr(cls, name).__doc__, name


def test_type_checkers_know_what_comes_back() -> None:
    """mypy reads the assertions; here they run."""
    samples: NDArray[np.int16] = np.zeros(480, np.int16)
    floats: NDArray[np.float32] = np.zeros(480, np.float32)
    denoiser, stream = Denoiser(), Denoiser().stream(dtype="int16")
    assert_type(denoiser.filter(samples, 48000), NDArray[np.int16])
    assert_type(denoiser.filter(floats, 48000), NDArray[np.float32])
    assert_type(denoiser.filter(bytes(960), 48000, channels=1, dtype="int16"), bytes)
    assert_type(denoiser.filter(bytearray(960), 48000, channels=1, dtype="int16"), bytearray)
    assert_type(denoiser.filter(memoryview(bytes(960)), 48000, channels=1, dtype="int16"), bytes)
    assert_type(denoise(samples, 48000), NDArray[np.int16])
    assert_type(stream.process(samples), NDArray[np.int16])
    assert_type(stream.process(bytes(960)), bytes)
    assert_type(stream.process(bytearray(960)), bytearray)
    assert_type(denoiser.filter_files([]), list[FileResult])


def test_names_are_literals_so_that_editors_complete_them() -> None:
    hints = get_type_hints(Settings)
    assert get_args(hints["vad_gate"]) == ("mute", "drop")
    assert get_args(hints["non_finite"]) == ("raise", "zero")
    assert get_args(hints["channels"]) == ("separate", "linked")
    assert get_args(BackendName) == known_names()
    assert "preset: PresetName | None" in str(Denoiser.__init__.__annotations__).replace("'", "")
    assert PRESET_NAMES


def test_repr_shows_the_settings_that_are_not_as_usual_and_a_model_of_ones_own() -> None:
    usual: dict[str, Any] = {"mix": 0.5, "vad_threshold": 0.3, "channels": "linked"}
    assert repr(Denoiser()) == "Denoiser('rnnoise')"
    assert repr(Denoiser(**usual)) == "Denoiser('rnnoise', mix=0.5, vad_threshold=0.3, channels='linked')"
    stream = repr(Denoiser("rnnoise-classic", **usual).stream(16000, 2))
    assert stream.startswith("<Stream rnnoise-classic, 16000 Hz, 2 channels, latency ")
    assert stream.endswith("mix=0.5, vad_threshold=0.3, channels='linked'>")
