"""The enhancer: one network for clips and streams, and a loss in parts."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from require import require

torch = require("torch", reason="pip install 'denoise-wrapper[training]'")
from enhancers import SMALL, settled_network, some_speech  # noqa: E402
from torch import Tensor  # noqa: E402

from denoise_wrapper.training.enhancer import bands  # noqa: E402
from denoise_wrapper.training.enhancer.bands import BINS, HOP, LOW, RATE, UPPER  # noqa: E402
from denoise_wrapper.training.enhancer.config import (  # noqa: E402
    LossConfig,
)
from denoise_wrapper.training.enhancer.loss import FLOOR, Judge, Loss, Target, compress, known_bins  # noqa: E402
from denoise_wrapper.training.enhancer.network import (  # noqa: E402
    FEATURES,
    MOST,
    MOST_TAP,
    TAP_FEATURES,
    Enhancer,
    Estimate,
    filter_past,
    low_mask,
    turn_past,
)

ONE_PART = {"magnitude": 0.0, "complex": 0.0, "consistency": 0.0, "waveform": 0.0, "over": 0.0, "voice": 0.0}


def judged(estimate: Any, clean: Any, noisy: Any = None, bandwidth_hz: float = RATE / 2, **weights: float) -> Loss:
    """The loss of an answer whose spectra are those of estimate. All float32 (1, HOP + T * HOP)."""
    network = Enhancer(SMALL)
    frames = estimate.shape[1] // HOP - 1
    spectrum, _ = network.analyse(estimate[:, HOP:], estimate[:, :HOP])
    target = Target(clean, torch.ones(1, frames), known_bins(bandwidth_hz).unsqueeze(0))
    answer = Estimate(spectrum, torch.zeros(1, frames), [])
    recent = clean[:, HOP:] if noisy is None else noisy[:, HOP:]
    return Judge(LossConfig(**(ONE_PART | {"magnitude": 1.0} | weights)), network).compare(answer, target, recent)


@pytest.mark.parametrize("power", [0.3, 1.0])
def test_compressed_spectra_have_the_slopes_of_their_formula(power: float) -> None:
    torch.manual_seed(1)
    spectrum = (torch.randn(2, 5, 7) + 1j * torch.randn(2, 5, 7)).to(torch.complex128)
    weights, results = torch.randn(3, 2, 5, 7).double(), []

    def plain(spectrum: Tensor) -> tuple[Tensor, ...]:
        magnitude = (spectrum.real.square() + spectrum.imag.square() + FLOOR).sqrt()
        factor = magnitude ** (power - 1.0)
        return magnitude**power, spectrum.real * factor, spectrum.imag * factor

    for formula in (lambda spectrum: compress(spectrum, power), plain):
        spectrum = spectrum.detach().requires_grad_()
        values = torch.stack(tuple(formula(spectrum)))
        results.append((values.detach(), *torch.autograd.grad((values * weights).sum(), spectrum)))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("hops", [1, 3, 7, 40])
def test_blocks_of_any_number_of_hops_give_what_the_whole_clip_gives(hops: int) -> None:
    network, audio = settled_network(), torch.cat([some_speech(0.4), 0.1 * torch.randn(1, 40 * HOP)])
    with torch.no_grad():
        whole, voice, _ = network(audio, network.new_state(2))
        state, parts, voices = network.new_state(2), [], []
        for block in audio.split(hops * HOP, dim=1):
            part, probability, state = network(block, state)
            parts.append(part)
            voices.append(probability)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=1e-6)
    torch.testing.assert_close(torch.cat(voices, dim=1), voice, rtol=0, atol=1e-5)


def test_a_clip_is_denoised_in_time_and_at_its_length() -> None:
    network, audio = settled_network(), some_speech(0.3)[:, : 20 * HOP + 7]
    with torch.no_grad():
        aligned = network.denoise(audio)
        whole, _, _ = network(torch.nn.functional.pad(audio, (0, 2 * HOP - 7)), network.new_state(1))
    assert network.delay == HOP
    assert aligned.shape == audio.shape
    torch.testing.assert_close(aligned, whole[:, HOP:][:, : audio.shape[1]], rtol=0, atol=1e-6)


def test_output_does_not_depend_on_samples_later_than_a_block() -> None:
    network, audio = settled_network(), some_speech(0.4)
    other = audio.clone()
    other[:, 20 * HOP :] += 0.3
    with torch.no_grad():
        one, another = (network(signal, network.new_state(1))[0] for signal in (audio, other))
    torch.testing.assert_close(one[:, : 20 * HOP], another[:, : 20 * HOP], rtol=0, atol=1e-6)
    assert not torch.allclose(one[:, 20 * HOP : 21 * HOP], another[:, 20 * HOP : 21 * HOP], atol=1e-3)


def test_spectra_that_nobody_changed_give_the_samples_back() -> None:
    network, audio = Enhancer(SMALL), 0.1 * torch.randn(2, 30 * HOP)
    spectrum, _ = network.analyse(audio, torch.zeros(2, HOP))
    output, _ = network.synthesise(spectrum, torch.zeros(2, HOP))
    torch.testing.assert_close(output[:, HOP:], audio[:, :-HOP], rtol=0, atol=1e-6)


def test_a_reset_row_goes_on_as_a_fresh_stream_and_the_others_as_they_were() -> None:
    network, audio = settled_network(), 0.1 * torch.randn(2, 10 * HOP)
    with torch.no_grad():
        _, _, state = network(audio, network.new_state(2))
        after, _, _ = network(audio, state.reset(torch.tensor([True, False])))
        fresh, _, _ = network(audio, network.new_state(2))
        going, _, _ = network(audio, state)
    torch.testing.assert_close(after[0], fresh[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(after[1], going[1], rtol=0, atol=1e-6)
    assert not torch.allclose(fresh[1], going[1], atol=1e-4)


def test_upper_bands_cover_each_bin_once() -> None:
    spread, gather = bands.spread(), bands.gather()
    assert spread.shape == (UPPER, BINS - LOW)
    torch.testing.assert_close(spread.sum(dim=0), torch.ones(BINS - LOW))
    torch.testing.assert_close(gather.sum(dim=0), torch.ones(UPPER))
    assert ((spread > 0.0).sum(dim=0) <= 2).all()
    assert (torch.diff(bands.centres()) > 2.0).all()
    assert bands.centres()[[0, -1]].tolist() == [LOW, BINS - 1]
    weights = bands.bin_weights(1.0)
    assert (weights[:LOW] == 1.0).all()
    assert (torch.diff(weights[LOW:]) <= 1e-6).all()


def test_masks_are_cubes_that_stay_below_their_limit() -> None:
    answers = torch.tensor([[0.5, 0.0, 3.0], [0.0, -1.2, 4.0]]).view(1, 2, 1, 3)
    mask = torch.complex(*low_mask(answers)).flatten()
    torch.testing.assert_close(mask.abs(), torch.tensor([0.5**3, 1.2**3, MOST**3]))
    torch.testing.assert_close(mask.angle(), torch.tensor([0.0, -math.pi / 2, math.atan2(4.0, 3.0)]))


def test_frames_before_are_weighed_by_complex_numbers() -> None:
    torch.manual_seed(1)
    turned, weights = (torch.randn(2, 3, 4, LOW, dtype=torch.complex64) for _ in range(2))
    answers = torch.view_as_real(weights).movedim(4, 2).flatten(1, 2)
    cleaned = torch.complex(*filter_past(answers, torch.view_as_real(turned).movedim(4, 2)))
    torch.testing.assert_close(cleaned, (weights * turned).sum(dim=1))
    most = torch.complex(*filter_past(1e6 * torch.ones_like(answers), torch.view_as_real(turned).movedim(4, 2)))
    torch.testing.assert_close(most, complex(MOST_TAP, MOST_TAP) * turned.sum(dim=1))


def test_a_steady_harmonic_is_as_the_frames_before_foretell() -> None:
    time = torch.arange(40 * HOP) / RATE
    harmonics = torch.stack([torch.sin(2.0 * math.pi * 210.0 * order * time) for order in range(1, 15)]).sum(dim=0)
    torch.manual_seed(1)
    likeness = []
    for audio in (harmonics, torch.randn(len(time))):
        spectrum, _ = Enhancer(SMALL).analyse(audio.unsqueeze(0), torch.zeros(1, HOP))
        low = torch.nn.functional.pad(spectrum[..., :LOW], (0, 0, 3, 0))
        turned, seen = turn_past(low.real, low.imag, 40)
        assert (turned.shape, seen.shape) == ((1, 3, 2, 40, LOW), (1, TAP_FEATURES, 40, LOW))
        now = spectrum[0, 10:, 4:60]
        each = torch.complex(*turned.unbind(dim=2))[0, :, 10:, 4:60]
        likeness.append(10.0 * torch.log10(now.abs().square().sum() / (each - now).abs().square().sum(dim=(1, 2))))
    assert likeness[0].min() > 10.0  # dB, of all three
    assert likeness[1].max() < 3.0


def test_a_network_with_taps_is_the_same_in_pieces_and_begins_as_one_without() -> None:
    torch.manual_seed(1)
    plain, tapped = Enhancer(SMALL).eval(), Enhancer(replace(SMALL, taps=4)).eval()
    learned = {name: part for name, part in tapped.state_dict().items() if not name.startswith("low_head")}
    first = "body.first.conv.weight"
    plain.load_state_dict({**plain.state_dict(), **learned, first: learned[first][:, :FEATURES]})
    audio = 0.1 * torch.randn(2, 30 * HOP)
    with torch.no_grad():
        for name in ("low_head.weight", "low_head.bias"):
            tapped.get_parameter(name)[:2] = plain.get_parameter(name)
        tapped.get_parameter(first)[:, FEATURES:] = 0.0
        torch.testing.assert_close(tapped.denoise(audio), plain.denoise(audio))
        tapped.low_head.weight[2:].normal_()
        tapped.get_parameter(first)[:, FEATURES:].normal_()
        whole, _, _ = tapped(audio, tapped.new_state(2))
        state, pieces = tapped.new_state(2), []
        for piece in audio.split([HOP, 2 * HOP, 7 * HOP, 20 * HOP], dim=1):
            cleaned, _, state = tapped(piece, state)
            pieces.append(cleaned)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole)
    assert (whole - plain(audio, plain.new_state(2))[0]).abs().max() > 1e-3


def test_a_noise_level_cuts_between_harmonics_and_spares_them() -> None:
    network = Enhancer(SMALL)
    time = torch.arange(30 * HOP) / RATE
    harmonics = sum(torch.sin(2.0 * math.pi * 400.0 * order * time) for order in range(12, 40))
    audio = (0.02 * harmonics + 0.005 * torch.randn(len(time))).unsqueeze(0)
    spectrum, _ = network.analyse(audio, torch.zeros(1, HOP))
    features, magnitude = network.features(spectrum.real, spectrum.imag)
    answers = torch.full((1, 2, 30, UPPER), 20.0)  # full gain
    answers[:, 1] = -0.5
    gains = network.upper_gain(answers, features, magnitude)[0, 5:].mean(dim=0)
    on, between = gains[128 - LOW : 304 - LOW : 8], gains[132 - LOW : 300 - LOW : 8]  # multiples of 400 Hz, and halfway
    assert on.min() > 0.6
    assert between.max() < 0.25
    assert gains.max() <= 1.0


def test_weights_begin_by_letting_nearly_everything_through() -> None:
    torch.manual_seed(1)
    network, audio = Enhancer(SMALL).eval(), some_speech()
    with torch.no_grad():
        output = network.denoise(audio)
    level_db = 10.0 * torch.log10(output.square().mean() / audio.square().mean())
    assert -12.0 < level_db < 3.0


@pytest.mark.parametrize("part", ["magnitude", "complex", "consistency", "waveform", "over"])
def test_each_part_of_the_loss_is_nothing_for_the_clean_speech_and_more_for_what_is_further_off(part: str) -> None:
    clean = torch.nn.functional.pad(some_speech(0.5), (HOP, 0))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    weights = {"magnitude": 0.0} | {part: 2.0}
    losses = [judged(clean * gain + noise * level, clean, **weights)
              for gain, level in ((1.0, 0.0), (0.9, 0.001), (0.5, 0.01))]  # fmt: skip
    values = [float(getattr(loss, part)) for loss in losses]
    assert values[0] == pytest.approx(0.0, abs=1e-6)
    assert values[0] < values[1] < values[2]
    assert float(losses[2].total) == pytest.approx(2.0 * values[2], rel=1e-5)


def test_only_speech_that_is_lost_counts_as_over_attenuation() -> None:
    clean = torch.nn.functional.pad(some_speech(0.5), (HOP, 0))
    louder, quieter = (judged(clean * gain, clean, over=1.0).over for gain in (1.3, 0.7))
    assert float(louder) < 1e-6 < float(quieter)


def test_nothing_is_judged_above_a_recordings_bandwidth() -> None:
    clean = torch.nn.functional.pad(some_speech(0.5), (HOP, 0))
    time = torch.arange(clean.shape[1]) / RATE
    above = clean + 0.1 * torch.sin(2.0 * math.pi * 12000.0 * time)
    parts = {"complex": 1.0, "consistency": 1.0, "waveform": 1.0, "over": 1.0}
    all_bins, known = (float(judged(above, clean, bandwidth_hz=limit, **parts).total) for limit in (RATE / 2, 8000.0))
    assert known < 0.05 * all_bins  # what the tone's sudden beginning leaves below


def test_quiet_clips_count_as_loud_ones_do_if_levels_are_taken_out() -> None:
    clean = torch.nn.functional.pad(some_speech(0.5), (HOP, 0))
    noise = 0.01 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    loud, quiet = (float(judged(gain * (clean + noise), gain * clean).total) for gain in (1.0, 0.1))
    assert quiet == pytest.approx(loud, rel=0.05)
    left = {"even_level": 0.0}
    loud, quiet = (float(judged(gain * (clean + noise), gain * clean, **left).total) for gain in (1.0, 0.1))
    assert quiet < 0.5 * loud


def test_silence_has_a_finite_loss_and_finite_gradients() -> None:
    network = Enhancer(SMALL)
    judge = Judge(LossConfig(over=1.0), network)
    noisy = torch.zeros(2, 10 * HOP)
    noisy[1] = 1e-4 * torch.randn(10 * HOP)
    target = Target(torch.zeros(2, 11 * HOP), torch.full((2, 10), 0.5), torch.ones(2, BINS, dtype=torch.bool))
    state = network.new_state(2)
    spectrum, _ = network.analyse(noisy, state.recent)
    loss = judge.compare(network.estimate(spectrum, state.body), target, noisy)
    loss.total.backward()
    assert torch.isfinite(loss.total)
    assert all(torch.isfinite(part.grad).all() for part in network.parameters() if part.grad is not None)


def test_one_batch_is_learned_by_heart() -> None:
    torch.manual_seed(1)
    network = Enhancer(SMALL)
    judge = Judge(LossConfig(), network)
    clean = torch.nn.functional.pad(some_speech(0.5), (HOP, 0))
    noisy = (clean + 0.02 * torch.randn(clean.shape))[:, HOP:]
    target = Target(clean, torch.ones(1, 50), torch.ones(1, BINS, dtype=torch.bool))
    optimiser = torch.optim.AdamW(network.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        state = network.new_state(1)
        spectrum, _ = network.analyse(noisy, state.recent)
        loss = judge.compare(network.estimate(spectrum, state.body), target, noisy)
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
        losses.append(loss.total.item())
    assert losses[-1] < 0.4 * losses[0]


def test_what_an_ear_hears_grows_with_the_noise_and_ends_at_8_khz() -> None:
    network = Enhancer(SMALL)
    judge = Judge(LossConfig(perceptual=0.1, pesq=0.1), network)
    clean = torch.nn.functional.pad(some_speech(2.0), (HOP, 0))
    target = Target(clean, torch.ones(1, 200), torch.ones(1, BINS, dtype=torch.bool))
    spectrum, _ = network.analyse(clean[:, HOP:], network.new_state(1).recent)
    noise = torch.randn_like(spectrum.real)
    lost = []
    for level in (0.0, 0.1, 1.0):
        answer = Estimate(spectrum + level * noise, torch.zeros(1, 200), [])
        lost.append(judge.compare(answer, target, clean[:, HOP:]))
    for part in ("perceptual", "pesq"):
        points = [float(getattr(loss, part)) for loss in lost]
        assert points[0] < 0.01
        assert points[0] + 0.5 < points[1] < points[2] < 8.0
    above = spectrum + noise * (torch.arange(BINS) > 180)
    loss = judge.compare(Estimate(above, torch.zeros(1, 200), []), target, clean[:, HOP:])
    assert max(float(loss.perceptual), float(loss.pesq)) < 0.01
