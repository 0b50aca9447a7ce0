"""Settings as DTLNPytorch's repository has them become ours: names, folders, loss, schedule; what cannot is refused."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from require import require

require("torch", "pip install 'denoise-wrapper[training]'")

from denoise_wrapper.errors import ConfigError  # noqa: E402
from denoise_wrapper.training.dtln.config import DTLNConfig  # noqa: E402

PAIRS = 'clean_data_dirname = "data/clean"\nnoisy_data_dirname = "data/noisy"\n'
TUNING = (
    'finetune_clean_data_dirname = "mine/a"\nfinetune_noise_data_dirname = "mine/b"\nhow_many_finetune_h = 19\n'
    'how_many_initial_h = 1\ninitial_clean_data_dirname = "data/clean"\ninitial_noisy_data_dirname = "data/noisy"\n'
)


def settings(meta: str = PAIRS, trainer: str = "clip_grad_norm_ornot = true", loss: str = "dtln-snr") -> DTLNConfig:
    """Names and tables as its files have them; the values are ours."""
    text = (
        "[meta]\nseed = 7\nuse_amp = false\nnum_workers = 3\npin_memory = true\nnum_epochs = 20\nbatch_size = 12\n"
        f'samplerate = 32000\nsave_model_dir = "models"\nexperiment_name = "first"\n{meta}'
        "[audio]\nsamplerate = 32000\nduration = 4\n"
        '[model]\npath = "modules.any.Class"\n[model.args]\nframeLength = 1024\nhopLength = 256\nhidden_size = 96\n'
        f'[loss]\nmethod = "{loss}"\n[optimizer]\nlr = 0.004\nweight_decay = 1e-6\n'
        f'[trainer]\npath = "modules.any.Trainer"\n[trainer.args]\n{trainer}\nclip_grad_norm_value = 5\n'
    )
    return DTLNConfig.read(tomllib.loads(text))


def test_names_sizes_and_schedule_are_taken_over() -> None:
    config = settings()
    assert (config.name, config.work_dir, config.cache, config.seed) == (
        "first",
        Path("models/first"),
        Path("models"),
        7,
    )
    assert config.data.pairs == (Path("data"),)
    sizes = config.network
    assert (config.sample_rate, sizes.frame_length, sizes.hop_length, sizes.hidden_size) == (32000, 1024, 256, 96)
    assert not sizes.norm
    train = config.train
    assert (train.batch, train.processes, train.seconds, train.bf16, train.start_from) == (12, 3, 4.0, False, None)
    assert (train.rate, train.weight_decay, train.clip_norm) == (0.004, 1e-6, 5.0)
    assert (train.decay, train.gamma, train.step_size) == ("step", 0.97, 5)
    assert train.steps == 20 * train.evaluate_every


@pytest.mark.parametrize(("theirs", "ours"), [("dtln-snr", "snr"), ("MSE+dtln-snr", "snr+magnitude")])
def test_its_losses_have_our_names(theirs: str, ours: str) -> None:
    assert settings(loss=theirs).loss.method == ours


def test_gradients_are_not_clipped_where_it_does_not() -> None:
    assert settings(trainer="clip_grad_norm_ornot = false").train.clip_norm > 1e6


def test_fine_tuning_mixes_new_recordings_with_as_many_old_pairs_as_it_says() -> None:
    config = settings(f'{TUNING}preload_model_path = "old.pth"\n')
    assert (config.data.speech, config.data.noise) == ((Path("mine/a"),), (Path("mine/b"),))
    assert config.data.pairs == (Path("data"),)
    assert config.data.pairs_share == pytest.approx(0.05)
    assert config.train.start_from == Path("old.pth")
    assert settings(f'{PAIRS}preload_model_path = ""\n').train.start_from is None


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        (PAIRS.replace("data/noisy", "data/noisy_32k"), "not in data/clean and data/noisy_32k; link them so"),
        (PAIRS.replace("data/noisy", "other/noisy"), "clean/ and noisy/ of one folder"),
        (f'{PAIRS}train_list_path = "a.txt"\n', r"'meta.train_list_path' is a list of files; .*\[data\] speech"),
        (f"{PAIRS}pin_memry = true\n", "no setting called 'meta.pin_memry'"),
    ],
)
def test_what_cannot_be_taken_over_is_refused_with_what_to_do(meta: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        settings(meta)
