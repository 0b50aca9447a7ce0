"""The DTLN and its training: one module for clips and streams, runs that resume to the same weights."""

from __future__ import annotations

import itertools
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from require import require

torch = require("torch", reason="pip install 'denoise-wrapper[training]'")
from training_packs import MIX, write_packs  # noqa: E402
from training_runs import check_resumed_run, read_log, save_toml, stopped  # noqa: E402

from denoise_wrapper.cli import main as cli  # noqa: E402
from denoise_wrapper.errors import ConfigError  # noqa: E402
from denoise_wrapper.training.config import BlendConfig  # noqa: E402
from denoise_wrapper.training.dtln import train  # noqa: E402
from denoise_wrapper.training.dtln.batches import batches, make_schedule, stretch_samples  # noqa: E402
from denoise_wrapper.training.dtln.config import (  # noqa: E402
    DTLNConfig,
    DTLNLossConfig,
    DTLNNetworkConfig,
    DTLNTrainConfig,
    DTLNValidationConfig,
)
from denoise_wrapper.training.dtln.importers import import_network  # noqa: E402
from denoise_wrapper.training.dtln.lift import double_rate  # noqa: E402
from denoise_wrapper.training.dtln.loss import compare  # noqa: E402
from denoise_wrapper.training.dtln.model import DTLN, OverlapAdd  # noqa: E402
from denoise_wrapper.training.dtln.publish import publish  # noqa: E402
from denoise_wrapper.training.run.card import audio_heard, sha256  # noqa: E402
from denoise_wrapper.training.run.checkpoint import BEST, LAST, LOG, load_checkpoint  # noqa: E402
from denoise_wrapper.training.run.lineage import describe, history  # noqa: E402
from denoise_wrapper.training.run.optim import has_bf16  # noqa: E402
from denoise_wrapper.training.run.processes import Processes  # noqa: E402
from denoise_wrapper.training.run.rates import Progress, learning_factor  # noqa: E402

SMALL = DTLNNetworkConfig(frame_length=64, hop_length=16, hidden_size=6, encoder_size=8)


def small_config(folder: Path, **changes: Any) -> DTLNConfig:
    """Two epochs of three steps, two rows of half a second. changes: to [train]."""
    speech, noise = write_packs(folder)
    chosen = {"steps": 6, "evaluate_every": 3, "log_every": 1, "batch": 2, "seconds": 0.25, "processes": 0}
    return DTLNConfig(
        work_dir=folder / "runs/small",
        cache_dir=folder / "runs",
        name="small",
        data=BlendConfig(speech=(speech,), noise=(noise,), validation=0.3),
        sample_rate=8000,
        mix=MIX,
        network=SMALL,
        loss=DTLNLossConfig(sizes=(64, 128)),
        train=DTLNTrainConfig(**(chosen | {"warm_up": 2} | changes)),
        validation=DTLNValidationConfig(2),
    )


def runnable(config: DTLNConfig) -> DTLNConfig:
    """Settings that the command line begins a run with: of a network that a backend can run."""
    return replace(config, sample_rate=16000, network=replace(config.network, frame_length=512, hop_length=128))


def training(config: DTLNConfig, **changes: Any) -> DTLNConfig:
    """Settings with changes to [train]."""
    return replace(config, train=replace(config.train, **changes))


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("sizes", [(512, 128), (1024, 256)])
def test_blocks_of_any_number_of_hops_give_what_the_whole_clip_gives(norm: bool, sizes: tuple[int, int]) -> None:
    torch.manual_seed(1)
    network = DTLN(DTLNNetworkConfig(*sizes, norm=norm)).eval()
    audio = 0.2 * torch.randn(3, 24 * network.hop)
    with torch.no_grad():
        whole, _ = network(audio, network.new_state(3))
        for hops in (1, 5, 24):
            state, parts = network.new_state(3), []
            for block in audio.split(hops * network.hop, dim=1):
                part, state = network(block, state)
                parts.append(part)
            torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=1e-5)
        aligned = network.denoise(audio[:, : 20 * network.hop + 7])
    assert aligned.shape == (3, 20 * network.hop + 7)
    torch.testing.assert_close(aligned[:, : 16 * network.hop], whole[:, network.delay :][:, : 16 * network.hop])


def test_weights_begin_as_keras_begins() -> None:
    torch.manual_seed(1)
    network = DTLN(DTLNNetworkConfig())
    kernel, recurrent, bias, second_bias = network.mask_core.lstm1.all_weights[0]
    torch.testing.assert_close(recurrent.T @ recurrent, torch.eye(128), rtol=0, atol=1e-5)
    assert kernel.abs().max() <= math.sqrt(6.0 / (257 + 512))
    assert bias.tolist() == [0.0] * 128 + [1.0] * 128 + [0.0] * 256
    assert not second_bias.any()
    assert not second_bias.requires_grad
    assert sum(part.numel() for part in network.parameters() if part.requires_grad) == 986753 + 2 * 257


def test_overlapped_blocks_pass_gradcheck() -> None:
    blocks = torch.randn(5, 2, 8, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda signal: OverlapAdd.apply(signal, 2), [blocks])


def test_a_lifted_network_does_in_the_lower_band_what_it_did() -> None:
    torch.manual_seed(1)
    network = DTLN(DTLNNetworkConfig(norm=False)).eval()
    lifted = double_rate(network).eval()
    assert (lifted.block, lifted.hop) == (1024, 256)
    spectrum = torch.zeros(1, 8001, dtype=torch.complex64)
    spectrum[:, 100:7000] = torch.randn(1, 6900, dtype=torch.complex64)  # one second that ends at 7 kHz
    audio = 0.1 * torch.fft.irfft(spectrum, 16000) * 16000**0.5
    with torch.no_grad():
        expected = network.denoise(audio)
        estimate = lifted.denoise(2.0 * torch.fft.irfft(spectrum, 32000) * 0.1 * 16000**0.5)[:, ::2]
    error = (estimate - expected)[:, 1000:-1000].square().mean() / expected.square().mean()
    assert error < 1e-2


@pytest.mark.parametrize(
    "config",
    [
        *(DTLNLossConfig(method=method) for method in ("snr", "si-sdr", "snr+magnitude")),
        DTLNLossConfig(perceptual=0.1, pesq=0.1),
        DTLNLossConfig(over=10.0),
    ],
    ids=["snr", "si-sdr", "snr+magnitude", "heard", "over"],
)
def test_silence_and_perfection_have_finite_losses_and_gradients(config: DTLNLossConfig) -> None:
    generator = torch.Generator().manual_seed(1)
    clean = 0.1 * torch.randn(4, 8192, generator=generator)
    clean[0] = 0.0
    noisy = clean + 0.05 * torch.randn(4, 8192, generator=generator)
    noisy[1] = clean[1] = 0.0
    for start in (clean, noisy, torch.zeros_like(clean)):
        estimate = start.clone().requires_grad_()
        loss = compare(estimate, clean, noisy, config, turn=0)
        loss.total.backward()
        assert torch.isfinite(loss.total)
        assert torch.isfinite(estimate.grad).all()


def test_noise_that_is_heard_costs_points_and_adds_to_the_loss() -> None:
    generator = torch.Generator().manual_seed(1)
    syllables = torch.sin(torch.arange(16000) * (2.0 * math.pi * 3.0 / 16000)).clamp(min=0.0)
    clean = 0.1 * syllables * torch.randn(2, 16000, generator=generator)
    noisy = clean + 0.05 * torch.randn(2, 16000, generator=generator)
    config = DTLNLossConfig(perceptual=0.2, pesq=0.1)
    losses = [compare(clean + share * (noisy - clean), clean, noisy, config, 0) for share in (0.0, 0.3, 1.0)]
    plain = compare(noisy, clean, noisy, DTLNLossConfig(), 0).total
    for part in ("perceptual", "pesq"):
        points = [float(getattr(loss, part)) for loss in losses]
        assert points[0] < 0.01 < points[1] < points[2]
    heard = 0.2 * losses[2].perceptual + 0.1 * losses[2].pesq
    assert float(losses[2].total - plain) == pytest.approx(float(heard), rel=1e-4)


def test_speech_that_is_taken_away_costs_more_than_noise_that_is_left() -> None:
    generator = torch.Generator().manual_seed(1)
    clean = 0.1 * torch.randn(2, 16000, generator=generator)
    softer, louder = 0.5 * clean, 1.5 * clean
    with_over, without = (DTLNLossConfig(over=weight) for weight in (30.0, 0.0))
    lost = compare(softer, clean, clean, with_over, 0)
    assert float(lost.over) > 0.0
    assert float(lost.total - compare(softer, clean, clean, without, 0).total) == pytest.approx(30.0 * float(lost.over))
    assert float(compare(louder, clean, clean, with_over, 0).over) == 0.0
    with pytest.raises(ConfigError, match="'over' is of compressed magnitudes, which method 'snr' has not"):
        DTLNLossConfig(method="snr", over=1.0)


def test_the_ratio_is_the_published_loss_up_to_a_constant_of_the_clip() -> None:
    generator = torch.Generator().manual_seed(1)
    clean = 0.1 * torch.randn(2, 4000, generator=generator)
    noisy, first, second = (clean + 0.03 * torch.randn(2, 4000, generator=generator) for _ in range(3))
    config = DTLNLossConfig(method="snr", limit_db=90.0)

    def published(estimate: Any) -> Any:
        return -10.0 * torch.log10(clean.square().mean(1) / (clean - estimate).square().mean(1)).mean()

    ours = [10.0 * compare(estimate, clean, noisy, config, 0).total for estimate in (first, second)]
    assert float(ours[0] - ours[1]) == pytest.approx(float(published(first) - published(second)), abs=1e-3)
    assert float(compare(first, clean, noisy, config, 0).snr_db) == pytest.approx(-float(published(first)), abs=1e-2)


def test_rows_walk_through_whole_clips_and_begin_anew_with_each(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    schedule = make_schedule(config)
    assert (stretch_samples(config), schedule.chunks) == (2000, 4)
    feed = batches(config, schedule, 48, 0)
    first = [next(feed) for _ in range(9)]
    assert [batch.fresh.tolist() for batch in first[:5]] == [[True, False], [False, False], [False, False],
                                                           [False, True], [True, False]]  # fmt: skip
    later = batches(config, schedule, 48, 5)
    for batch in first[5:]:
        for ours, theirs in zip(batch, next(later), strict=True):
            assert torch.equal(ours, theirs)
    halves = [next(batches(config, make_schedule(config, Processes(rank, 2).rows(2)), 48, 6)) for rank in range(2)]
    assert torch.equal(torch.cat([half.noisy for half in halves]), first[6].noisy)
    ahead = next(batches(training(config, processes=2), schedule, 48, 6))
    assert torch.equal(ahead.clean, first[6].clean)


@pytest.mark.parametrize("method", ["adam", "muon"])
def test_a_resumed_run_ends_with_the_weights_of_one_that_never_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Any
) -> None:
    config = runnable(small_config(tmp_path, method=method, rate=1e-2))
    config = replace(config, network=replace(config.network, dropout=0.2))
    rows = check_resumed_run(train.main, config, train.DTLNRun, monkeypatch)
    assert [bool(row["validation_loss"]) for row in rows] == [False, False, True] * 2
    assert list((config.work_dir / "logs").glob("events*")) or "tensorboard" not in sys.modules
    assert train.main(training(config, steps=9), resume=True) == 0
    assert int(read_log(config.work_dir / LOG)[-1]["step"]) == 9


def test_a_run_that_is_killed_goes_on_from_a_whole_checkpoint(tmp_path: Path) -> None:
    config = runnable(small_config(tmp_path, steps=2000, evaluate_every=1, log_every=100, processes=0))
    path = save_toml(config, tmp_path / "settings.toml")
    command = [sys.executable, "-m", "denoise_wrapper", "train", "dtln", "-C", str(path)]
    last = config.work_dir / LAST
    for attempt in range(3):
        arguments = command + (["-R"] if attempt else [])
        process = subprocess.Popen(arguments, stderr=subprocess.PIPE, start_new_session=True)
        before, until = last.stat().st_mtime_ns if last.exists() else 0, time.monotonic() + 120
        while process.poll() is None and time.monotonic() < until:
            if last.exists() and last.stat().st_mtime_ns != before:
                break
            time.sleep(0.01)
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.03 * attempt)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    done = load_checkpoint(last)["progress"]["step"]
    assert done >= 3
    assert train.main(training(config, steps=done + 1), resume=True) == 0


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    config = runnable(small_config(tmp_path))  # two epochs: all have to go on from the first one's end
    path = save_toml(config, tmp_path / "settings.toml")
    assert train.main(config) == 0
    alone = load_checkpoint(config.work_dir / LAST)["network"]
    (config.work_dir / LAST).unlink()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m",
               "denoise_wrapper", "train", "dtln", "-C", str(path)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    together = load_checkpoint(config.work_dir / LAST)
    for name, values in alone.items():
        torch.testing.assert_close(together["network"][name], values, rtol=0, atol=2e-3)
    assert len(together["training"]["states"]) == 2


def test_weights_to_start_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = small_config(tmp_path, steps=3)
    assert train.main(config) == 0
    best = config.work_dir / BEST
    learned = load_checkpoint(best)["network"]

    start = replace(config, name="tuned", work_dir=tmp_path / "tuned").changed(best)
    run = train.DTLNRun(start)
    run.start(None)
    assert all(torch.equal(values, learned[name]) for name, values in run.network.state_dict().items())
    (start.work_dir / BEST).parent.mkdir(parents=True)
    run.save(best=True)
    text = describe(history(start.work_dir))
    assert text.endswith("0.00042 h of audio: small (3 steps, 0.00042 h)")
    assert "step" in run.history[0].log
    assert not describe(history(tmp_path / "settings.toml")).startswith("trained from nothing")
    twice = replace(start, network=replace(SMALL, frame_length=128, hop_length=32))
    train.DTLNRun(twice).start(None)
    assert "half the rate" in capsys.readouterr().err
    other = replace(start, network=replace(SMALL, hidden_size=7))
    with pytest.raises(ConfigError, match=r"another architecture: hidden_size 6 \(7 is wanted\)"):
        train.DTLNRun(other).start(None)


def test_a_share_of_the_weights_begun_with_is_validated_written_and_gone_on_from(tmp_path: Path) -> None:
    first = small_config(tmp_path, steps=3)
    assert train.main(first) == 0
    begun = load_checkpoint(first.work_dir / LAST)["network"]
    settings = replace(first.train, start_from=first.work_dir / LAST, rate=0.01, average=0.5)
    runs = {share: replace(first, work_dir=tmp_path / f"on{share}", train=replace(settings, start_share=share))
            for share in (0.0, 0.25)}  # fmt: skip
    for config in runs.values():
        assert train.main(config) == 0
    plain, shared = (load_checkpoint(config.work_dir / LAST) for config in runs.values())
    resumed = train.DTLNRun(runs[0.25])
    resumed.start(shared)
    written, _ = import_network([runs[0.25].work_dir / LAST])
    for name, part in plain["network"].items():
        torch.testing.assert_close(shared["network"][name], part)  # it learned as without
        for network in (resumed.written(), written):
            torch.testing.assert_close(network.state_dict()[name], 0.75 * part + 0.25 * begun[name])
    losses = [read_log(config.work_dir / LOG)[-1]["validation_loss"] for config in runs.values()]
    assert losses[0] != losses[1]


def test_a_checkpoint_of_more_voices_is_one_to_start_from(shared: Path, tmp_path: Path) -> None:
    path = shared / "weights/dtln-16k-more-voices.pt"
    data = BlendConfig(pairs=(tmp_path,))
    run = train.DTLNRun(DTLNConfig(work_dir=tmp_path, data=data).changed(path))
    run.start(None)
    learned = load_checkpoint(path)["network"]
    assert all(torch.equal(values, learned[name]) for name, values in run.network.state_dict().items())


def test_a_run_is_published_with_its_card_and_picture(tmp_path: Path) -> None:
    require("onnx", reason="pip install 'denoise-wrapper[training]'")
    config = replace(small_config(tmp_path), network=replace(SMALL, frame_length=512, hop_length=128))
    assert train.main(config) == 0
    assert float(torch.tensor(1e-40) * 1.0) != 0.0  # the thread's floating-point mode is as it was
    (config.work_dir / "quality.csv").write_text("set,clip,PESQ\ndev,mean,1.5\n")
    paths = publish(config, tmp_path / "models")
    train.export(config, tmp_path / "again")
    assert (tmp_path / "again" / "small_2.onnx").read_bytes() == paths[1].read_bytes()
    assert [item.name for item in paths] == ["small_1.onnx", "small_2.onnx", "small.md", "small.png"]
    text = paths[2].read_text(encoding="utf-8")
    assert sha256(paths[0]) in text
    assert "| dev | 1.500 |" in text
    assert "| CC0 |" in text
    assert str(tmp_path) not in text
    assert "| unknown | 0.00 | noise |" in text
    assert paths[3].read_bytes().startswith(b"\x89PNG")


def test_a_card_tells_of_pairs_and_own_recordings_too(tmp_path: Path) -> None:
    for name in ("pairs/noisy", "own/speech", "talks/noisy"):
        (tmp_path / name).mkdir(parents=True)
    data = BlendConfig(pairs=(tmp_path / "pairs",), own=(tmp_path / "own", tmp_path / "talks"))
    assert audio_heard(data) == {
        "Pairs": (tmp_path / "pairs/noisy",),
        "Own recordings": (tmp_path / "own/speech", tmp_path / "talks/noisy"),
    }


def test_profile_says_what_a_step_consists_of_and_keeps_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small_config(tmp_path)
    path = save_toml(config, tmp_path / "settings.toml")
    assert cli.main(["train", "dtln", "-C", str(path), "--profile"]) == 0
    speed, step, *lines = capsys.readouterr().out.splitlines()
    assert "h of audio a minute" in speed
    assert speed.endswith(f"for {config.train.steps} steps")
    assert step.startswith("a step takes ")
    assert [line.split()[0] for line in lines] == ["loading", "forward", "loss", "backward", "update"]
    assert sum(float(line.split()[1]) for line in lines) == pytest.approx(float(step.split()[3]), abs=0.3)
    assert sum(float(line.split()[-2]) for line in lines) == pytest.approx(100.0, abs=0.5)
    assert not config.work_dir.exists()


def test_rates_follow_the_schedule() -> None:
    def at(step: int, **schedule: Any) -> float:
        return learning_factor(DTLNTrainConfig(steps=100, evaluate_every=10, warm_up=10, **schedule), Progress(step))

    assert at(0) == pytest.approx(0.1)
    assert at(9) == 1.0
    assert at(60, decay_share=0.3) == 1.0
    assert at(85, decay_share=0.3) == pytest.approx(0.5)
    assert at(55, decay="cosine", decay_share=0.9) == pytest.approx(0.5)
    assert at(100, decay="cosine", decay_share=0.9) == pytest.approx(0.0)
    assert at(49, decay="step", gamma=0.5, step_size=2) == pytest.approx(0.25)
    assert at(80, final_rate=5e-4) == pytest.approx(0.5 + 0.5 * 2 / 3)
    plateau, progress = DTLNTrainConfig(decay="plateau", gamma=0.5, warm_up=10), Progress(50)
    judged = [progress.judge(loss, 2) for loss in (3.0, 2.0, 2.5, 2.5, 2.5, 2.5, 1.0)]
    assert judged == [True, True, False, False, False, False, True]
    assert learning_factor(plateau, progress) == pytest.approx(0.25)
    assert progress.epochs_since_best == 0


@pytest.mark.parametrize(("rate", "more"), [(16, ("-varied", "-voices", "-wide", "-ear")), (32, ("-varied", "-ear"))])
def test_shipped_settings_go_on_from_each_other(rate: int, more: tuple[str, ...]) -> None:
    folder = Path(train.__file__).parents[1] / "configs"
    stages = [train.load(folder / f"dtln-{rate}k{part}.toml") for part in ("-base", "-tuned", *more, "")]
    for before, after in itertools.pairwise(stages):
        assert after.train.start_from == before.work_dir / LAST
        assert (after.network.frame_length, after.sample_rate) == (rate * 32, rate * 1000)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[audio]\nsampelrate = 16000", "did you mean 'samplerate'"),
        ("[meta]\nbatch_size = 2.5", "'meta.batch_size' is of type int"),
        ("[model]\nframe_length = 500", "'model.frame_length' is even and two or more times 'model.hop_length'"),
        ("[audio]\nduration = 20.0", r"\[audio\] duration\) is longer than the clip"),
        ("[loss]\nmethod = 'mse'", "'loss.method' is one of 'snr', 'si-sdr', 'snr\\+magnitude'"),
        ("[optimizer]\nlr = 0", "'optimizer.lr' is above 0"),
        ("[audio]\nsamplerate = 16001", "'audio.samplerate' is a multiple of 100 Hz"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(tmp_path: Path, toml: str, words: str) -> None:
    text = {"meta": f"save_model_dir = '{tmp_path / 'runs'}'", "data": f"pairs = ['{tmp_path / 'pairs'}']"}
    table, setting = toml.split("\n")
    name = table.strip("[]")
    text[name] = "\n".join(filter(None, [text.get(name), setting]))
    path = tmp_path / "settings.toml"
    path.write_text("\n".join(f"[{key}]\n{value}" for key, value in text.items()), encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        train.main(train.load(path))


def test_half_precision_learns_nearly_the_same(tmp_path: Path) -> None:
    if not has_bf16(torch.device("cpu")):
        pytest.skip("this processor has no bf16, so that no run takes it")
    config = small_config(tmp_path)
    results = []
    for half in (False, True):
        run = train.DTLNRun(config)
        run.half = half
        feed = run.batches(0)
        results.append([run.step(feed)[0][0].item() for _ in range(4)])
    np.testing.assert_allclose(results[0], results[1], rtol=0.05)


def test_the_command_line_tells_an_interrupted_training_from_one_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_toml(runnable(small_config(tmp_path)), tmp_path / "settings.toml")
    with stopped(monkeypatch, 0):
        assert cli.main(["train", "dtln", "-C", str(path)]) == 130
    assert cli.main(["train", "dtln", "-C", str(path)]) == 2
