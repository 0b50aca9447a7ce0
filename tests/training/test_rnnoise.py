"""Training of the classic network: the recurrence, the loop, and what comes out of it."""

from __future__ import annotations

import csv
import dataclasses
import errno
import signal
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from require import require

torch = require("torch", reason="training needs torch: pip install denoise-wrapper[training]")

from torch import Tensor  # noqa: E402
from training_packs import MIX, write_packs  # noqa: E402
from training_runs import check_resumed_run  # noqa: E402

from denoise_wrapper.backends.convert import fingerprint, read_any_model, read_model, write_model  # noqa: E402
from denoise_wrapper.backends.features import FeatureExtractor  # noqa: E402
from denoise_wrapper.backends.native import FRAME  # noqa: E402
from denoise_wrapper.backends.rnnoise import RNNoiseBackend  # noqa: E402
from denoise_wrapper.errors import ConfigError, FileError, ModelError  # noqa: E402
from denoise_wrapper.training.config import DataConfig  # noqa: E402
from denoise_wrapper.training.mix.mixing import Mix  # noqa: E402
from denoise_wrapper.training.mix.stretches import RowSchedule  # noqa: E402
from denoise_wrapper.training.rnnoise import feature_files, train  # noqa: E402
from denoise_wrapper.training.rnnoise.config import (  # noqa: E402
    FeatureConfig,
    NetworkConfig,
    RNNoiseConfig,
    RNNoiseTrainConfig,
)
from denoise_wrapper.training.rnnoise.export import LOG  # noqa: E402
from denoise_wrapper.training.rnnoise.features import (  # noqa: E402
    LAYOUTS,
    FeatureSet,
    Layout,
    make_features,
    mix_features,
    start_worker,
)
from denoise_wrapper.training.rnnoise.loss import Judge  # noqa: E402
from denoise_wrapper.training.rnnoise.model import LIMIT, ClassicNetwork, Gru, Recurrence, rounded  # noqa: E402
from denoise_wrapper.training.rnnoise.v02 import V02Network  # noqa: E402
from denoise_wrapper.training.run.card import quality_section  # noqa: E402
from denoise_wrapper.training.run.checkpoint import load_checkpoint  # noqa: E402
from denoise_wrapper.training.run.log import Log  # noqa: E402

SMALL = NetworkConfig(dense=4, vad_gru=3, noise_gru=5, denoise_gru=6)
SMALL_V02 = NetworkConfig(family="v0.2", conv=8, units=16)
CLASSIC = LAYOUTS["classic"]


def naive_gru(x: Tensor, state: Tensor, weights: Tensor, recurrent: Tensor, bias: Tensor, relu: bool) -> Tensor:
    """The formula, a step at a time, for autograd to differentiate."""
    n, states = state.shape[1], []
    for frame in x:
        gates = torch.sigmoid(frame @ weights[:, : 2 * n] + state @ recurrent[:, : 2 * n] + bias[: 2 * n])
        z, r = gates[:, :n], gates[:, n:]
        c = frame @ weights[:, 2 * n :] + (r * state) @ recurrent[:, 2 * n :] + bias[2 * n :]
        state = z * state + (1 - z) * (torch.relu(c) if relu else torch.tanh(c))
        states.append(state)
    return torch.stack(states)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_recurrence_is_the_formula_and_so_are_its_gradients(activation: str) -> None:
    torch.manual_seed(1)
    gru = Gru(4, 3, activation).double()
    x, state = torch.randn(6, 2, 4, dtype=torch.double), torch.randn(2, 3, dtype=torch.double)
    wanted = torch.randn(6, 2, 3, dtype=torch.double)
    gradients = []
    for form in ("fast", "naive"):
        inputs = [x.clone().requires_grad_(), state.clone().requires_grad_()]
        gru.zero_grad()
        if form == "fast":
            answer = gru(*inputs, torch.zeros(6, 2, 1, dtype=torch.double), False)
        else:
            answer = naive_gru(inputs[0], inputs[1], gru.weights, gru.recurrent, gru.bias, activation == "relu")
        ((answer - wanted) ** 2).sum().backward()
        gradients.append([answer.detach(), *(item.grad.clone() for item in (*inputs, *gru.parameters()))])
    for fast, naive in zip(*gradients, strict=True):
        torch.testing.assert_close(fast, naive, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("relu", [False, True])
def test_the_recurrence_passes_gradcheck(relu: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    shapes = ((4, 2, 6), (4, 2, 3), (2, 3), (3, 6), (3, 3))
    inputs = [torch.randn(shape, dtype=torch.double, generator=generator).requires_grad_() for shape in shapes]
    assert torch.autograd.gradcheck(lambda *args: Recurrence.apply(*args, relu), inputs)


def test_frames_that_the_engine_skips_leave_the_state_alone() -> None:
    torch.manual_seed(1)
    network = ClassicNetwork(SMALL)
    features = torch.randn(9, 2, 42)
    features[3:6, 1] = 0.0
    gains, voice, state = network(features, network.new_state(2))
    kept = torch.cat([features[:3, 1:], features[6:, 1:]])
    kept_gains, kept_voice, kept_state = network(kept, network.new_state(1))
    torch.testing.assert_close(torch.cat([gains[:3, 1:], gains[6:, 1:]]), kept_gains)
    torch.testing.assert_close(torch.cat([voice[:3, 1:], voice[6:, 1:]]), kept_voice)
    for part, kept_part in zip(state, kept_state, strict=True):
        torch.testing.assert_close(part[1:], kept_part)


def test_a_clip_in_two_halves_gives_what_it_gives_in_one() -> None:
    torch.manual_seed(1)
    network = ClassicNetwork(SMALL)
    features = torch.randn(10, 2, 42)
    whole, _, _ = network(features, network.new_state(2))
    first, _, state = network(features[:4], network.new_state(2))
    second, _, _ = network(features[4:], state)
    torch.testing.assert_close(whole, torch.cat([first, second]))


def test_rounding_passes_gradients_and_hits_what_the_file_stores() -> None:
    weight = torch.tensor([0.0021, -0.4989, 0.3], requires_grad=True)
    stored = rounded(weight)
    stored.sum().backward()
    np.testing.assert_array_equal((stored * 256).detach().numpy(), [1, -128, 77])
    np.testing.assert_array_equal(weight.grad.numpy(), [1, 1, 1])


@pytest.mark.parametrize("activations", [("tanh", "relu", "tanh"), ("relu", "relu", "relu")])
def test_an_exported_network_answers_in_the_engine_as_in_torch(
    tmp_path: Path, activations: tuple[Literal["tanh", "relu"], ...]
) -> None:
    torch.manual_seed(1)
    network = ClassicNetwork(NetworkConfig(activations=activations))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.5)
    write_model(network.to_model({"name": "test"}), tmp_path / "test.dnnw")
    rng = np.random.default_rng(1)
    audio = (0.05 * rng.standard_normal(100 * FRAME) * np.linspace(0.0, 1.0, 100 * FRAME)).astype(np.float32)
    audio[60 * FRAME : 70 * FRAME] = 0.0
    features = FeatureExtractor().extract(audio, audio).features
    with torch.no_grad():
        _, voice, _ = network(torch.from_numpy(features)[:, None], network.new_state(1), quantise=True)
    _, voices = RNNoiseBackend(tmp_path / "test.dnnw").new_state(1).process(audio[None])
    run = (features != 0.0).any(axis=1)
    assert run.sum() > 80
    np.testing.assert_allclose(torch.sigmoid(voice)[:, 0].numpy()[run], voices[0][run], atol=1e-3)


def test_a_stored_model_can_be_gone_on_from(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = ClassicNetwork(SMALL)
    write_model(network.to_model({}), tmp_path / "small.rnnn")
    other = ClassicNetwork(SMALL)
    other.load_model(read_model(tmp_path / "small.rnnn"))
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(rounded(one), two)
    with pytest.raises(ModelError, match="input_dense: weights of"):
        ClassicNetwork(NetworkConfig()).load_model(read_model(tmp_path / "small.rnnn"))


def made_rows(frames: int, batch: int, layout: Layout = CLASSIC) -> Tensor:
    """Rows of a shard, made up: float32 (frames, batch, columns)."""
    rows = torch.rand(frames, batch, layout.columns, generator=torch.Generator().manual_seed(1))
    rows[:, :, layout.features] = 2.0 * rows[:, :, layout.features] - 1.0
    rows[:, :, layout.voice] = rows[:, :, layout.voice].round()
    return rows


@pytest.mark.parametrize(("kind", "config"), [(ClassicNetwork, NetworkConfig()), (V02Network, SMALL_V02)])
def test_one_batch_is_learned_by_heart(kind: type[train.Network], config: NetworkConfig) -> None:
    torch.manual_seed(1)
    network = kind(config)
    rows, judge = (
        made_rows(9, 4, network.layout),
        Judge(network.layout, RNNoiseTrainConfig(loudness=0.3), network.look_ahead),
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(200):
        gains, voice, _ = network(rows[:, :, network.layout.features], network.new_state(4))
        loss = judge.compare(gains, voice, rows)
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
        network.clip_weights()
        losses.append(float(loss.total.detach()))
    assert losses[-1] < 0.3 * losses[0]
    if isinstance(network, ClassicNetwork):
        assert max(float(parameter.detach().abs().max()) for parameter in network.parameters()) <= LIMIT + 1e-6


@pytest.mark.parametrize("config", [RNNoiseTrainConfig(), RNNoiseTrainConfig(loudness=0.0, perceptual=1.0)])
def test_what_is_unknown_does_not_count(config: RNNoiseTrainConfig) -> None:
    rows = made_rows(80, 4)
    rows[2:4, :, CLASSIC.gains] = -1.0
    rows[2:4, :, CLASSIC.voice] = 0.5
    gains, voice = torch.zeros(80, 4, 22), torch.zeros(80, 4)
    before = Judge(CLASSIC, config, 0).compare(gains, voice, rows)
    gains[2:4], voice[2:4] = 5.0, 5.0
    after = Judge(CLASSIC, config, 0).compare(gains, voice, rows)
    torch.testing.assert_close(before.total, after.total)


def test_all_unknown_is_no_nan() -> None:
    rows = made_rows(4, 2)
    rows[:, :, CLASSIC.gains], rows[:, :, CLASSIC.voice], rows[:, :, CLASSIC.features] = -1.0, 0.5, 0.0
    rows[:, :, CLASSIC.energy] = -3.0
    loss = Judge(CLASSIC, RNNoiseTrainConfig(perceptual=1.0), 0).compare(torch.zeros(4, 2, 22), torch.zeros(4, 2), rows)
    assert float(loss.total) == 0.0


def test_an_answer_is_judged_by_the_frame_that_it_is_for() -> None:
    layout = LAYOUTS["v0.2"]
    rows = made_rows(60, 2, layout)
    gains, voice = torch.logit(rows[:, :, layout.gains].clamp(1e-4, 1 - 1e-4)), 8.0 * rows[:, :, layout.voice] - 4.0
    judge = Judge(layout, RNNoiseTrainConfig(loudness=1.0, perceptual=1.0), look_ahead=1)
    late = judge.compare(gains.roll(1, 0), voice.roll(1, 0), rows)
    at_once = judge.compare(gains, voice, rows)
    assert float(late.gain) < 1e-6 < float(at_once.gain)
    assert float(late.perceptual) < 0.01 < float(at_once.perceptual)
    assert float(late.voice) < 0.05 < float(at_once.voice)


@pytest.mark.parametrize(("family", "known"), [("classic", 17), ("v0.2", 25)])
def test_bands_above_the_speech_are_unknown_while_it_sounds(family: str, known: int) -> None:
    layout = LAYOUTS[family]
    rng = np.random.default_rng(1)
    clean = 0.1 * rng.standard_normal(48000).astype(np.float32)
    voice = np.ones(100, np.float32)
    voice[50:] = 0.0
    rows = mix_features(Mix(clean * 1.5, clean, voice, 7750.0), layout).astype(np.float32)
    assert list(layout.unknown_bands(7750.0)) == list(range(known, layout.bands))
    assert not len(layout.unknown_bands(24000.0))
    assert (rows[2:50, layout.gains][:, known:] == -1.0).all()
    assert (rows[2:, layout.gains][:, :known] >= 0.0).all()
    assert (rows[51:, layout.gains] >= 0.0).all()
    assert np.isfinite(rows[:, layout.energy]).all()


def small_config(folder: Path, **changes: Any) -> RNNoiseConfig:
    """A training of seconds, with its packs."""
    speech, noise = write_packs(folder)
    values = {
        "work_dir": folder / "work",
        "data": DataConfig((speech,), (noise,), validation=0.3),
        "mix": MIX,
        "features": FeatureConfig(hours=6 / 3600, validation_hours=2 / 3600, shard_hours=2 / 3600),
        "network": SMALL,
        "train": RNNoiseTrainConfig(steps=8, batch=3, frames=40, warm_up=2, log_every=2, evaluate_every=3, threads=1),
    }
    return RNNoiseConfig(**{**values, **changes})


def test_features_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    first = [np.load(shard.path) for shard in make_features(config)]
    for shard in make_features(config)[:2]:
        shard.path.unlink()
    again = make_features(dataclasses.replace(config, features=dataclasses.replace(config.features, processes=2)))
    assert len(first) == 4
    for one, shard in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, np.load(shard.path))


@pytest.mark.parametrize(
    ("network", "method", "suffix"), [(SMALL, "adamw", "rnnn"), (SMALL, "muon", "rnnn"), (SMALL_V02, "muon", "bin")]
)
def test_a_resumed_training_ends_with_the_weights_of_one_that_never_stopped(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    network: NetworkConfig,
    method: Literal["adamw", "muon"],
    suffix: str,
) -> None:
    config = small_config(tmp_path, network=network)
    learning = dataclasses.replace(config.train, method=method, dropout=0.1, average=0.9, perceptual=0.1)
    config = dataclasses.replace(config, train=learning)
    rows = check_resumed_run(train.main, config, train.RNNoiseRun, monkeypatch)
    assert [int(row["step"]) for row in rows] == [2, 3, 4, 6, 8]
    assert "| CC0 |" in (config.work_dir / "rnnoise.md").read_text()
    source = "rnn_data.c" if suffix == "rnnn" else "rnnoise.dnnw.c"
    models = [read_any_model(config.work_dir / name) for name in (source, "rnnoise.dnnw")]
    assert fingerprint(models[0]) == fingerprint(models[1])
    assert (config.work_dir / "rnn_data.h").is_file() == (suffix == "rnnn")
    whole = (config.work_dir / f"rnnoise.{suffix}").read_bytes()
    train.export(config, tmp_path / "exported")
    assert (tmp_path / "exported" / f"rnnoise.{suffix}").read_bytes() == whole


def test_a_share_of_the_weights_begun_with_goes_into_the_model(tmp_path: Path) -> None:
    torch.manual_seed(3)
    begun = V02Network(SMALL_V02)
    write_model(begun.to_model({}), tmp_path / "begun.dnnw")
    larger = dataclasses.replace(SMALL_V02, units=SMALL_V02.units + 8)
    for network in (SMALL_V02, larger):
        config = small_config(tmp_path, network=network)
        learning = dataclasses.replace(config.train, start_from=tmp_path / "begun.dnnw", rate=0.01, start_share=0.25)
        config = dataclasses.replace(config, work_dir=tmp_path / f"work{network.units}", train=learning)
        assert train.main(config) == 0
        run = train.RNNoiseRun(config)
        first = [part.clone() for part in run.network.parameters()]
        run.start(load_checkpoint(config.work_dir / train.CHECKPOINT))
        before = torch.get_rng_state()
        written = [*run.written().parameters()]
        assert torch.equal(torch.get_rng_state(), before)
        for start, learned, part in zip(first, run.averaged.network.parameters(), written, strict=True):
            torch.testing.assert_close(part, 0.25 * start + 0.75 * learned)
        assert any(not torch.equal(*pair) for pair in zip(first, written, strict=True))
        stored = V02Network(network)
        stored.load_model(read_any_model(config.work_dir / "rnnoise.dnnw"))
        torch.testing.assert_close([*stored.parameters()][-4], written[-4])  # the gains' own layer, of floats
    with pytest.raises(ConfigError, match=r"'train.start_share' is a share of the weights of start_from"):
        RNNoiseTrainConfig(start_share=0.5)


def test_a_damaged_checkpoint_is_a_file_error(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"no checkpoint")
    with pytest.raises(FileError, match="no whole checkpoint"):
        load_checkpoint(path)


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    config = small_config(tmp_path)
    config.work_dir.mkdir()
    run = train.RNNoiseRun(config)
    run.progress.step = 1
    run.save()
    log = Log(config.work_dir / LOG, ("step", "hours"), 0)
    monkeypatch.setattr(Path, "write_bytes", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(FileError, match="the disk is full"):
        run.save()
    with pytest.raises(FileError, match=r"log\.csv cannot be written"):
        log.add(1, [0.5])
    monkeypatch.undo()
    assert load_checkpoint(config.work_dir / train.CHECKPOINT)["progress"]["step"] == 1


def test_workers_leave_ctrl_c_to_their_parent(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        start_worker(small_config(tmp_path))
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_all_clips_pass_before_any_comes_again(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    clips = train.ShardClips(FeatureSet(make_features(config), "train", CLASSIC), 1)
    seen = [clips.clip(number) for number in range(12)]
    assert sorted(seen[:6]) == sorted(seen[6:]) == list(range(6))
    rows, fresh = clips.read(RowSchedule(3, 2), 0, 40)
    assert rows.shape == (40, 3, 87)
    assert fresh.tolist() == [True, False, True]


def test_a_card_quotes_what_was_measured(tmp_path: Path) -> None:
    assert "Not measured" in quality_section(tmp_path)
    table = "set,name,clip,PESQ,SISDR\ndev,rnnoise,00,1.0,2.0\ndev,rnnoise,mean,1.5,{}\n"
    (tmp_path / "quality-1.csv").write_text(table.format("12.3456"))
    (tmp_path / "quality-2.csv").write_text(table.replace("dev", "own").format(""))
    assert quality_section(tmp_path).splitlines()[2:] == [
        "| set | PESQ | SISDR |",
        "| --- | --- | --- |",
        "| dev | 1.500 | 12.346 |",
        "| own | 1.500 |  |",
    ]


@pytest.mark.parametrize(("network", "family"), [(SMALL, "classic"), (SMALL_V02, "v0.2")])
def test_a_feature_file_trains_too(tmp_path: Path, network: NetworkConfig, family: str) -> None:
    rng = np.random.default_rng(1)
    layout = LAYOUTS[family]
    rows = rng.uniform(0.0, 1.0, (3 * 2000, feature_files.WIDTHS[family])).astype(np.float32)
    rows[:, -1] = rows[:, -1].round()
    rows[:7, layout.gains] = -1.0
    rows.tofile(tmp_path / "rows.f32")
    config = small_config(
        tmp_path,
        network=network,
        features=FeatureConfig(file=tmp_path / "rows.f32"),
        train=RNNoiseTrainConfig(steps=3, batch=2, frames=40, evaluate_every=3, threads=1, loudness=0.0),
    )
    assert train.main(config) == 0
    with (config.work_dir / LOG).open(newline="") as stream:
        last = list(csv.DictReader(stream))[-1]
    assert np.isfinite([float(last[name]) for name in ("loss", "gain", "validation_loss")]).all()
    with pytest.raises(ConfigError, match=r"'train.pesq' needs the energies"):
        dataclasses.replace(config, train=dataclasses.replace(config.train, pesq=0.1))
