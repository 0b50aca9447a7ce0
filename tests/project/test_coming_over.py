"""The pages for users of other projects: each line of their tables is run, on made-up audio."""

from __future__ import annotations

import contextlib
import inspect
import re
import shlex
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from require import require

require("torch", "pip install 'denoise-wrapper[training]'")
pydub = require("pydub")

from sets import quick_opinions  # noqa: E402
from training_packs import write_packs  # noqa: E402
from training_runs import quick_pictures  # noqa: E402

from denoise_wrapper import Denoiser  # noqa: E402
from denoise_wrapper.cli import main as cli  # noqa: E402
from denoise_wrapper.compat import RNNoise  # noqa: E402

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "noisy.wav"
DOCS = Path(__file__).resolve().parents[2] / "docs"
TRAIN = "steps = 1\nevaluate_every = 1\nlog_every = 1\nbatch = 1\nthreads = 1\n"
MIX = "[mix]\nclip_s = 1.0\ngap_s = [0.05, 0.1]\n"
PAIRS = '[data]\npairs = ["mixed"]\nvalidation = 0.3\n'
DTLN = f"{PAIRS}{MIX}[validation]\nclips = 1\n[train]\nseconds = 0.25\nprocesses = 0\n"
MINE = 'work_dir = "run"\nname = "mine"\n'
FILES = {
    "two_files.toml": f'{MINE}[data]\nspeech = ["all_clean.raw"]\nnoise = ["all_noise.raw"]\n',
    "features.toml": f'{MINE}[features]\nfile = "training.h5"\n[train]\nloudness = 0.0\n{TRAIN}',
    "train_dns.toml": "[meta]\nseed = 42\nuse_amp = false\nnum_workers = 0\npin_memory = true\nnum_epochs = 1\n"
    'batch_size = 1\nsamplerate = 16000\nclean_data_dirname = "mixed/clean"\nnoisy_data_dirname = "mixed/noisy"\n'
    'save_model_dir = "."\nexperiment_name = "dtln"\npreload_model_path = ""\nsteps_per_epoch = 1\nthreads = 1\n'
    "validation_clips = 1\nlog_every = 1\n[audio]\nsamplerate = 16000\nduration = 0.25\n"
    '[model]\npath = "modules.dtlnModel_ns.Pytorch_DTLN_stateful"\n[model.args]\nframeLength = 512\nhopLength = 128\n'
    'hidden_size = 128\nencoder_size = 256\n[loss]\nmethod = "dtln-snr"\n[optimizer]\nlr = 0.002\n'
    '[trainer]\npath = "modules.trainer.Trainer"\n[trainer.args]\nclip_grad_norm_ornot = true\n'
    f"clip_grad_norm_value = 3\n[data]\nvalidation = 0.3\n{MIX}",
    "dtln-32k.toml": f'work_dir = "dtln-32k"\nsample_rate = 32000\n{DTLN}{TRAIN}',
    "tune.toml": f'work_dir = "tuned"\n{DTLN}rate = 1e-4\nfreeze = ["frame_core.encode"]\n{TRAIN}',
}


def tables(name: str) -> Iterator[list[list[str]]]:
    """The tables of a page, without their headings: rows of cells."""
    rows: list[list[str]] = []
    for line in [*(DOCS / name).read_text(encoding="utf-8").splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif rows:
            yield rows[2:]
            rows = []


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, library: Callable[..., Path]) -> Path:
    """Files by the names that the pages use."""
    place = tmp_path_factory.mktemp("over")
    speech, noise = write_packs(place)
    noise.rename(place / "noise")
    for number, path in enumerate(sorted(speech.glob("*.wav"))):
        target = place / "clean" / ("german", "french")[number % 2] / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for name, content in FILES.items():
        (place / name).write_text(content)
    samples = 0.1 * np.random.default_rng(1).standard_normal(48000)
    (place / "recordings").mkdir()
    for name in ("test.wav", "input.wav"):
        soundfile.write(place / name, samples, 48000)
    shutil.copy(EXAMPLE, place / "recordings" / "one.wav")  # in which speech can be told from noise
    (place / "path" / "to").mkdir(parents=True)
    shutil.copy(library(), place / "path" / "to" / "librnnoise.so.0.4.1")
    assert cli.main(["convert", "rnnoise-classic", "-o", str(place / "mine.rnnn")]) == 0
    return place


@pytest.fixture(autouse=True)
def quick_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure in this process, without DNSMOS, and draw no curves: what they show is for other tests to check."""
    quick_opinions(monkeypatch)
    quick_pictures(monkeypatch)
    monkeypatch.setattr("denoise_wrapper.cli.compare.cores", lambda: 1)


def run(code: str, names: dict[str, Any]) -> None:
    """Run a command line, or Python whose names are kept."""
    if code.startswith("denoise-wrapper "):
        assert cli.main(shlex.split(code)[1:]) == 0
    else:
        exec(code, names)


def run_page(name: str, folder: Path, names: dict[str, Any], column: int) -> int:
    """Run the last cell of each row that has so many; returns how many were run."""
    count = 0
    with contextlib.chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for rows in tables(name):
            for row in rows if len(rows[0]) == column else []:
                (code,) = codes(row[-1])
                run(code, names)
                count += 1
    return count


def test_each_call_of_rnnoise_wrapper_has_one_of_ours(folder: Path) -> None:
    calls, _, chapters = tables("from-rnnoise-wrapper.md")
    names: dict[str, Any] = {"RNNoise": RNNoise}
    with contextlib.chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for row in calls:
            (code,) = codes(row[-1])
            run(code, names)
    assert len(calls) == 14
    assert (folder / "output.wav").is_file()
    assert len(names["denoised"].raw_data) == len(names["audio"].raw_data)
    assert len(chapters) == 10


def test_each_chapter_of_the_training_guide_has_a_command(folder: Path) -> None:
    assert run_page("from-rnnoise-wrapper.md", folder, {}, 3) == 10
    assert (folder / "rnn_data.h").is_file()
    assert (folder / "training.f32").stat().st_size == 4000 * 87 * 4
    assert (folder / "compare.html").is_file()


def test_each_step_of_dtlnpytorch_has_a_command(folder: Path) -> None:
    shutil.rmtree(folder / "mixed", ignore_errors=True)
    buffer = np.zeros(480, np.float32)
    assert run_page("from-dtlnpytorch.md", folder, {"Denoiser": Denoiser, "buffer": buffer}, 3) == 12
    assert (folder / "pair" / "small_1.onnx").is_file()


# ---- the interface of RNNoise_Wrapper, function by function ----


def signatures() -> list[tuple[str, str]]:
    _, functions, _ = tables("from-rnnoise-wrapper.md")
    return [(codes(row[0])[0], row[1]) for row in functions]


@pytest.mark.parametrize(("signature", "_"), signatures(), ids=lambda value: value.split("(")[0])
def test_a_function_takes_what_theirs_takes(signature: str, _: str) -> None:
    name, _, rest = signature.partition("(")
    theirs = inspect.signature(eval(f"lambda self{', ' if rest != ')' else ''}{rest[:-1]}: None"))
    ours = inspect.signature(getattr(RNNoise, name)).parameters
    for own, parameter in zip(ours.values(), theirs.parameters.values(), strict=False):
        assert (own.name, own.default) == (parameter.name, parameter.default)
    for extra in list(ours.values())[len(theirs.parameters) :]:
        assert extra.default is not inspect.Parameter.empty, "what ours takes more can be left out"


@pytest.mark.parametrize(("signature", "returns"), signatures(), ids=lambda value: value.split("(")[0])
def test_a_function_returns_what_theirs_returns(signature: str, returns: str, folder: Path, tmp_path: Path) -> None:
    denoiser = RNNoise()
    audio = denoiser.read_wav(folder / "test.wav")
    raw = audio.raw_data
    calls: dict[str, list[Callable[[], object]]] = {
        "__init__": [lambda: denoiser.__init__(None)],  # type: ignore[misc]
        "reset": [denoiser.reset],
        "filter_frame": [lambda: denoiser.filter_frame(raw[:960])],
        "filter": [lambda: denoiser.filter(audio), lambda: denoiser.filter(raw, 48000, 0.0, True)],
        "read_wav": [lambda: denoiser.read_wav(folder / "test.wav", 16000)],
        "write_wav": [lambda: denoiser.write_wav(tmp_path / "a.wav", raw, 48000)],
        "write_wav_from_audiosegment": [lambda: denoiser.write_wav_from_audiosegment(tmp_path / "b.wav", audio, 16000)],
        "write_wav_from_bytes": [lambda: denoiser.write_wav_from_bytes(tmp_path / "c.wav", raw, 48000, 16000)],
    }
    kinds = [type(call()).__name__.replace("NoneType", "None") for call in calls[signature.partition("(")[0]]]
    assert kinds == codes(returns)
