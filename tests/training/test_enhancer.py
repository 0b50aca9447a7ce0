"""The enhancer and its training: one network for clips and streams, a loss in parts, runs that resume to the same
weights."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch", reason="pip install 'denoise-wrapper[training]'")
from training_packs import write_packs  # noqa: E402
from training_runs import check_resumed_run, read_log, save_toml  # noqa: E402

from denoise_wrapper.cli.main import main as cli_main  # noqa: E402
from denoise_wrapper.errors import ConfigError, DataError  # noqa: E402
from denoise_wrapper.training.config import BlendConfig, MixConfig  # noqa: E402
from denoise_wrapper.training.enhancer import bands, scoring, train  # noqa: E402
from denoise_wrapper.training.enhancer.bands import BINS, HOP, LOW, RATE, UPPER  # noqa: E402
from denoise_wrapper.training.enhancer.batches import batches, make_clip, make_schedule, open_clips  # noqa: E402
from denoise_wrapper.training.enhancer.bodies import KINDS  # noqa: E402
from denoise_wrapper.training.enhancer.bodies.sizes import SIZES  # noqa: E402
from denoise_wrapper.training.enhancer.budget import BUDGETS, Cost, check_budget  # noqa: E402
from denoise_wrapper.training.enhancer.config import (  # noqa: E402
    BodyConfig,
    EnhancerConfig,
    EnhancerTrainConfig,
    LossConfig,
    ValidationConfig,
)
from denoise_wrapper.training.enhancer.loss import Judge, Loss, Target, known_bins  # noqa: E402
from denoise_wrapper.training.enhancer.network import MOST, Enhancer, Estimate, low_mask  # noqa: E402
from denoise_wrapper.training.run.checkpoint import BEST, LAST, LOG, load_checkpoint  # noqa: E402
from denoise_wrapper.training.run.optim import Averaged  # noqa: E402
from denoise_wrapper.training.run.rates import Progress, learning_factor  # noqa: E402

SMALL = BodyConfig("rows", channels=6, width=4, blocks=1, rows=8, recurrent_blocks=1, recurrent_width=4, heads=2)
ONE_PART = {"magnitude": 0.0, "complex": 0.0, "consistency": 0.0, "waveform": 0.0, "over": 0.0, "voice": 0.0}


def small_config(folder: Path, **settings: Any) -> EnhancerConfig:
    """Two epochs of three steps, two rows of a quarter of a second."""
    speech, noise = write_packs(folder)
    loop_settings = {"steps": 6, "batch": 2, "seconds": 0.25, "processes": 0, "log_every": 1, "evaluate_every": 3,
                     "warm_up": 2, "threads": 1}  # fmt: skip
    return EnhancerConfig(
        work_dir=folder / "run",
        cache_dir=folder / "cache",
        data=BlendConfig(speech=(speech,), noise=(noise,), validation=0.3),
        mix=MixConfig(clip_s=1.0, gap_s=(0.05, 0.1), long_gap_share=0.0),
        body=SMALL,
        train=EnhancerTrainConfig(**(loop_settings | settings)),
        validation=ValidationConfig(clips=2),
    )


def settled_network() -> Enhancer:
    """A network in evaluation mode whose norms have met some audio."""
    torch.manual_seed(1)
    network = Enhancer(SMALL)
    for _ in range(20):
        network.denoise(0.1 * torch.randn(2, 10 * HOP))
    return network.eval()


def some_speech(seconds: float = 1.0) -> Any:
    """Harmonics of 150 Hz that come and go, float32 (1, n)."""
    time = torch.arange(round(seconds * RATE)) / RATE
    tone = sum(torch.sin(2.0 * math.pi * 150.0 * order * time) / order for order in range(1, 40))
    return (0.1 * tone * torch.sin(2.0 * math.pi * 1.5 * time).abs()).unsqueeze(0)


def judged(estimate: Any, clean: Any, noisy: Any = None, bandwidth_hz: float = RATE / 2, **weights: float) -> Loss:
    """The loss of an answer whose spectra are those of estimate. All float32 (1, HOP + T * HOP)."""
    network = Enhancer(SMALL)
    frames = estimate.shape[1] // HOP - 1
    spectrum, _ = network.analyse(estimate[:, HOP:], estimate[:, :HOP])
    target = Target(clean, torch.ones(1, frames), known_bins(bandwidth_hz).unsqueeze(0))
    answer = Estimate(spectrum, torch.zeros(1, frames), [])
    mixture = clean[:, HOP:] if noisy is None else noisy[:, HOP:]
    return Judge(LossConfig(**(ONE_PART | {"magnitude": 1.0} | weights)), network).compare(answer, target, mixture)


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
    mask = low_mask(answers).flatten()
    torch.testing.assert_close(mask.abs(), torch.tensor([0.5**3, 1.2**3, MOST**3]))
    torch.testing.assert_close(mask.angle(), torch.tensor([0.0, -math.pi / 2, math.atan2(4.0, 3.0)]))


def test_a_noise_level_cuts_between_harmonics_and_spares_them() -> None:
    network = Enhancer(SMALL)
    time = torch.arange(30 * HOP) / RATE
    harmonics = sum(torch.sin(2.0 * math.pi * 400.0 * order * time) for order in range(12, 40))
    audio = (0.02 * harmonics + 0.005 * torch.randn(len(time))).unsqueeze(0)
    spectrum, _ = network.analyse(audio, torch.zeros(1, HOP))
    features, magnitude = network.features(spectrum)
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


def test_stretches_of_a_clip_follow_one_another(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    feed = batches(config, make_schedule(config), 0)
    first = [next(feed) for _ in range(4)]
    clip = make_clip(open_clips(config)[0].clip(0))
    hops = 25
    for chunk, batch in enumerate(first):
        start, stop = chunk * hops * HOP, (chunk + 1) * hops * HOP
        assert torch.equal(batch.noisy[0], clip.noisy[start:stop])
        assert torch.equal(batch.target.clean[0, HOP:], clip.clean[HOP:][start:stop])
        assert torch.equal(batch.target.voice[0], clip.voice[chunk * hops : (chunk + 1) * hops])
        assert bool(batch.fresh[0]) == (chunk == 0)
    assert torch.equal(first[1].target.clean[0, :HOP], first[0].target.clean[0, -HOP:])
    assert not first[0].target.clean[0, :HOP].any()
    later = next(batches(config, make_schedule(config), 3))
    assert torch.equal(later.noisy, first[3].noisy)


@pytest.mark.parametrize("method", ["adamw", "muon"])
def test_a_resumed_run_ends_with_the_weights_of_one_that_never_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Any
) -> None:
    rows = check_resumed_run(train.main, small_config(tmp_path, method=method), train.EnhancerRun, monkeypatch)
    assert [bool(row["validation_loss"]) for row in rows] == [False, False, True] * 2


def test_weights_to_start_from(tmp_path: Path) -> None:
    config = small_config(tmp_path, steps=1)
    assert train.main(config) == 0
    last = config.work_dir / LAST
    learned = load_checkpoint(last)["network"]
    tuned = replace(config, work_dir=tmp_path / "tuned", train=replace(config.train, start_from=last))
    run = train.EnhancerRun(tuned)
    run.start(None)
    assert all(torch.equal(part, learned[name]) for name, part in run.network.state_dict().items())
    assert run.progress.step == 0
    other = replace(tuned, body=replace(SMALL, channels=8))
    with pytest.raises(ConfigError, match="of other sizes"):
        train.EnhancerRun(other).start(None)


def test_a_network_over_budget_takes_no_step(tmp_path: Path) -> None:
    config = replace(small_config(tmp_path), body=BodyConfig(channels=96, recurrent_width=96))
    with pytest.raises(ConfigError, match=r"over the budget of 'enhancer': [\d,]+ multiply-adds of 1,200,000"):
        train.main(config)
    assert not config.work_dir.exists()
    for name, most in BUDGETS.items():
        check_budget(most, name)
        for index in range(3):
            with pytest.raises(ConfigError, match=name):
                check_budget(Cost(*(value + (index == at) for at, value in enumerate(most))), name)
    assert BUDGETS["enhancer-tiny"] == Cost(400_000, 4_000, 33)


def test_norms_learn_in_the_end_with_the_statistics_that_they_run_with(tmp_path: Path) -> None:
    config = small_config(tmp_path, freeze_norms=0.5)
    run = train.EnhancerRun(config)
    feed, kept = run.batches(0), []
    for _ in range(config.train.steps):
        run.step(feed)
        kept.append(train.norms(run.network)[0].state_dict()["running_mean"].clone())
    assert not torch.equal(kept[1], kept[2])
    assert torch.equal(kept[2], kept[-1])
    batch = next(feed)
    state = run.state.reset(batch.fresh)
    spectrum, _ = run.network.analyse(batch.noisy, state.recent)
    with torch.no_grad():
        answer = run.network.eval().estimate(spectrum, state.body)
    expected = run.judge.compare(answer, batch.target, batch.noisy).total.item()
    run.network.train()
    assert run.step(iter([batch]))[0][0].item() == pytest.approx(expected, rel=1e-4)


def test_statistics_of_norms_are_averaged_with_the_weights() -> None:
    network = torch.nn.BatchNorm1d(2)
    averaged = Averaged(network, 0.5)
    network.running_mean += 1.0
    network.num_batches_tracked += 3
    averaged.update(network, 100)
    assert averaged.network.running_mean.tolist() == [0.5, 0.5]
    assert int(averaged.network.num_batches_tracked) == 3


def test_rates_rise_and_fall_with_the_share_of_the_run_that_is_over() -> None:
    config = EnhancerTrainConfig(steps=100, warm_up=10, rate=1e-2, final_rate=1e-4)

    def at(step: int, config: EnhancerTrainConfig = config, seconds: float = 0.0) -> float:
        return learning_factor(config, Progress(step, seconds=seconds))

    assert at(0) == pytest.approx(0.1)
    assert at(50) == pytest.approx(0.505)
    assert at(100) == pytest.approx(0.01)
    late = replace(config, decay="linear", decay_share=0.5)
    assert at(50, late) == pytest.approx(1.0)
    assert at(75, late) == pytest.approx(0.505)
    timed = replace(late, minutes=10.0)
    assert at(100, timed, 300.0) == pytest.approx(1.0)
    assert at(20, timed, 450.0) == pytest.approx(0.505)


def test_a_run_by_the_clock_ends_when_its_time_is_over_and_not_before(tmp_path: Path) -> None:
    config = small_config(tmp_path, steps=1, minutes=0.03, evaluate_every=2)
    assert train.main(config) == 0
    progress = load_checkpoint(config.work_dir / LAST)["progress"]
    assert progress["seconds"] >= 1.8
    assert progress["step"] == int(read_log(config.work_dir / LOG)[-1]["step"]) > 1
    assert read_log(config.work_dir / LOG)[-1]["validation_loss"]
    assert train.main(config, resume=True) == 0
    assert load_checkpoint(config.work_dir / LAST)["progress"] == progress


def write_set(folder: Path, count: int = 4, rate: int = 16000) -> Path:
    """A set of speech-like clips in noise."""
    rng = np.random.default_rng(1)
    for part in ("clean", "noisy"):
        (folder / part).mkdir(parents=True)
    clean = some_speech(2.0)[0, :: RATE // rate].double().numpy()
    for number in range(count):
        noisy = clean + 0.02 * rng.standard_normal(len(clean))
        for part, audio in (("clean", clean), ("noisy", noisy)):
            soundfile.write(folder / part / f"{number}.flac", audio, rate)
    return folder


@pytest.mark.parametrize("rate", [16000, 48000])
def test_a_set_is_scored_at_its_own_rate_in_time(tmp_path: Path, rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ValidationConfig(set=write_set(tmp_path / "set", rate=rate), set_clips=2)
    clips = scoring.chosen_clips(config)
    assert [clip.id for clip in clips] == ["0", "2"]
    network = Enhancer(SMALL)
    monkeypatch.setattr(network, "denoise", lambda audio: audio)
    answer = scoring.clean_clip(network, clips[0])
    np.testing.assert_allclose(answer.estimate, answer.noisy, atol=2e-2)  # resampled twice
    row = scoring.measure_answer(answer)
    noise = 0.02**2 * 16000 / rate  # the power up to 8 kHz
    assert row["SISDR"] == pytest.approx(10.0 * math.log10(float(np.mean(answer.clean**2)) / noise), abs=0.7)
    assert abs(row["SPEECH"]) < 0.7
    assert set(row) == {*scoring.METRICS, "SPEECH"}


def test_the_score_counts_each_decibel_of_lost_level_as_one_of_distortion() -> None:
    means = {"PESQ": 2.0, "OVRL": 3.0, "SISDR": 15.0, "SPEECH": -1.0}
    assert scoring.score(means) == pytest.approx(6.4)
    assert scoring.score(means | {"SPEECH": 1.0}) == pytest.approx(6.4)
    assert scoring.score(means | {"SPEECH": 0.0, "SISDR": 14.0}) == pytest.approx(6.4)


def test_the_best_weights_are_those_of_the_highest_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(small_config(tmp_path, evaluate_every=1), work_dir=tmp_path / "scored")
    config = replace(config, validation=ValidationConfig(clips=2, set=write_set(tmp_path / "set"), every=2))
    scores = iter([3.0, 5.0, 4.0])
    monkeypatch.setattr(scoring, "score_set", lambda *_: dict.fromkeys(scoring.COLUMNS, 0.0) | {"score": next(scores)})
    assert train.main(config) == 0
    assert load_checkpoint(config.work_dir / BEST)["progress"]["best"] == -5.0
    reported = [row["validation_score"] or "" for row in read_log(config.work_dir / LOG)]
    assert reported == ["", "3", "", "5", "", "4"]


def test_a_validation_set_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no set"):
        scoring.chosen_clips(ValidationConfig(set=tmp_path))
    folder = write_set(tmp_path / "set")
    (folder / "noisy" / "1.flac").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"1\.flac cannot be read"):
        scoring.clean_clip(Enhancer(SMALL), scoring.chosen_clips(ValidationConfig(set=folder))[1])


def test_a_profile_keeps_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = small_config(tmp_path)
    path = save_toml(config, tmp_path / "settings.toml")
    assert cli_main(["train", "enhancer", "-C", str(path), "--profile"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "multiply-adds" in lines[0]
    assert [line.split()[0] for line in lines[1:]] == ["loading", "forward", "loss", "backward", "update", "step"]
    assert sum(float(line.split()[-2]) for line in lines[1:-1]) == pytest.approx(100.0, abs=0.5)
    assert not config.work_dir.exists()


def test_pesq_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torch_pesq", None)
    with pytest.raises(ConfigError, match="needs torch-pesq"):
        Judge(LossConfig(pesq=0.001), Enhancer(SMALL))


@pytest.mark.parametrize("kind", KINDS)
def test_settings_of_the_bodies_differ_in_nothing_else_and_are_within_the_budget(kind: str) -> None:
    folder = Path(train.__file__).parents[1] / "configs"
    config, other = (train.load(folder / f"enhancer-{name}.toml") for name in (kind, "rows"))
    assert config.body == SIZES[kind, "enhancer"]
    check_budget(Enhancer(config.body).cost(), config.budget)
    named = replace(other, name=f"enhancer-{kind}", work_dir=Path(f"runs/enhancer-{kind}"), body=config.body)
    assert config == named
