"""A training that a signal asks to stop: it saves itself, cuts no update in two, and goes on as if never stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from require import require

torch = require("torch", reason="pip install 'denoise-wrapper[training]'")
from enhancers import SMALL  # noqa: E402
from training_packs import MIX, write_packs  # noqa: E402

from denoise_wrapper.training.config import BlendConfig  # noqa: E402
from denoise_wrapper.training.enhancer import train  # noqa: E402
from denoise_wrapper.training.enhancer.config import (  # noqa: E402
    EnhancerConfig,
    EnhancerTrainConfig,
    ValidationConfig,
)
from denoise_wrapper.training.run.checkpoint import LAST, load_checkpoint  # noqa: E402
from denoise_wrapper.training.run.log import Stopped, stop_request  # noqa: E402

pytestmark = [pytest.mark.fault, pytest.mark.skipif(os.name == "nt", reason="signals of another kind are there")]
SIGNALS = [signal.SIGTERM]


def small_config(folder: Path) -> EnhancerConfig:
    """Two epochs of three steps, two rows of a quarter of a second."""
    speech, noise = write_packs(folder)
    steps = EnhancerTrainConfig(
        steps=6, batch=2, seconds=0.25, processes=0, log_every=1, evaluate_every=3, warm_up=2, threads=1
    )
    return EnhancerConfig(
        work_dir=folder / "run",
        cache_dir=folder / "cache",
        data=BlendConfig(speech=(speech,), noise=(noise,), validation=0.3),
        mix=MIX,
        body=SMALL,
        train=steps,
        validation=ValidationConfig(clips=2),
    )


@pytest.fixture(scope="module")
def unstopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[EnhancerConfig, dict[str, Any]]:
    """The settings of a run, and its last checkpoint where no signal came."""
    config = small_config(tmp_path_factory.mktemp("unstopped"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.EnhancerRun, "publish", lambda run, target: [])
        assert train.main(config) == 0
    return config, load_checkpoint(config.work_dir / LAST)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("where", ["batches", "compare", "validate", "update"])
def test_a_signal_at_any_place_saves_a_run_that_goes_on_as_if_never_stopped(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    unstopped: tuple[EnhancerConfig, dict[str, Any]],
    where: str,
    number: int,
) -> None:
    monkeypatch.setattr(train.EnhancerRun, "publish", lambda run, target: [])  # such small ones have no other form
    config, whole = unstopped
    config = replace(config, work_dir=tmp_path / "stopped")
    calls, plain = 0, getattr(train.EnhancerRun, where)

    def signalled(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == (1 if where in ("batches", "validate") else 3):
            if where == "batches":
                return interrupted(plain(*args))
            made = plain(*args)  # all but the end of it, so that what it changes has to be put back
            signal.raise_signal(number)
            return made
        return plain(*args)

    def interrupted(batches: Iterator[Any]) -> Iterator[Any]:
        yield next(batches)
        signal.raise_signal(number)
        yield from batches

    with monkeypatch.context() as patch:
        patch.setattr(train.EnhancerRun, where, signalled)
        assert train.main(config) == 1
    saved = load_checkpoint(config.work_dir / LAST)
    assert saved["progress"]["step"] == {"batches": 1, "compare": 2, "validate": 3, "update": 3}[where]
    assert train.main(config, resume=True) == 0
    again = load_checkpoint(config.work_dir / LAST)
    assert again["progress"]["step"] == whole["progress"]["step"]
    if where != "validate":  # which is not made up for
        for name, values in whole["training"]["network"].items():
            assert torch.equal(values, again["training"]["network"][name])


@pytest.fixture
def usual_handlers() -> None:
    """Answer the signals as a fresh process does; those that were set are put back after the test (conftest)."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.mark.usefixtures("usual_handlers")
def test_a_second_signal_ends_at_once() -> None:
    with stop_request() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("usual_handlers")
def test_what_may_be_cut_is_cut_and_the_rest_is_not() -> None:
    with stop_request() as stop:
        with pytest.raises(Stopped), stop.cutting():
            signal.raise_signal(signal.SIGTERM)
        assert stop()
        with pytest.raises(Stopped):
            stop.cutting().__enter__()
    with stop_request() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
