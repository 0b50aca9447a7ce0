"""The training of the enhancer: runs that resume to the same weights, budgets, scores, settings."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from require import require

torch = require("torch", reason="pip install 'denoise-wrapper[training]'")
from enhancers import SMALL, small_config  # noqa: E402
from sets import quick_opinions, write_set  # noqa: E402
from training_runs import check_resumed_run, read_log, save_toml  # noqa: E402

from denoise_wrapper import Denoiser  # noqa: E402
from denoise_wrapper.cli.main import main as cli_main  # noqa: E402
from denoise_wrapper.errors import ConfigError, DataError  # noqa: E402
from denoise_wrapper.training.enhancer import scoring, train  # noqa: E402
from denoise_wrapper.training.enhancer.bands import HOP  # noqa: E402
from denoise_wrapper.training.enhancer.batches import batches, make_clip, make_schedule, open_clips  # noqa: E402
from denoise_wrapper.training.enhancer.bodies import KINDS  # noqa: E402
from denoise_wrapper.training.enhancer.bodies.sizes import SIZES  # noqa: E402
from denoise_wrapper.training.enhancer.budget import BUDGETS, Cost, budget, check_budget  # noqa: E402
from denoise_wrapper.training.enhancer.config import (  # noqa: E402
    BodyConfig,
    EnhancerConfig,
    EnhancerTrainConfig,
    ValidationConfig,
)
from denoise_wrapper.training.enhancer.network import Enhancer  # noqa: E402
from denoise_wrapper.training.enhancer.publish import read_network  # noqa: E402
from denoise_wrapper.training.run.checkpoint import BEST, LAST, LOG, load_checkpoint  # noqa: E402
from denoise_wrapper.training.run.lineage import describe, history  # noqa: E402
from denoise_wrapper.training.run.optim import Averaged  # noqa: E402
from denoise_wrapper.training.run.rates import Progress, learning_factor  # noqa: E402

IDS = {"0": 10.0, "1": 10.0, "2": 10.0, "3": 10.0}  # clips of a set, and their ratios in dB


def guided_config(folder: Path, **settings: Any) -> EnhancerConfig:
    """Settings of a small guided network."""
    config = small_config(folder, **settings)
    return replace(config, work_dir=folder / "guided", body=replace(config.body, guide="rnnoise"))


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


def test_what_the_guide_makes_of_the_clips_is_there_in_time(tmp_path: Path) -> None:
    config = guided_config(tmp_path)
    clip = make_clip(open_clips(config)[0].clip(0))
    expected = Denoiser("rnnoise").filter(clip.noisy.numpy(), 48000)
    feed = batches(config, make_schedule(config), 0)
    for chunk in range(2):
        hop_before, stretch = next(feed).guide[0].split([HOP, 25 * HOP])
        start = chunk * 25 * HOP
        np.testing.assert_array_equal(stretch, expected[start : start + 25 * HOP])
        np.testing.assert_array_equal(hop_before, expected[start - HOP : start] if chunk else np.zeros(HOP))


def test_a_teacher_s_answer_takes_the_place_of_the_clean_speech(tmp_path: Path) -> None:
    config = small_config(tmp_path, steps=2)
    taught = replace(config, name="taught", train=replace(config.train, teacher="rnnoise"))
    plain, answer = (next(batches(each, make_schedule(each), 0)) for each in (config, taught))
    assert torch.equal(plain.noisy, answer.noisy)
    assert torch.equal(plain.target.voice, answer.target.voice)
    expected = Denoiser("rnnoise").filter(make_clip(open_clips(config)[0].clip(0)).noisy.numpy(), 48000)
    np.testing.assert_array_equal(answer.target.clean[0, HOP:], expected[: 25 * HOP])
    assert train.main(taught) == 0
    assert "taught (2 steps, 0.00028 h of what rnnoise made of them)" in describe(history(taught.work_dir))
    with pytest.raises(ConfigError, match="'teacher' is a backend for 48000 Hz; dtln-16k runs at 16000"):
        replace(config.train, teacher="dtln-16k")


def test_a_network_that_is_not_guided_yet_goes_half_way_to_its_guide(tmp_path: Path) -> None:
    """Where training begins: with the weights of one without a guide, and their mean."""
    config = small_config(tmp_path, steps=1)
    assert train.main(config) == 0
    alone, guided = Enhancer(config.body).eval(), Enhancer(guided_config(tmp_path).body).eval()
    alone.load_state_dict(load_checkpoint(config.work_dir / LAST)["network"])
    guided.load_state_dict(train.load_weights(config.work_dir / LAST, guided))
    audio, guide = 0.1 * torch.randn(2, 1, 20 * HOP)
    with torch.no_grad():
        mean, answer = 0.5 * (alone.denoise(audio) + guide), guided.denoise(audio, guide)
    torch.testing.assert_close(answer, mean, atol=1e-5, rtol=1e-4)


def test_a_guided_run_learns_from_its_guide_and_is_scored_with_it(tmp_path: Path) -> None:
    config = guided_config(tmp_path, steps=2)
    assert train.main(config) == 0
    network = train.EnhancerRun(config).averaged.network
    clip = scoring.chosen_clips(ValidationConfig(set=write_set(tmp_path / "set", IDS, rate=48000)))[0]
    answer = scoring.clean_clip(network, clip, "rnnoise")
    noisy = answer.noisy.astype(np.float32)
    guide = Denoiser("rnnoise").filter(noisy, 48000)
    with torch.no_grad():
        wanted = network.denoise(torch.from_numpy(noisy)[None], torch.from_numpy(guide)[None])[0].numpy()
    np.testing.assert_allclose(answer.estimate, wanted, atol=1e-6)
    known = "rnnoise, rnnoise-classic, enhancer-live"
    with pytest.raises(ConfigError, match=f"'guide' is one of {known}, not 'dtln-16k'"):
        replace(config.body, guide="dtln-16k")


@pytest.mark.parametrize("method", ["adamw", "muon"])
def test_a_resumed_run_ends_with_the_weights_of_one_that_never_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Any
) -> None:
    rows = check_resumed_run(train.main, small_config(tmp_path, method=method), train.EnhancerRun, monkeypatch)
    assert [bool(row["validation_loss"]) for row in rows] == [False, False, True] * 2


def test_a_share_of_the_weights_begun_with_is_validated_written_and_gone_on_from(tmp_path: Path) -> None:
    first = small_config(tmp_path, steps=3, evaluate_every=3)
    assert train.main(first) == 0
    begun = load_checkpoint(first.work_dir / LAST)["network"]
    settings = replace(first.train, steps=6, start_from=first.work_dir / LAST, rate=0.01, average=0.5)
    runs = {share: replace(first, work_dir=tmp_path / f"on{share}", train=replace(settings, start_share=share))
            for share in (0.0, 0.25)}  # fmt: skip
    for config in runs.values():
        assert train.main(config) == 0
    plain, shared = (load_checkpoint(config.work_dir / LAST) for config in runs.values())
    written = read_network(runs[0.25].work_dir / LAST).state_dict()
    resumed = train.EnhancerRun(runs[0.25])
    resumed.start(shared)
    onward = train.load_weights(runs[0.25].work_dir / LAST, Enhancer(first.body))
    for name, part in plain["network"].items():
        torch.testing.assert_close(shared["network"][name], part)  # it learned as without
        wanted = 0.75 * part + 0.25 * begun[name] if part.is_floating_point() else part
        for weights in (written, resumed.written().state_dict(), onward):
            torch.testing.assert_close(weights[name], wanted)
    losses = [read_log(config.work_dir / LOG)[-1]["validation_loss"] for config in runs.values()]
    assert losses[0] != losses[1]
    with pytest.raises(ConfigError, match=r"'train.start_share' is a share of the weights of start_from"):
        EnhancerTrainConfig(start_share=0.5)


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
    tapped = train.EnhancerRun(replace(tuned, body=replace(SMALL, taps=3)))
    tapped.start(None)
    heads = {name: part for name, part in tapped.network.state_dict().items() if name.startswith("low_head")}
    assert all(torch.equal(part[:2], learned[name]) and not part[2:].any() for name, part in heads.items())
    name = "body.first.conv.weight"
    first = tapped.network.get_parameter(name)
    assert torch.equal(first[:, :3], learned[name])
    assert not first[:, 3:].any()
    shipped = replace(tuned, train=replace(tuned.train, start_from=Path("enhancer")))
    with pytest.raises(ConfigError, match=r"is a file for the engine.* goes on from a checkpoint"):
        train.EnhancerRun(shipped).start(None)
    other = replace(tuned, body=replace(SMALL, channels=8))
    with pytest.raises(ConfigError, match="of other sizes"):
        train.EnhancerRun(other).start(None)


def test_a_network_over_budget_takes_no_step(tmp_path: Path) -> None:
    config = replace(small_config(tmp_path), body=BodyConfig(channels=96, recurrent_width=96))
    with pytest.raises(ConfigError, match=r"over the budget of 'enhancer': [\d,]+ multiply-adds of 1,200,000"):
        train.main(config)
    assert not config.work_dir.exists()
    for name, is_guided in itertools.product(BUDGETS, (False, True)):
        most = budget(name, is_guided)
        check_budget(most, name, is_guided)
        for index in range(3):
            with pytest.raises(ConfigError, match=name):
                check_budget(Cost(*(value + (index == at) for at, value in enumerate(most))), name, is_guided)
    assert budget("enhancer-tiny") == Cost(400_000, 4_000, 33)
    assert budget("enhancer-tiny", is_guided=True) == Cost(500_000, 5_200, 33)


def test_a_network_that_the_engine_cannot_run_is_told_before_the_first_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small_config(tmp_path)
    train.EnhancerRun(replace(config, body=SIZES["rows", "enhancer-tiny"])).start(None)
    assert "no model file" not in capsys.readouterr().err
    train.EnhancerRun(replace(config, body=SMALL)).start(None)
    assert "no model file will be written: the model given as bytes cannot be used" in capsys.readouterr().err


def test_norms_learn_in_the_end_with_the_statistics_that_they_run_with(tmp_path: Path) -> None:
    config = small_config(tmp_path, freeze_norms=0.5)
    run = train.EnhancerRun(config)
    feed, kept = run.batches(0), []
    for _ in range(config.train.steps):
        run.step(feed)
        kept.append(run.norms[0].state_dict()["running_mean"].clone())
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


@pytest.mark.parametrize("rate", [16000, 48000])
def test_a_set_is_scored_at_its_own_rate_in_time(tmp_path: Path, rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ValidationConfig(set=write_set(tmp_path / "set", IDS, rate=rate), set_clips=2)
    clips = scoring.chosen_clips(config)
    assert [clip.id for clip in clips] == ["0", "2"]
    network = Enhancer(SMALL)
    monkeypatch.setattr(network, "denoise", lambda audio: audio)
    answer = scoring.clean_clip(network, clips[0])
    np.testing.assert_allclose(answer.estimate, answer.noisy, atol=2e-2)  # resampled twice
    quick_opinions(monkeypatch)
    row = scoring.measure_answer(answer)
    assert row["SISDR"] == pytest.approx(10.0 + 10.0 * math.log10(rate / 16000), abs=0.7)  # noise up to 8 kHz counts
    assert abs(row["SPEECH"]) < 0.7
    assert set(row) == {*scoring.METRICS, "SPEECH"}


def test_the_score_counts_each_decibel_of_lost_level_as_one_of_distortion() -> None:
    means = {"PESQ": 2.0, "OVRL": 3.0, "SISDR": 15.0, "SPEECH": -1.0}
    assert scoring.score(means) == pytest.approx(6.4)
    assert scoring.score(means | {"SPEECH": 1.0}) == pytest.approx(6.4)
    assert scoring.score(means | {"SPEECH": 0.0, "SISDR": 14.0}) == pytest.approx(6.4)


def test_the_best_weights_are_those_of_the_highest_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(small_config(tmp_path, evaluate_every=1), work_dir=tmp_path / "scored")
    config = replace(config, validation=ValidationConfig(clips=2, set=write_set(tmp_path / "set", IDS), every=2))
    scores = iter([3.0, 5.0, 4.0])
    monkeypatch.setattr(scoring, "score_set", lambda *_: dict.fromkeys(scoring.COLUMNS, 0.0) | {"score": next(scores)})
    assert train.main(config) == 0
    assert load_checkpoint(config.work_dir / BEST)["progress"]["best"] == -5.0
    reported = [row["validation_score"] or "" for row in read_log(config.work_dir / LOG)]
    assert reported == ["", "3", "", "5", "", "4"]


def test_a_validation_set_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no set"):
        scoring.chosen_clips(ValidationConfig(set=tmp_path))
    folder = write_set(tmp_path / "set", IDS)
    (folder / "noisy" / "1.wav").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"1\.wav cannot be decoded"):
        scoring.clean_clip(Enhancer(SMALL), scoring.chosen_clips(ValidationConfig(set=folder))[1])


def test_a_profile_keeps_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = small_config(tmp_path)
    path = save_toml(config, tmp_path / "settings.toml")
    assert cli_main(["train", "enhancer", "-C", str(path), "--profile"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "h of audio a minute" in lines[0]
    assert "multiply-adds" in lines[-1]
    assert [line.split()[0] for line in lines[2:-1]] == ["loading", "forward", "loss", "backward", "update"]
    assert sum(float(line.split()[-2]) for line in lines[2:-1]) == pytest.approx(100.0, abs=0.5)
    assert not config.work_dir.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_settings_of_the_bodies_differ_in_nothing_else_and_are_within_the_budget(kind: str) -> None:
    folder = Path(train.__file__).parents[1] / "configs"
    config, other = (train.load(folder / f"enhancer-{name}.toml") for name in (kind, "rows"))
    assert config.body == SIZES[kind, "enhancer"]
    check_budget(Enhancer(config.body).cost(), config.budget)
    named = replace(other, name=f"enhancer-{kind}", work_dir=Path(f"runs/enhancer-{kind}"), body=config.body)
    assert config == named


def test_the_recipes_go_on_from_each_other_with_the_same_network_and_other_clips() -> None:
    folder = Path(train.__file__).parents[1] / "configs"
    common = ["enhancer-rows", "enhancer-muon", "enhancer-magnitudes"]
    guided = ["guided-begun", "guided-phases", "guided-waveform", "enhancer"]
    ways = ([*common, "enhancer-phases", "enhancer-live"], common + guided, ["tiny-begun", "enhancer-tiny"])
    configs = [[train.load(folder / f"{name}.toml") for name in way] for way in ways]
    for before, after in (pair for way in configs for pair in itertools.pairwise(way)):
        assert after.train.start_from == before.work_dir / LAST
        smaller = replace(after.body, taps=before.body.taps, guide=before.body.guide)  # it may have grown by these
        assert (smaller, after.data) == (before.body, before.data)
        assert after.mix.first_clip >= before.mix.first_clip + before.train.steps * before.train.batch
        assert after.loss.perceptual > 0.0
    for config in (way[-1] for way in configs):
        check_budget(Enhancer(config.body).cost(), config.budget, bool(config.body.guide))


def test_a_network_of_ones_own_is_as_the_shipped_one() -> None:
    folder = Path(train.__file__).parents[1] / "configs"
    config, shipped = (train.load(folder / f"{name}.toml") for name in ("enhancer-own", "enhancer"))
    assert config.body == shipped.body
    assert config.train.start_from is None


def test_settings_of_the_tiny_network_fill_its_budget_and_mix_as_the_others() -> None:
    folder = Path(train.__file__).parents[1] / "configs"
    names = ("tiny-begun", "enhancer-rows", "enhancer-own")
    config, other, large = (train.load(folder / f"{name}.toml") for name in names)
    alone = replace(config.body, guide="")
    assert (config.budget, replace(alone, taps=1)) == ("enhancer-tiny", SIZES["rows", "enhancer-tiny"])
    check_budget(Enhancer(config.body).cost(), config.budget, is_guided=True)
    check_budget(Enhancer(alone).cost(), config.budget)
    for body in (config.body, replace(alone, taps=alone.taps + 1)):
        with pytest.raises(ConfigError, match="over the budget"):
            check_budget(Enhancer(body).cost(), config.budget)
    assert (config.data, replace(config.mix, first_clip=0), config.loss) == (other.data, other.mix, large.loss)
