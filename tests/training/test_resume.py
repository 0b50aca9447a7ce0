"""Runs that were begun before the trainings had one base: their settings, checkpoints and next steps.

The fixtures were written by the code of that time: a checkpoint after three steps, packed by gzip, the settings, and of
the three steps that it went on to the losses, and the weights in the end.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from require import require

torch = require("torch", reason="training needs torch: pip install denoise-wrapper[training]")

from torch import Tensor, nn  # noqa: E402

from denoise_wrapper.errors import ConfigError  # noqa: E402
from denoise_wrapper.training.dtln import train as dtln  # noqa: E402
from denoise_wrapper.training.dtln.batches import Batch  # noqa: E402
from denoise_wrapper.training.enhancer import train as enhancer  # noqa: E402
from denoise_wrapper.training.enhancer.batches import Batch as EnhancerBatch  # noqa: E402
from denoise_wrapper.training.enhancer.loss import Target  # noqa: E402
from denoise_wrapper.training.rnnoise import pipeline  # noqa: E402
from denoise_wrapper.training.rnnoise import train as rnnoise  # noqa: E402
from denoise_wrapper.training.rnnoise.features import LAYOUTS  # noqa: E402
from denoise_wrapper.training.run.checkpoint import LAST, open_checkpoint  # noqa: E402
from denoise_wrapper.training.run.lineage import describe  # noqa: E402
from denoise_wrapper.training.run.run import Run, flushed_denormals  # noqa: E402

FIXTURES = Path(__file__).parent / "fixtures"
# Parts of the loss that there were not then.
LATER = {"dtln": ("over", "perceptual", "pesq"), "enhancer": ("perceptual",)}
ROUNDED = {"enhancer"}  # whose powers are made of logarithms since


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def dtln_batches(step: int) -> Iterator[Batch]:
    while True:
        clean = 0.1 * random(step, 2, 128)
        noisy = clean + 0.05 * random(1000 + step, 2, 128)
        yield Batch(noisy, clean, torch.tensor([step % 4 == 0, step % 4 == 3]))
        step += 1


def rnnoise_batches(step: int) -> Iterator[tuple[Tensor, ...]]:
    layout = LAYOUTS["classic"]
    while True:
        rows = torch.rand(20, 2, layout.columns, generator=torch.Generator().manual_seed(step))
        rows[:, :, layout.features] = 2 * rows[:, :, layout.features] - 1
        rows[:, :, layout.voice] = rows[:, :, layout.voice].round()
        yield rows, torch.tensor([step % 4 == 0, step % 4 == 3])
        step += 1


def enhancer_batches(step: int) -> Iterator[EnhancerBatch]:
    while True:
        clean = 0.1 * random(step, 2, 480 * 11)
        noisy, voice = clean[:, 480:] + 0.05 * random(1000 + step, 2, 4800), (random(2000 + step, 2, 10) > 0).float()
        target = Target(clean, voice, torch.ones(2, 481, dtype=torch.bool))
        yield EnhancerBatch(noisy, target, torch.zeros(2, 0), torch.tensor([step % 4 == 0, step % 4 == 3]))
        step += 1


@pytest.fixture(autouse=True)
def denormals() -> Iterator[None]:
    """Take denormals for zeros, as a training does."""
    with flushed_denormals():
        yield


def unpacked(name: str, folder: Path) -> Path:
    """A checkpoint of before, in a folder."""
    (folder / LAST).parent.mkdir(parents=True)
    (folder / LAST).write_bytes(gzip.decompress((FIXTURES / f"{name}.pt.gz").read_bytes()))
    return folder / LAST


def resumed(run: Run[Any, Any], name: str, folder: Path) -> Run[Any, Any]:
    """A run that has taken up a checkpoint of before."""
    torch.set_num_threads(1)
    run.start(open_checkpoint(unpacked(name, folder), True, run.config, run.free))
    return run


def go_on(run: Run[Any, Any], feed: Iterator[Any]) -> list[list[float]]:
    """The losses, gradient's norm and rate of three steps."""
    rows = []
    for _ in range(3):
        loss, norm = run.step(feed)
        rows.append([*(float(part.detach()) for part in loss), float(norm), run.rate])
    return rows


def check(name: str, run: Run[Any, Any], rows: list[list[float]]) -> None:
    """Compare with what the run went on to before: to the bit with the same torch on such a processor, where it is."""
    before = np.load(FIXTURES / f"{name}.npz")
    alike = list(before["machine"]) == [torch.__version__, torch.backends.cpu.get_cpu_capability()]
    tolerance = 0.0 if alike and name not in ROUNDED else 1e-5
    later = [run.losses.index(part) for part in LATER.get(name, ())]
    assert not np.array(rows)[:, later].any()
    np.testing.assert_allclose(np.delete(rows, later, axis=1), before["rows"], rtol=tolerance, atol=tolerance)
    networks: dict[str, nn.Module] = {"network": run.network, "averaged": run.averaged.network}
    for kind, network in networks.items():
        for key, values in network.state_dict().items():
            np.testing.assert_allclose(values.numpy(), before[f"{kind}.{key}"], rtol=tolerance, atol=tolerance)


def test_a_dtln_goes_on_as_it_did_before(tmp_path: Path) -> None:
    run = resumed(dtln.DTLNRun(dtln.load(FIXTURES / "dtln.toml")), "dtln", tmp_path)
    assert (run.progress.step, run.progress.best, run.progress.reductions) == (3, 1.0, 1)
    assert describe(run.history) == "trained from nothing, 0.5 h of audio: first (7 steps, 0.5 h)"
    check("dtln", run, go_on(run, dtln_batches(3)))


def test_an_enhancer_goes_on_as_it_did_before(tmp_path: Path) -> None:
    run = resumed(enhancer.EnhancerRun(enhancer.load(FIXTURES / "enhancer.toml")), "enhancer", tmp_path)
    assert (run.progress.step, run.progress.best) == (3, -2.5)
    check("enhancer", run, go_on(run, enhancer_batches(3)))


def test_an_rnnoise_network_goes_on_as_it_did_before(tmp_path: Path) -> None:
    run = resumed(rnnoise.RNNoiseRun(pipeline.load(FIXTURES / "classic.toml").training), "classic", tmp_path)
    rows = go_on(run, rnnoise_batches(3))
    check("classic", run, [[float(np.float32(rate)), *values] for *values, rate in rows])  # it was kept so, and first


def test_the_names_of_before_become_one_word_each() -> None:
    config = dtln.load(FIXTURES / "dtln.toml")
    assert (config.work_dir, config.cache) == (Path("runs/before"), Path("runs"))
    assert (config.name, config.seed, config.sample_rate) == ("before", 42, 8000)
    chosen = config.train
    assert (chosen.steps, chosen.evaluate_every, chosen.batch, chosen.processes, chosen.bf16) == (6, 3, 2, 0, False)
    assert (chosen.method, chosen.rate, chosen.decay, chosen.patience) == ("adam", 1e-2, "plateau", 1)
    assert (config.network.frame_length, config.network.dropout, config.validation.clips) == (32, 0.2, 2)


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [("lr = 1e-2", "lr = 2e-2", r"train\.rate"), ("seed", "seed", ""), ("num_epochs = 2", "num_epochs = 5", "")],
)
def test_settings_of_before_are_held_to(tmp_path: Path, old: str, new: str, names: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text((FIXTURES / "dtln.toml").read_text().replace(old, new))
    run = dtln.DTLNRun(dtln.load(path))
    if not names:
        assert resumed(run, "dtln", tmp_path).progress.step == 3
        return
    with pytest.raises(ConfigError, match=names):
        resumed(run, "dtln", tmp_path)


def test_a_checkpoint_of_before_is_gone_on_from_in_another_run(tmp_path: Path) -> None:
    unpacked("dtln", tmp_path)
    run = dtln.DTLNRun(dtln.load(FIXTURES / "dtln.toml", start_from=tmp_path))
    run.start(None)
    assert (
        describe(run.history)
        == "trained from nothing, 0.5 h of audio: first (7 steps, 0.5 h), then before (3 steps, 2.7e-05 h)"
    )
    assert run.progress.step == 0
