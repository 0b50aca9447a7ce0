"""From gains to sound in torch: that it is what the engine does, that it has gradients, and clips mixed as needed."""

from __future__ import annotations

import csv
import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from require import require

torch = require("torch", reason="training needs torch: pip install denoise-wrapper[training]")

from torch import Tensor  # noqa: E402
from training_packs import MIX, write_packs  # noqa: E402

from denoise_wrapper.backends.convert import write_model  # noqa: E402
from denoise_wrapper.backends.features import FeatureExtractor  # noqa: E402
from denoise_wrapper.backends.native import FRAME  # noqa: E402
from denoise_wrapper.backends.rnnoise import RNNoiseBackend  # noqa: E402
from denoise_wrapper.errors import ConfigError  # noqa: E402
from denoise_wrapper.models.records import MapWeights, encode_blob  # noqa: E402
from denoise_wrapper.training.config import DataConfig, load_config  # noqa: E402
from denoise_wrapper.training.rnnoise import train  # noqa: E402
from denoise_wrapper.training.rnnoise.config import (  # noqa: E402
    FeatureConfig,
    NetworkConfig,
    RNNoiseConfig,
    RNNoiseTrainConfig,
)
from denoise_wrapper.training.rnnoise.features import LAYOUTS, mix_features, open_mixers  # noqa: E402
from denoise_wrapper.training.rnnoise.model import ClassicNetwork  # noqa: E402
from denoise_wrapper.training.rnnoise.online import online_batches  # noqa: E402
from denoise_wrapper.training.rnnoise.synthesis import Synthesis, fall_slowly, waveform  # noqa: E402
from denoise_wrapper.training.rnnoise.v02 import V02Network  # noqa: E402

FAMILIES = ["classic", "v0.2"]
AHEAD = {"classic": 0, "v0.2": 1}


def voice_in_noise(frames: int) -> np.ndarray:
    """Syllables of a gliding tone with harmonics in noise that swells, and a stretch of digital silence."""
    time = np.arange(frames * FRAME) / 48000.0
    phase = 2.0 * np.pi * np.cumsum(140.0 + 40.0 * np.sin(3.0 * time)) / 48000.0
    tone = sum(np.sin(order * phase) / order for order in range(1, 40)) * np.maximum(0.0, np.sin(9.0 * time))
    noise = np.random.default_rng(1).standard_normal(len(time)) * (1.0 + np.sin(5.0 * time))
    audio = 0.1 * tone + 0.01 * noise
    audio[60 * FRAME : 75 * FRAME] = 0.0
    return np.asarray(audio, np.float32)


def as_tensor(spectrum: np.ndarray) -> Tensor:
    """One clip: (2, frames, 1, bins)."""
    return torch.from_numpy(np.stack([spectrum.real, spectrum.imag]))[:, :, None]


def network_and_engine(family: str, folder: Path) -> tuple[ClassicNetwork | V02Network, RNNoiseBackend]:
    """A random network whose gains go up and down, and the same in the engine."""
    torch.manual_seed(3)
    if family == "classic":
        classic = ClassicNetwork(NetworkConfig(family="classic"))
        with torch.no_grad():
            classic.denoise_output.weights.uniform_(-0.49, 0.49)
        write_model(classic.to_model({}), folder / "test.rnnn")
        classic.eval()
        return classic, RNNoiseBackend(folder / "test.rnnn")
    network = V02Network(NetworkConfig(family="v0.2", conv=16, units=24))
    with torch.no_grad():
        for part in (network.conv1, network.conv2, network.dense_out):
            part.weights.mul_(3.0)
    maps = {
        name: MapWeights(part.weights.detach().numpy(), part.bias.detach().numpy(), int8=False)
        for name, part in network.maps().items()
    }
    network.eval()
    return network, RNNoiseBackend(encode_blob(maps))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_comes_out_is_what_the_engine_puts_out(family: str, tmp_path: Path) -> None:
    network, backend = network_and_engine(family, tmp_path)
    audio = voice_in_noise(150)
    extracted, spectra = FeatureExtractor(family).extract_spectra(audio, audio)
    assert spectra is not None
    features = torch.from_numpy(extracted.features)[:, None]
    run = (features != 0.0).any(dim=2)
    assert 10 < (~run).sum() < 20
    synthesis = Synthesis(LAYOUTS[family], AHEAD[family])
    with torch.no_grad():
        gains = torch.sigmoid(network(features, network.new_state(1), quantise=family == "classic")[0])
        assert gains.std() > 0.1
        output = synthesis.spectra(gains, as_tensor(spectra.noisy), as_tensor(spectra.pitch), run)
        ours = waveform(output)[0].numpy()
    engine, _ = backend.new_state(1).process(audio[None])
    engine = engine[0, AHEAD[family] * FRAME :]
    assert ours.shape == engine.shape
    passed = slice(10 * FRAME, None)
    difference = ours[passed] - engine[passed]
    assert 10.0 * np.log10(np.sum(engine[passed] ** 2) / np.sum(difference**2)) > 60.0
    assert np.sum((engine[FRAME:] - audio[: len(engine) - FRAME]) ** 2) > 0.01 * np.sum(engine**2)


@pytest.mark.parametrize("family", FAMILIES)
def test_gains_of_one_change_little_and_gains_of_nothing_leave_nothing(family: str) -> None:
    audio = voice_in_noise(50)
    _, spectra = FeatureExtractor(family).extract_spectra(audio, audio)
    assert spectra is not None
    noisy, pitch = as_tensor(spectra.noisy), as_tensor(spectra.pitch)
    synthesis, ahead = Synthesis(LAYOUTS[family], AHEAD[family]), AHEAD[family]
    gains, run = torch.ones(50, 1, LAYOUTS[family].bands), torch.ones(50, 1, dtype=torch.bool)
    kept = synthesis.spectra(gains, noisy, pitch, run)
    torch.testing.assert_close(kept[..., :400], noisy[:, : 50 - ahead, :, :400], rtol=1e-2, atol=1e-2)
    assert not kept[..., 400:].any()
    assert not synthesis.spectra(0.0 * gains, noisy, pitch, run).any()


def plain_fall(gains: Tensor, run: Tensor, fall: Tensor | None) -> Tensor:
    """The fall of gains as native/gains.c has it, a frame after the other."""
    last, result = torch.zeros_like(gains[0]), []
    for t in range(len(gains)):
        sounding = run[t][:, None]
        now = torch.maximum(gains[t], 0.6 * last)
        result.append(now)
        after = now if fall is None else (now * fall[t]).clamp(max=1.0)
        last = torch.where(sounding, after, last)
    return torch.stack(result)


@pytest.mark.parametrize("falls", [False, True])
def test_gains_fall_as_in_the_engine_and_gradients_go_to_the_frame_that_they_come_from(falls: bool) -> None:
    torch.manual_seed(1)
    gains = torch.rand(30, 3, 5) ** 4
    run, fall = torch.rand(30, 3) > 0.2, torch.exp(2.0 * torch.randn(30, 3, 5)) if falls else None
    wanted = torch.randn(30, 3, 5) * run[:, :, None]
    grads = []
    for function in (fall_slowly, plain_fall):
        x = gains.clone().requires_grad_()
        result = function(x, run, fall)
        (result * wanted).sum().backward()
        grads.append((result[run].detach(), x.grad))
    torch.testing.assert_close(grads[0], grads[1])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_error_is_nothing_for_what_is_clean_and_its_gradient_is_its_slope(family: str) -> None:
    torch.manual_seed(1)
    synthesis = Synthesis(LAYOUTS[family], AHEAD[family])
    synthesis.spread, synthesis.gather = synthesis.spread.double(), synthesis.gather.double()
    frames, bands = 6, LAYOUTS[family].bands
    spectra = 30.0 * torch.randn(3, 2, frames, 2, 400, dtype=torch.float64)
    spectra[1] = 0.9 * spectra[0] + 0.5 * spectra[1]
    logits = torch.randn(frames, 2, bands, dtype=torch.float64).requires_grad_()
    run, known = torch.ones(frames, 2, dtype=torch.bool), torch.ones(frames - AHEAD[family], 2, bands).double()

    def error(at: Tensor) -> Tensor:
        return synthesis.error(torch.sigmoid(at), spectra, run, known)

    output = synthesis.spectra(torch.sigmoid(logits.detach()), spectra[0], spectra[1], run)
    reached = spectra.clone()
    reached[2, :, : output.shape[1]] = output
    assert synthesis.error(torch.sigmoid(logits.detach()), reached, run, known) < 1e-20
    assert error(logits.detach()) > 0.1
    (gradient,) = torch.autograd.grad(error(logits), logits)
    way = torch.randn_like(logits)
    slope = (error(logits + 1e-6 * way) - error(logits - 1e-6 * way)).detach() / 2e-6
    torch.testing.assert_close((gradient * way).sum(), slope, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_finite_where_roots_and_limits_are(family: str) -> None:
    torch.manual_seed(1)
    frames, bands = 8, LAYOUTS[family].bands
    synthesis = Synthesis(LAYOUTS[family], AHEAD[family])
    noise = torch.randn(3, 2, frames, 6, 400)
    spectra = noise.clone()
    spectra[:, :, :, 0] = 0.0  # silence
    spectra[1, :, :, 1] = noise[0, :, :, 1]  # all voice
    spectra[1, :, :, 2] = -noise[0, :, :, 2]
    spectra[1, :, :, 3] = 0.0  # no past
    spectra[0, :, :, 4] = 0.0  # nothing but the past
    spectra[:, :, 4:, 5] *= 1e4
    run = torch.ones(frames, 6, dtype=torch.bool)
    run[3] = False
    known = torch.ones(frames - AHEAD[family], 6, bands)
    known[:, :, ::3] = 0.0
    for logits in (100.0, 16.0, 0.0, -16.0, -100.0):
        x = torch.full((frames, 6, bands), logits).requires_grad_()
        error = synthesis.error(torch.sigmoid(x), spectra, run, known)
        error.backward()
        assert torch.isfinite(error)
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()


def online_config(folder: Path, spectral: float, processes: int = 1) -> RNNoiseConfig:
    speech, noise = write_packs(folder)
    return RNNoiseConfig(
        work_dir=folder / "work",
        data=DataConfig(speech=(speech,), noise=(noise,), validation=0.25),
        mix=MIX,
        features=FeatureConfig(validation_hours=0.001, shard_hours=0.001, processes=processes, online=True),
        network=NetworkConfig(family="v0.2", conv=8, units=8),
        train=RNNoiseTrainConfig(
            steps=4, batch=2, frames=25, warm_up=1, log_every=2, evaluate_every=4, threads=1, spectral=spectral
        ),
    )


def test_clips_are_those_of_shards_and_a_function_of_the_step(tmp_path: Path) -> None:
    config = online_config(tmp_path, spectral=1.0)
    first_steps = list(itertools.islice(online_batches(config, range(2), 0), 6))
    assert [fresh.tolist() for _, fresh, _ in first_steps[:5]] == [[True, False], *[[False, False]] * 2, [False, True],
                                                             [True, False]]  # fmt: skip
    mixer, _ = open_mixers(config)
    for clip, row, first in ((0, 0, 0), (2, 0, 4), (3, 1, 3)):
        whole = mix_features(mixer.clip(clip), LAYOUTS["v0.2"])[:25]
        np.testing.assert_array_equal(first_steps[first][0][:, row].numpy(), whole)
    spectra = first_steps[0][2]
    assert spectra.dtype == torch.float16
    assert spectra.shape == (3, 2, 25, 2, 400)
    energy = np.log10(
        1e-3 + (spectra[2].float() ** 2).sum(dim=0).numpy() @ Synthesis(LAYOUTS["v0.2"], 1).gather.numpy()
    )
    np.testing.assert_allclose(energy, first_steps[0][0][:, :, LAYOUTS["v0.2"].energy].numpy(), atol=0.02)
    two = dataclasses.replace(config, features=dataclasses.replace(config.features, processes=2))
    for ours, theirs in zip(first_steps[5], next(online_batches(two, range(2), 5)), strict=True):
        assert torch.equal(ours, theirs)
    plain = dataclasses.replace(config, train=dataclasses.replace(config.train, spectral=0.0))
    rows = next(online_batches(plain, range(2), 5))
    assert len(rows) == 2
    assert torch.equal(rows[0], first_steps[5][0])


TOML = """
work_dir = "{folder}/work"
[data]
speech = ["{folder}/speech"]
noise = ["{folder}/noise"]
validation = 0.25
[mix]
clip_s = 1.0
gap_s = [0.05, 0.1]
long_gap_share = 0.0
[features]
validation_hours = 0.001
shard_hours = 0.001
{online}
[network]
family = "v0.2"
conv = 8
units = 8
[train]
steps = {steps}
batch = 2
frames = 25
warm_up = 1
log_every = 1
threads = 1
quantise_from = 0.0
decay_share = 0.0
spectral = 0.5
dropout = 0.2
"""


def write_toml(folder: Path, steps: int = 4, online: str = "online = true") -> Path:
    path = folder / "test.toml"
    path.write_text(TOML.format(folder=folder.as_posix(), steps=steps, online=online), encoding="utf-8")
    return path


def test_a_training_without_shards_ends_the_same_where_it_was_resumed(tmp_path: Path) -> None:
    write_packs(tmp_path)
    work, models = tmp_path / "work", []
    for stops in ((4,), (2, 4)):
        (work / train.CHECKPOINT).unlink(missing_ok=True)
        for number, steps in enumerate(stops):
            config = load_config(write_toml(tmp_path, steps), RNNoiseConfig.read)
            assert train.main(config, resume=number > 0) == 0
        with (work / "log.csv").open(newline="") as stream:
            log = list(csv.DictReader(stream))
        assert len(log) == 4
        assert all(float(line["spectral"]) > 0.0 for line in log)
        models.append((work / "rnnoise.dnnw").read_bytes())
    assert {path.name for path in work.glob("features-*/*")} == {"validation-0000.npy"}
    assert models[0] == models[1]


@pytest.mark.parametrize(
    ("online", "message"),
    [
        ("", r"spectral is 0.5, but .* set \[features\] online = true, or spectral = 0.0"),
        ('online = true\nfile = "rows.h5"', "online mixes .* leave one of them out"),
    ],
)
def test_what_does_not_go_together_is_refused(online: str, message: str, tmp_path: Path) -> None:
    path = write_toml(tmp_path, online=online)
    path.write_text(path.read_text().replace("spectral = 0.5", "spectral = 0.5\nloudness = 0.0"))
    with pytest.raises(ConfigError, match=message):
        load_config(path, RNNoiseConfig.read)


def test_clips_shorter_than_a_step_are_refused(tmp_path: Path) -> None:
    config = online_config(tmp_path, spectral=0.0)
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, frames=101))
    with pytest.raises(ConfigError, match=r"frames; .* is longer than the clip"):
        next(online_batches(config, range(2), 0))
