"""The loss of what an ear hears: what it forgives, how it grows, and that it goes along with PESQ."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray
from require import require

torch = require("torch", reason="training needs torch: pip install denoise-wrapper[training]")

from torch import Tensor  # noqa: E402

from denoise_wrapper.backends.features import FeatureExtractor  # noqa: E402
from denoise_wrapper.backends.native import FRAME  # noqa: E402
from denoise_wrapper.training.perceptual import PESQ, STRICT, Ear, Forgiveness, Scale, disturbance  # noqa: E402
from denoise_wrapper.training.rnnoise.features import LAYOUTS  # noqa: E402

LAYOUT = LAYOUTS["v0.2"]
SCALE = Scale.of(LAYOUT.band_hz)
ALL = pytest.mark.parametrize("forgiven", [PESQ, STRICT], ids=["pesq", "strict"])


def speech(clips: int = 2, frames: int = 200) -> Tensor:
    """Energies of bands that rise and fall as those of syllables do: (frames, clips, 32)."""
    t = torch.arange(frames)[:, None, None] / 100.0
    envelope = torch.clamp(torch.sin(2.0 * math.pi * 2.0 * t), min=0.0) ** 2
    return 1e5 * envelope.expand(frames, clips, 32) * torch.logspace(0, -3, 32) + 1e-3


def lost(clean: Tensor, output: Tensor, forgiven: Forgiveness) -> float:
    return float(disturbance(clean, output, SCALE, forgiven))


@ALL
def test_nothing_is_lost_where_nothing_differs(forgiven: Forgiveness) -> None:
    assert lost(speech(), speech(), forgiven) < 1e-3


@ALL
def test_a_change_of_level_is_no_fault(forgiven: Forgiveness) -> None:
    assert lost(speech(), 0.5 * speech(), forgiven) < 0.1


@ALL
def test_more_noise_is_a_greater_loss(forgiven: Forgiveness) -> None:
    points = [lost(speech(), speech() + level, forgiven) for level in (0.1, 1.0, 10.0)]
    assert points == sorted(points)
    assert points[0] < 0.5 * points[-1]


def test_noise_in_pauses_counts_more_where_less_is_forgiven() -> None:
    clean = speech()
    pauses = (clean.sum(dim=2, keepdim=True) < 1.0).float()
    noisy = clean + 300.0 * pauses
    assert lost(clean, noisy, STRICT) > 1.5 * lost(clean, noisy, PESQ) > 0.0


def test_bands_above_8_khz_do_not_count() -> None:
    output = speech()
    output[:, :, SCALE.bands :] *= 100.0
    assert 20 < SCALE.bands < 32
    assert lost(speech(), output, STRICT) < 1e-3


@ALL
def test_clips_without_speech_do_not_count_and_give_no_nan(forgiven: Forgiveness) -> None:
    silent = torch.full((200, 1, 32), 1e-3)
    gain = torch.ones(200, 2, 32, requires_grad=True)
    clean = torch.cat([silent, speech(1)], dim=1)
    both = disturbance(clean, (clean + 100.0) * gain, SCALE, forgiven)
    both.backward()
    assert gain.grad is not None
    assert torch.isfinite(gain.grad).all()
    assert not gain.grad[:, 0].any()
    assert gain.grad[:, 1].any()
    assert float(both.detach()) == pytest.approx(lost(speech(1), speech(1) + 100.0, forgiven), rel=1e-5)
    alone = torch.zeros(200, 1, 32, requires_grad=True)
    nothing = disturbance(silent, alone, SCALE, forgiven)
    nothing.backward()
    assert float(nothing.detach()) == 0.0


def engine_energies(audio: NDArray[np.float32]) -> Tensor:
    """Energies of the bands of RNNoise's front end, (T, 1, 32)."""
    extracted = FeatureExtractor("v0.2").extract(
        audio[: len(audio) // FRAME * FRAME].copy(), audio[: len(audio) // FRAME * FRAME].copy()
    )
    return torch.from_numpy(extracted.energy)[:, None] + 1e-3


EAR = Ear()


def ear_energies(audio: NDArray[np.float32]) -> Tensor:
    """Energies of the bands of the other families' losses, (T, 1, bands)."""
    return EAR.listen(torch.from_numpy(audio).unsqueeze(0), 48000)


@pytest.mark.parametrize(
    ("energies", "scale"), [(engine_energies, SCALE), (ear_energies, EAR.scale)], ids=["rnnoise", "ear"]
)
def test_it_goes_along_with_pesq(shared: Path, energies: Callable[[NDArray[np.float32]], Tensor], scale: Scale) -> None:
    pesq = require("pesq", reason="needs the pesq package: pip install denoise-wrapper[metrics]").pesq
    manifest = json.loads((shared / "dev" / "manifest.json").read_text())["clips"]
    pairs = []
    for clip in manifest[::4]:
        clean, rate = soundfile.read(shared / "dev" / "clean" / f"{clip['id']}.flac", dtype="float32")
        noisy, _ = soundfile.read(shared / "dev" / "noisy" / f"{clip['id']}.flac", dtype="float32")
        for share in (1.0, 0.5, 0.2, 0.05):
            mixture = clean + share * (noisy - clean)
            score = pesq(16000, *(soxr.resample(part, rate, 16000) for part in (clean, mixture)), "wb")
            raw = (3.8224 - math.log(4.0 / (score - 0.999) - 1.0)) / 1.3669  # P.862.2's mapping undone
            whole = [soxr.resample(part, rate, 48000).astype(np.float32) for part in (clean, mixture)]
            pairs.append((4.5 - raw, float(disturbance(energies(whole[0]), energies(whole[1]), scale, PESQ))))
    wanted, ours = np.array(pairs).T
    assert np.corrcoef(wanted, ours)[0, 1] > 0.75  # 0.79 was found, of 32 pairs
    assert np.mean(ours) == pytest.approx(np.mean(wanted), rel=0.15)


@pytest.mark.parametrize("rate", [16000, 32000])
def test_an_ear_has_the_same_bands_at_every_rate(rate: int) -> None:
    time = torch.arange(2 * 48000) / 48000.0
    sound = (torch.sin(2.0 * math.pi * 440.0 * time) + 0.1 * torch.sin(2.0 * math.pi * 3000.0 * time)).unsqueeze(0)
    resampled = torch.from_numpy(soxr.resample(sound[0].numpy(), 48000, rate)).unsqueeze(0)
    energies = [EAR.listen(part, at).mean(dim=(0, 1)) / at**2 for part, at in ((sound, 48000), (resampled, rate))]
    loud = energies[0] > 1e-3 * energies[0].max()
    assert int(loud.sum()) > 2
    assert torch.allclose(energies[0][loud], energies[1][loud], rtol=0.05)
