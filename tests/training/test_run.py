"""What all trainings have: epochs, progress, weights to start from, parts that stay, and a stop that saves."""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from require import require

require("torch", "pip install 'denoise-wrapper[training]'")

import torch  # noqa: E402
from feature_rows import bare, made_rows  # noqa: E402
from training_packs import write_packs  # noqa: E402
from training_runs import quick_pictures, save_toml  # noqa: E402

from denoise_wrapper import machine  # noqa: E402
from denoise_wrapper.backends.convert import read_any_model, read_model, write_model  # noqa: E402
from denoise_wrapper.cli import main as cli  # noqa: E402
from denoise_wrapper.cli.training import FAMILIES, pretrained  # noqa: E402
from denoise_wrapper.errors import ConfigError, ModelError  # noqa: E402
from denoise_wrapper.training.config import plain  # noqa: E402
from denoise_wrapper.training.dtln import train as dtln  # noqa: E402
from denoise_wrapper.training.dtln.config import DTLNConfig  # noqa: E402
from denoise_wrapper.training.rnnoise import pipeline, train  # noqa: E402
from denoise_wrapper.training.rnnoise.config import NetworkConfig, RNNoiseConfig  # noqa: E402
from denoise_wrapper.training.rnnoise.export import fitted  # noqa: E402
from denoise_wrapper.training.run.card import settings_toml, sha256, toml  # noqa: E402
from denoise_wrapper.training.run.checkpoint import load_checkpoint  # noqa: E402
from denoise_wrapper.training.run.log import duration  # noqa: E402
from denoise_wrapper.training.run.run import Run  # noqa: E402
from denoise_wrapper.training.run.start import find_start, freeze  # noqa: E402

PAIR_OF_16K = [find_start(Path("dtln-16k")).with_name(f"dtln-16k_{number}.onnx") for number in (1, 2)]


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    quick_pictures(monkeypatch)


def feature_config(folder: Path, **changes: object) -> RNNoiseConfig:
    """A training of seconds on 6000 rows of no meaning: 2 sequences to learn from, one to validate on."""
    rows = folder / "rows.f32"
    if not rows.exists():
        bare(rows, made_rows("classic", 6000))
    settings = {"steps": 2, "batch": 2, "frames": 500, "evaluate_every": 4, "warm_up": 1, "threads": 1, "loudness": 0.0}
    return RNNoiseConfig.read(
        {"work_dir": str(folder / "work"), "features": {"file": str(rows)}, "train": {**settings, **changes}}
    )


def dtln_toml(folder: Path, *lines: str, **train_settings: object) -> Path:
    """Settings of a DTLN at 16 kHz that trains for a step or two on made-up packs."""
    speech, noise = write_packs(folder)
    values = {"steps": 1, "evaluate_every": 1, "batch": 1, "seconds": 0.25, "processes": 0, "threads": 1}
    table = "\n".join(f"{key} = {toml(value)}" for key, value in {**values, **train_settings}.items())
    path = folder / "run.toml"
    path.write_text(
        f'work_dir = "{folder}/run"\n' + "\n".join(line for line in lines if not line.startswith("[")) + "\n"
        f'[data]\nspeech = ["{speech}"]\nnoise = ["{noise}"]\nvalidation = 0.3\n'
        f"[mix]\nclip_s = 1.0\n[validation]\nclips = 1\n[train]\n{table}\n"
        + "\n".join(line for line in lines if line.startswith("["))
    )
    return path


# ---- epochs and progress ----


def test_an_epoch_of_a_feature_file_is_one_pass_over_its_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = feature_config(tmp_path, epochs=3)
    assert train.RNNoiseRun.epoch_steps(config) == 4  # 2 sequences of 2000 rows by 2 x 500 a step
    assert train.main(config) == 0
    said = capsys.readouterr()
    assert "rnnoise: 12 steps (3 epochs)" in said.err
    assert "8.33 %" in said.err  # the first step is shown
    assert " left  step 4  hours " in said.err
    assert "100 %  step 12" in said.err
    assert "12 steps, 0.0333 h of audio" in said.err
    assert "this call took" in said.err
    written = [Path(line) for line in said.out.splitlines()]
    assert {path.name for path in written} >= {"rnnoise.dnnw", "rnnoise.rnnn", "rnn_data.c", "rnn_data.h", "rnnoise.md"}
    assert all(path.is_file() for path in written)


def test_a_validation_shows_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[int, int, str]] = []

    def track(items: range, count: int, text: str) -> range:
        shown.append((len(items), count, text))
        return items

    monkeypatch.setattr(train, "tracked", track)
    bare(tmp_path / "rows.f32", made_rows("classic", 60_000))  # 3 sequences to validate on
    assert train.main(feature_config(tmp_path, batch=2, steps=1)) == 0
    assert shown == [(2, 2, "validation")]


def test_a_card_says_what_feature_file_was_learned_from(tmp_path: Path) -> None:
    config = feature_config(tmp_path)
    assert train.main(config) == 0
    card = (config.work_dir / "rnnoise.md").read_text()
    assert f"| rows.f32 | 6000 | 0.017 h | `{sha256(tmp_path / 'rows.f32')}` |" in card
    assert "2 steps, 0.0056 h of audio" in card
    assert "[mix]" not in card
    assert "Speech" not in card.split("## Course")[0].split("## Features")[1]


def test_an_epoch_of_mixed_hours_is_one_pass_over_them(tmp_path: Path) -> None:
    table = {
        "work_dir": str(tmp_path), "data": {"speech": ["s"], "noise": ["n"]}, "mix": {"clip_s": 10.0},
        "train": {"batch": 4, "frames": 200, "epochs": 2},
    }  # fmt: skip
    for online in (False, True):
        config = RNNoiseConfig.read({**table, "features": {"hours": 1.0, "shard_hours": 0.5, "online": online}})
        assert train.RNNoiseRun.epoch_steps(config) == 360 * 5 // 4


def test_epochs_of_the_command_line_replace_the_settings_length(tmp_path: Path) -> None:
    config = feature_config(tmp_path, minutes=3.0)
    toml_file = save_toml(config, tmp_path / "run.toml")
    assert pipeline.load(toml_file, epochs=120).training.train.epochs == 120
    assert cli.main(["train", "rnnoise", "-C", str(toml_file), "--epochs", "1"]) == 0
    assert load_checkpoint(config.work_dir / train.CHECKPOINT)["progress"]["step"] == 4
    assert cli.main(["train", "rnnoise", "-C", str(toml_file), "--epochs", "0"]) == 2
    with pytest.raises(ConfigError, match="'epochs' and 'minutes'"):
        feature_config(tmp_path, minutes=3.0, epochs=2)


def test_a_finished_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = feature_config(tmp_path)
    assert train.main(config) == 0
    capsys.readouterr()
    assert train.main(config, resume=True) == 0
    assert "finished before, at step 2 of 2 steps; to train longer, raise" in capsys.readouterr().err


@pytest.mark.parametrize(("seconds", "words"), [(41.6, "42 s"), (184, "3 min 04 s"), (18420, "5 h 07 min")])
def test_durations_are_read_at_a_glance(seconds: float, words: str) -> None:
    assert duration(seconds) == words


# ---- weights to start from ----


@pytest.mark.parametrize("suffix", [".dnnw", ".rnnn", ".c", "name", "run", "checkpoint"])
def test_rnnoise_goes_on_from_a_name_a_model_or_a_run(tmp_path: Path, suffix: str) -> None:
    model = read_model(find_start(Path("rnnoise-classic")))
    start = Path("rnnoise-classic")
    if suffix in ("run", "checkpoint"):
        first = replace(feature_config(tmp_path, start_from="rnnoise-classic", rate=1e-9), work_dir=tmp_path / "first")
        assert train.main(first) == 0
        start = first.work_dir / (train.CHECKPOINT if suffix == "checkpoint" else "")
    elif suffix != "name":
        start = tmp_path / f"model{suffix}"
        write_model(model, start)
    config = feature_config(tmp_path, start_from=str(start), rate=1e-9, quantise_from=0.0)
    assert train.main(config) == 0
    again = read_model(config.work_dir / "rnnoise.dnnw")
    for ours, theirs in zip(again.layers, model.layers, strict=True):
        for one, other in zip(ours.arrays, theirs.arrays, strict=True):
            np.testing.assert_array_equal(one, other)
    assert "trained on from" in again.metadata["origin"]


def test_a_dtln_goes_on_from_the_shipped_pair_by_name_file_folder_or_both_files(tmp_path: Path) -> None:
    (tmp_path / "pair").mkdir()
    for path in PAIR_OF_16K:
        (tmp_path / "pair" / path.name).write_bytes(path.read_bytes())
    toml_file = dtln_toml(tmp_path)
    config = dtln.load(toml_file)
    wanted = dtln.preload(PAIR_OF_16K[0], config).state_dict()
    pairs = [["dtln-16k"], [str(PAIR_OF_16K[0])], [str(tmp_path / "pair")], [str(path) for path in PAIR_OF_16K]]
    for words in pairs:
        started = dtln.load(toml_file, pretrained([Path(word) for word in words]))
        run = dtln.DTLNRun(started)
        run.begin()
        assert all(torch.equal(part, run.network.state_dict()[name]) for name, part in wanted.items())
        assert run.history[0].steps == 0
    old = tmp_path / "old.toml"
    text = f'[meta]\nsave_model_dir = "{tmp_path}"\npreload_model_path = "dtln-16k"\n[data]\npairs = ["x"]\n'
    old.write_text(text)
    assert dtln.load(old).train.start_from == Path("dtln-16k")
    with pytest.raises(ConfigError, match=r"NAME1\.onnx NAME2\.onnx"):
        pretrained([PAIR_OF_16K[1], PAIR_OF_16K[0]])


@pytest.mark.parametrize("by", ["option", "settings"])
@pytest.mark.parametrize("kind", ["rnnoise", "dtln", "enhancer"])
def test_a_run_from_weights_learns_at_a_tenth_of_the_rate_unless_settings_name_one(
    tmp_path: Path, kind: str, by: str
) -> None:
    train_table = "" if by == "option" else 'start_from = "weights"\n'
    option = Path("weights") if by == "option" else None
    rates = []
    for lines in ("", "rate = 0.5\n"):
        path = tmp_path / "run.toml"
        path.write_text(
            f'work_dir = "{tmp_path}/run"\n[data]\nspeech = ["s"]\nnoise = ["n"]\n[train]\n{train_table}{lines}'
        )
        loaded = importlib.import_module(FAMILIES[kind][1]).load(path, option)
        config = loaded.training if kind == "rnnoise" else loaded
        assert config.train.start_from == Path("weights")
        assert config.train.vector_rate == pytest.approx(type(config.train).vector_rate / 10)
        rates.append(config.train.rate)
    assert rates == pytest.approx([type(config.train).rate / 10, 0.5])
    path.write_text(path.read_text().replace('start_from = "weights"\n', "").replace("rate = 0.5\n", ""))
    loaded = importlib.import_module(FAMILIES[kind][1]).load(path)
    assert (loaded.training if kind == "rnnoise" else loaded).train.rate == type(config.train).rate


@pytest.mark.parametrize("kind", ["rnnoise", "dtln"])
def test_a_run_from_weights_is_resumed_and_exported_without_naming_them_again(tmp_path: Path, kind: str) -> None:
    name = "rnnoise-classic" if kind == "rnnoise" else "dtln-16k"
    if kind == "rnnoise":
        text = settings_toml(plain(feature_config(tmp_path)))
        path = tmp_path / "run.toml"
        path.write_text("\n".join(line for line in text.splitlines() if "rate = " not in line or "final" in line))
    else:
        path = dtln_toml(tmp_path)
    command = ["train", kind, "-C", str(path)]
    assert cli.main([*command, "--pretrained", name, "--epochs", "1"]) == 0
    assert cli.main([*command, "-R", "--epochs", "2"]) == 0
    assert cli.main([*command, "--export", str(tmp_path / "out")]) == 0
    (card,) = (path.read_text() for path in (tmp_path / "out").glob("*.md"))
    assert re.search(rf"trained on from {name}" if kind == "rnnoise" else rf"{name}_1\.onnx", card)


@pytest.mark.parametrize("kind", ["rnnoise", "dtln"])
def test_a_start_that_is_not_there_is_refused_with_the_names_that_are(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    toml_file = dtln_toml(tmp_path) if kind == "dtln" else save_toml(feature_config(tmp_path), tmp_path / "run.toml")
    assert cli.main(["train", kind, "-C", str(toml_file), "--pretrained", "no-such-model"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "no-such-model to start from" in said
    assert "dtln-16k, dtln-32k, enhancer, enhancer-live, enhancer-tiny, rnnoise, rnnoise-classic" in said


def test_frozen_parts_keep_their_weights_while_others_learn(tmp_path: Path) -> None:
    model = read_model(find_start(Path("rnnoise-classic")))
    frozen = ["input_dense", "noise_gru"]
    config = feature_config(tmp_path, start_from="rnnoise-classic", rate=0.05, freeze=frozen)
    assert train.main(config) == 0
    again = read_model(config.work_dir / "rnnoise.dnnw")
    for ours, theirs in zip(again.layers, model.layers, strict=True):
        same = all((one == other).all() for one, other in zip(ours.arrays, theirs.arrays, strict=True))
        assert same == (ours.name in frozen), ours.name


def test_a_network_of_no_settings_is_that_of_the_model_to_start_from(tmp_path: Path) -> None:
    for name in ("rnnoise", "rnnoise-classic"):
        model = read_any_model(find_start(Path(name)))
        config = fitted(feature_config(tmp_path, start_from=name))
        assert config.network.family == model.family
        train.RNNoiseRun.make_network(SimpleNamespace(config=config))  # type: ignore[arg-type]
    other = replace(config, network=NetworkConfig(dense=12))
    assert fitted(other) is other
    with pytest.raises(ModelError, match="set up for"):
        train.RNNoiseRun(other)
    with pytest.raises(ModelError, match="vad_gru: relu, but the network is set up for tanh"):
        train.RNNoiseRun(replace(config, network=NetworkConfig()))


@pytest.mark.parametrize("name", ["dtln-16k-room", "rnnoise-classic-room"])
def test_the_recipes_of_a_room_begin_with_the_shipped_weights(name: str, tmp_path: Path) -> None:
    path = Path(train.__file__).parents[1] / "configs" / f"{name}.toml"
    run: Run[Any, Any]
    if name.startswith("dtln"):
        run = dtln.DTLNRun(dtln.load(path))
    else:
        run = train.RNNoiseRun(fitted(pipeline.load(path).training))
    run.begin()
    frozen = [key for key, part in run.network.named_parameters() if not part.requires_grad]
    assert frozen


LOSS = (
    "gain_power",
    "sharpen",
    "fourth",
    "speech_weight",
    "loudness",
    "loudness_power",
    "over",
    "perceptual",
    "pesq",
    "vad",
)


@pytest.mark.parametrize("name", ["dtln-16k", "rnnoise-classic"])
def test_the_recipes_of_a_room_have_the_loss_of_the_shipped_weights(name: str) -> None:
    configs = Path(train.__file__).parents[1] / "configs"
    paths = [configs / f"{name}{part}.toml" for part in ("", "-room")]
    if name.startswith("dtln"):
        shipped, room = (dtln.load(path) for path in paths)
        assert room.loss == shipped.loss
    else:
        before, after = (pipeline.load(path).training.train for path in paths)
        assert [getattr(after, term) for term in LOSS] == [getattr(before, term) for term in LOSS]


def test_parts_that_cannot_be_frozen_are_refused(tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    with pytest.raises(ConfigError, match="no part 'gru'; its parts are 0, 1"):
        freeze(network, ("gru",))
    with pytest.raises(ConfigError, match="whole network"):
        freeze(network, ("0", "1"))


# ---- what no backend runs, threads, stopping ----


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["sample_rate = 48000"], "no backend runs a DTLN at 48000 Hz; set 'sample_rate' to 16000 or 32000"),
        (["sample_rate = 8000"], "no backend runs a DTLN at 8000 Hz"),
        (["[network]\nhop_length = 256"], "blocks of 512 samples every 256 at 16000 Hz"),
        (["sample_rate = 32000", "[network]\nframe_length = 512\nhop_length = 128"], "which makes them 1024 and 256"),
    ],
)
def test_a_dtln_that_no_backend_runs_is_refused_first(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        dtln.main(dtln.load(dtln_toml(tmp_path, *lines)), toml="")


def test_a_dtln_that_no_backend_runs_is_refused_when_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = dtln_toml(tmp_path, "[network]\nhop_length = 256")
    assert dtln.main(dtln.load(path)) == 0  # as before there was a check
    last = tmp_path / "run" / dtln.DTLNRun.last
    before = last.read_bytes()
    assert cli.main(["train", "dtln", "-C", str(path), "-R", "--epochs", "2"]) == 2
    assert "blocks of 512 samples every 256 at 16000 Hz" in capsys.readouterr().err
    assert last.read_bytes() == before


@pytest.mark.parametrize(("rate", "sizes"), [(16000, (512, 128)), (32000, (1024, 256))])
def test_blocks_and_hops_follow_the_rate(tmp_path: Path, rate: int, sizes: tuple[int, int]) -> None:
    config = dtln.load(dtln_toml(tmp_path, f"sample_rate = {rate}"))
    assert (config.network.frame_length, config.network.hop_length) == sizes
    old = DTLNConfig.read({"meta": {"save_model_dir": "x"}, "audio": {"samplerate": rate}, "data": {"pairs": ["x"]}})
    assert (old.network.frame_length, old.network.hop_length) == sizes


@pytest.mark.parametrize(("load_average", "threads"), [(0.0, 2), (1.2, 1), (2.9, 1), (99.0, 1)])
def test_a_busy_machine_gets_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load_average: float, threads: int
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load_average, 0.0, 0.0))
    monkeypatch.setattr(machine, "cores", lambda: 2)
    chosen: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr(train.RNNoiseRun, "train", lambda _: 1)  # the loop, which comes after it
    for asked in (0, 3):
        assert train.main(feature_config(tmp_path, threads=asked)) == 1
    assert chosen == [threads, 3]


# As docker stop and kill send it, as a scheduler does to all of a job, and as Ctrl-C in a terminal does.
@pytest.mark.parametrize(("number", "group"), [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, True)])
def test_a_signal_saves_the_run_and_its_workers_die_quietly(tmp_path: Path, number: int, group: bool) -> None:
    toml_file = dtln_toml(tmp_path, steps=100_000, evaluate_every=100_000, processes=1)
    command = [sys.executable, "-m", "denoise_wrapper", "train", "dtln", "-C", str(toml_file)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    said = []
    while "step 1 " not in (line := process.stderr.readline()):
        said.append(line)
        assert line, "".join(said)
    time.sleep(0.2)
    (os.killpg if group else os.kill)(process.pid, number)
    rest = process.stderr.read()
    assert process.wait(60) == 130
    assert "and saved; go on with -R" in rest
    assert "Traceback" not in rest
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["progress"]["step"] >= 1
