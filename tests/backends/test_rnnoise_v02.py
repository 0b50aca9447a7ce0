"""The v0.2 network: it answers as the original library and as the formulas do, and is a backend like any other."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
from blobs import random_blob, record
from numpy.typing import NDArray
from recorded import CLIPS, ISAS, check_against_recording, make_backend
from speech import speechlike

from denoise_wrapper import Denoiser, Stream
from denoise_wrapper.backends.convert import V02Model, read_any_model, read_model, write_model
from denoise_wrapper.backends.native import FRAME
from denoise_wrapper.backends.rnnoise import RNNoiseBackend
from denoise_wrapper.cli import main as cli
from denoise_wrapper.errors import ModelError

Float32 = NDArray[np.float32]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("clip", CLIPS)
def test_output_is_that_of_the_original_library(shared: Path, clip: str, isa: str) -> None:
    folder = shared / "reference/rnnoise"
    check_against_recording(make_backend(folder / "random_v02.bin", isa), folder, clip, "random_v02", 45)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("least", [-127, -128])
def test_whole_integer_maps_answer_as_their_blocks_do(least: int, isa: str) -> None:
    blob, audio = bytearray(random_blob(16, 24, quantised=True)), speechlike(50)[None]
    blob[blob.index(b"conv2_weights_int8") + 44] = least % 256  # the first weight
    blob[blob.index(b"gru2_recurrent_weights_int8") + 44 + 99] = least % 256
    parts = [bytes(blob)]
    for name, inputs, outputs in (("conv2", 48, 24), ("gru2_recurrent", 24, 72)):
        places = np.tile([inputs // 4, *range(0, inputs, 4)], outputs // 8)
        parts.append(record(f"{name}_weights_idx", places.astype("<i4")))
    whole, blocks = (make_backend(data, isa).new_state(1).process(audio) for data in (parts[0], b"".join(parts)))
    np.testing.assert_array_equal(whole[0], blocks[0])
    np.testing.assert_array_equal(whole[1], blocks[1])


def test_float_weights_are_preferred() -> None:
    blob, audio = random_blob(24, 32), speechlike(20)[None]
    junk = record("conv2_weights_int8", np.ones(3 * 24 * 32, np.int8))
    np.testing.assert_array_equal(
        RNNoiseBackend(blob).new_state(1).process(audio)[0], RNNoiseBackend(junk + blob).new_state(1).process(audio)[0]
    )


@pytest.fixture(scope="module")
def backend() -> RNNoiseBackend:
    return RNNoiseBackend(random_blob(16, 24, sparse=True, quantised=True))


@pytest.mark.parametrize("rate", [48000, 16000])
def test_a_stream_is_a_stream(backend: RNNoiseBackend, rate: int) -> None:
    signal = speechlike(100)[: rate // 2]
    cut = np.split(signal, np.sort(np.random.default_rng(4).integers(0, len(signal), 30)))
    stream, whole = Stream(backend, rate), Stream(backend, rate)
    assert backend.delay == 960
    halfway = [stream.process(chunk) for chunk in cut[:15]]
    stream = pickle.loads(pickle.dumps(stream))
    pieces = [*halfway, *(stream.process(chunk) for chunk in cut[15:]), stream.flush()]
    np.testing.assert_array_equal(np.concatenate(pieces), np.concatenate([whole.process(signal), whole.flush()]))


@pytest.mark.parametrize("frames", [0, 1, 479, 480, 961, 20000])
def test_length_out_is_length_in(backend: RNNoiseBackend, frames: int) -> None:
    assert Denoiser(backend).filter(speechlike(50)[:frames], 48000).shape == (frames,)


def test_nothing_removed_is_nothing_changed_and_in_time(backend: RNNoiseBackend) -> None:
    signal = speechlike(100) + np.float32(0.05)  # with what the high-pass takes away
    np.testing.assert_allclose(Denoiser(backend, atten_lim_db=0).filter(signal, 48000), signal, atol=1e-5)


def test_a_copied_state_goes_on_bit_for_bit(backend: RNNoiseBackend) -> None:
    audio = np.stack([speechlike(100), -speechlike(100)[::-1]])
    state = backend.new_state(2)
    state.process(audio[:, : 40 * FRAME].copy())
    other, rest = copy.deepcopy(state), audio[:, 40 * FRAME :].copy()
    np.testing.assert_array_equal(state.process(rest)[0], other.process(rest)[0])
    state.reset()
    np.testing.assert_array_equal(state.process(audio)[0], backend.new_state(2).process(audio)[0])


def test_a_state_of_another_model_is_refused(backend: RNNoiseBackend) -> None:
    saved = RNNoiseBackend(random_blob(16, 24, seed=2)).new_state(1).saved()
    for other in (backend, RNNoiseBackend(random_blob(16, 24, seed=3)), RNNoiseBackend()):
        with pytest.raises(ModelError, match="saved state"):
            other.new_state(1).restore(saved)


def test_the_file_is_written_back_bit_for_bit(tmp_path: Path) -> None:
    blob = random_blob(16, 24, sparse=True, quantised=True)
    model = read_any_model(blob)
    assert isinstance(model, V02Model)
    for name in ("model.bin", "model.dnnw", "model.dnnw.c"):
        write_model(model, tmp_path / name)
        again = read_any_model(tmp_path / name)
        assert isinstance(again, V02Model)
        assert again.data == blob
    assert (tmp_path / "model.bin").read_bytes() == (tmp_path / "model.dnnw").read_bytes() == blob


@pytest.mark.parametrize("suffix", [".rnnn", ".rnn", ".c"])
def test_no_classic_file_is_made_of_it(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(ModelError, match=rf"v0\.2 network; {suffix} holds the classic one"):
        write_model(read_any_model(random_blob(16, 24)), tmp_path / f"model{suffix}")
    with pytest.raises(ModelError, match=r"v0\.2 network; a classic one is wanted"):
        read_model(random_blob(16, 24))
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_cleans_with_it_and_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blob = tmp_path / "weights_blob.bin"
    blob.write_bytes(random_blob(16, 24, sparse=True, quantised=True))
    soundfile.write(tmp_path / "noisy.wav", speechlike(50), 48000)
    assert cli.main(["filter", "--model", str(blob), str(tmp_path / "noisy.wav"), "-o", str(tmp_path / "a.wav")]) == 0
    assert soundfile.info(tmp_path / "a.wav").frames == 50 * FRAME
    capsys.readouterr()
    assert cli.main(["model", "info", str(blob)]) == 0
    shown = capsys.readouterr().out
    assert "v0.2 RNNoise network" in shown
    assert "conv1: float, 195 -> 16\n" in shown
    assert "% of the weights, diagonal apart" in shown
    assert cli.main(["convert", str(blob), "-o", str(tmp_path / "model.rnnn")]) != 0
    assert "v0.2" in capsys.readouterr().err


@pytest.mark.parametrize("length", [63, 64, 100, 3000, 20000, -1])
def test_a_file_cut_short_is_refused(length: int) -> None:
    with pytest.raises(ModelError, match=r"the file ends|do not fit|there is"):
        RNNoiseBackend(random_blob(16, 24, sparse=True, quantised=True)[:length])
