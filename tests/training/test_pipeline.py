"""The steps from folders to a wheel by one command: their order, what is passed over, and what is refused before."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from require import require

torch = require("torch", reason="training needs torch: pip install denoise-wrapper[training]")
for package in ("hatchling", "setuptools", "cffi", "librosa", "pesq", "pystoi", "speechmos"):
    require(package, reason="wheels and measures need their packages: pip install 'denoise-wrapper[test]'")

from feature_rows import bare, made_rows  # noqa: E402
from sets import write_set  # noqa: E402
from training_packs import write_packs  # noqa: E402

from denoise_wrapper.backends.convert import fingerprint, read_any_model, read_model, write_model  # noqa: E402
from denoise_wrapper.cli.main import main  # noqa: E402
from denoise_wrapper.compare.measure import metrics  # noqa: E402
from denoise_wrapper.errors import ConfigError, DataError, DenoiseError, FileError, ModelError  # noqa: E402
from denoise_wrapper.training.config import load_config  # noqa: E402
from denoise_wrapper.training.data import balance  # noqa: E402
from denoise_wrapper.training.rnnoise import pipeline  # noqa: E402
from denoise_wrapper.training.rnnoise.config import RNNoiseConfig  # noqa: E402
from denoise_wrapper.training.run import wheel  # noqa: E402
from denoise_wrapper.training.run.checkpoint import save_checkpoint  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TRAINING = """
[features]
hours = 0.0005
validation_hours = 0.0005
shard_hours = 0.0005
[mix]
clip_s = 2.0
[network]
dense = 4
vad_gru = 3
noise_gru = 5
denoise_gru = 6
[train]
steps = 2
batch = 2
frames = 50
evaluate_every = 1
threads = 1
"""


def write_recipe(folder: Path, steps: str, training: str = TRAINING, data: str = "validation = 0.3") -> Path:
    path = folder / "recipe.toml"
    path.write_text(f'work_dir = "run"\nname = "tiny"\n[data]\n{data}\n{steps}{training}')
    return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with packs of speech and noise, a set to measure on, and a stand-in for DNSMOS."""
    monkeypatch.chdir(tmp_path)
    write_packs(tmp_path)
    write_set(tmp_path / "set", {"a": 0.0, "b": 10.0})

    def opinion(audio: Any, rate: int, personal: bool) -> dict[str, float]:
        return dict.fromkeys(("sig_mos", "bak_mos", "ovrl_mos"), 1.0 + float(np.abs(audio).mean()))

    monkeypatch.setattr(metrics, "_dnsmos_model", lambda: opinion)
    return tmp_path


PREPARE = '[prepare]\nspeech = ["speech"]\nnoise = ["noise"]\n'
BALANCE = '[balance]\nby = "voice"\nhours = 0.0004\n'
JOIN = "[join]\nnoise = false\n"
COMPARE = '[compare]\nset = "set"\n'


class FakeTraining:
    """In place of the training's module: keeps the settings that it is called with, and writes a model."""

    CHECKPOINT = "checkpoint.pt"

    def __init__(self) -> None:
        self.configs: list[RNNoiseConfig] = []
        self.outcome, self.resumed = 0, False
        self.toml: str | None = None

    def main(self, config: RNNoiseConfig, resume: bool, toml: str | None) -> int:
        self.configs.append(config)
        self.resumed, self.toml = resume, toml
        if not self.outcome:
            self.export(config, config.work_dir)
        return self.outcome

    def export(self, config: RNNoiseConfig, target: Path) -> None:
        write_model(read_model("model.rnnn"), target / f"{config.name}.dnnw", overwrite=True)


@pytest.fixture
def training(place: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTraining:
    fake = FakeTraining()
    monkeypatch.setattr(pipeline, "train_module", lambda: fake)
    write_model(read_model(ROOT / "denoise_wrapper/models/rnnoise-classic.dnnw"), "model.rnnn")
    return fake


def begun(output: str) -> list[str]:
    """The steps that were begun, by what was said on stderr."""
    return re.findall(r"^(.*): begins$", output, re.MULTILINE)


def test_from_folders_to_a_table_of_results(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The real training, on what the steps before it made."""
    path = write_recipe(place, PREPARE + BALANCE + JOIN + COMPARE)
    assert main(["train", "rnnoise", "-C", str(path)]) == 0
    output = capsys.readouterr()
    assert begun(output.err) == ["prepare", "balance", "join speech-1", "train", "compare"]
    assert "tiny against standard on set" in output.out
    assert {"tiny.dnnw", "tiny.rnnn", "tiny.md", "quality.csv", "compare.txt", "config.toml"} <= set(os.listdir("run"))
    kept = tomllib.loads((place / "run/config.toml").read_text())
    assert kept["data"]["speech"] == ["run/joined/speech-1"]
    assert kept["data"]["noise"] == ["run/prepared/noise.csv"]
    assert "| set |" in (place / "run/tiny.md").read_text()  # the card quotes what was measured
    assert main(["train", "rnnoise", "-C", str(path)]) == 0
    output = capsys.readouterr()
    assert begun(output.err) == []
    assert output.err.count(": unchanged, ") == 5
    assert "tiny against standard on set" in output.out
    assert main(["train", "rnnoise", "-C", str(path), "--export", "out"]) == 0
    assert fingerprint(read_any_model("out/tiny.rnnn")) == fingerprint(read_any_model("run/tiny.rnnn"))


@pytest.mark.parametrize(
    ("change", "steps"),
    [
        (lambda: None, []),
        (lambda: Path("noise/noise0.wav").touch(), ["prepare", "train"]),
        (lambda: shutil.rmtree("run/joined"), ["join speech-1"]),
        (lambda: Path("run/balanced.csv").unlink(), ["balance"]),
        (lambda: Path("run/steps.json").write_text("{"), ["prepare", "balance", "join speech-1", "train"]),
        (lambda: replace("hours = 0.0004", "hours = 0.0003"), ["balance", "join speech-1", "train"]),
        (lambda: replace("rate = 0.001", "rate = 0.002"), ["train"]),
        (lambda: replace("threads = 1", "threads = 2"), []),
    ],
)
def test_a_step_is_taken_again_where_what_it_is_made_of_has_changed(
    place: Path,
    training: FakeTraining,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[], Any],
    steps: list[str],
) -> None:
    path = write_recipe(place, PREPARE + BALANCE + JOIN, TRAINING + "rate = 0.001\n")
    assert pipeline.main(pipeline.load(path)) == 0
    assert begun(capsys.readouterr().err) == ["prepare", "balance", "join speech-1", "train"]
    change()
    assert pipeline.main(pipeline.load(path)) == 0
    assert begun(capsys.readouterr().err) == steps


def replace(old: str, new: str) -> None:
    text = Path("recipe.toml").read_text()
    assert old in text
    Path("recipe.toml").write_text(text.replace(old, new))


def test_an_interrupted_training_ends_the_run_and_is_gone_on_with(
    place: Path, training: FakeTraining, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_recipe(place, PREPARE + COMPARE)
    training.outcome = 1
    assert main(["train", "rnnoise", "-C", str(path)]) == 130
    assert begun(capsys.readouterr().err) == ["prepare", "train"]
    assert main(["train", "rnnoise", "-C", str(path), "-R"]) == 130  # as if it had been stopped before that
    assert not training.resumed
    capsys.readouterr()
    training.outcome = 0
    save_checkpoint(Path("run/checkpoint.pt"), {"config": {}})
    assert main(["train", "rnnoise", "-C", str(path), "-R"]) == 0
    assert training.resumed
    assert begun(capsys.readouterr().err) == ["train", "compare"]


def test_an_interrupted_step_is_taken_again(
    place: Path, training: FakeTraining, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe(place, PREPARE + BALANCE)
    assert pipeline.main(pipeline.load(path)) == 0
    replace("hours = 0.0004", "hours = 0.0003")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(balance, "write_table", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pipeline.main(pipeline.load(path))
    replace("hours = 0.0003", "hours = 0.0004")
    capsys.readouterr()
    assert pipeline.main(pipeline.load(path)) == 0
    assert begun(capsys.readouterr().err)[0] == "balance"


def test_settings_without_steps_train_as_they_are(place: Path, training: FakeTraining) -> None:
    path = write_recipe(place, "", data='speech = ["speech"]\nnoise = ["noise"]\nrooms = ["rir"]')
    assert pipeline.main(pipeline.load(path)) == 0
    (config,) = training.configs
    assert config == load_config(path, RNNoiseConfig.read)
    assert sorted(os.listdir("run")) == ["steps.json", "tiny.dnnw"]


def test_a_feature_file_is_made_once_and_another_s_is_left_alone(
    place: Path, training: FakeTraining, capsys: pytest.CaptureFixture[str]
) -> None:
    training_table = (
        TRAINING.replace("[features]\nhours = 0.0005", '[features]\nfile = "rows.f32"\nhours = 0.012')
        + "loudness = 0.0\n"
    )
    path = write_recipe(place, "", training_table, 'speech = ["speech"]\nnoise = ["noise"]\nvalidation = 0.3')
    assert pipeline.main(pipeline.load(path)) == 0
    assert begun(capsys.readouterr().err) == ["features", "train"]
    assert Path("rows.f32").stat().st_size == 4320 * 87 * 4
    assert pipeline.main(pipeline.load(path)) == 0
    assert begun(capsys.readouterr().err) == []
    Path("run/steps.json").unlink()
    bare(Path("rows.f32"), made_rows("classic", 4000))
    before = Path("rows.f32").read_bytes()
    assert pipeline.main(pipeline.load(path)) == 0
    assert "features: rows.f32 is given" in capsys.readouterr().err
    assert Path("rows.f32").read_bytes() == before


def test_a_feature_file_alone_is_enough(place: Path, training: FakeTraining) -> None:
    bare(place / "rows.f32", made_rows("classic", 4000))
    path = write_recipe(place, "", TRAINING.replace("[features]", '[features]\nfile = "rows.f32"') + "loudness = 0.0\n")
    assert pipeline.main(pipeline.load(path)) == 0
    (config,) = training.configs
    assert config.features.file == Path("rows.f32")
    Path("rows.f32").unlink()
    with pytest.raises(DataError, match=r"no feature file rows.f32, and .data. names no speech and noise"):
        pipeline.main(pipeline.load(path))


@pytest.mark.parametrize(
    ("steps", "data", "error", "words"),
    [
        ("", 'speech = ["speech"]', ConfigError, r"recipe.toml: there is no noise; name folders in \[data\] noise"),
        ('[prepare]\nspeech = ["speech"]\n', "", ConfigError, "no folder of noise is named"),
        ("[prepare]\nfolder = []\n", "", ConfigError, "no setting called 'prepare.folder'; did you mean 'folders'"),
        (PREPARE + BALANCE, 'speech = ["other"]', ConfigError, r"\[balance\] takes one folder or table of speech, not"),
        (PREPARE + BALANCE.replace("voice", "mood"), "", ConfigError, "'balance.by' is one of"),
        (PREPARE + BALANCE.replace("0.0004", "0"), "", ConfigError, "'hours' is above 0, not 0"),
        (PREPARE + "[compare]\n", "", ConfigError, "the setting 'compare.set' is missing"),
        (PREPARE + '[compare]\nset = "speech"\n', "", DataError, "speech is no set"),
        (
            PREPARE + COMPARE + 'against = "nothing.rnnn"\n',
            "",
            FileError,
            "there is no backend, file or folder nothing.rnnn",
        ),
        (PREPARE + '[wheel]\nsource = "speech"\n', "", FileError, "speech is no source tree of denoise_wrapper"),
        ("[prepare]\nfolders = ['speech']\n", "", DataError, "speech has no folder clean"),
        ("[features]\nfile = 'a.h5'\n", "", ConfigError, "'train.loudness' needs the energies of clean speech"),
    ],
)
def test_what_cannot_end_well_is_refused_before_it_begins(
    place: Path, training: FakeTraining, steps: str, data: str, error: type[DenoiseError], words: str
) -> None:
    with pytest.raises(error, match=words):
        pipeline.main(pipeline.load(write_recipe(place, steps, TRAINING if "[features]" not in steps else "", data)))
    assert not training.configs


def test_too_few_features_are_refused_before_the_steps_that_they_would_be_made_of(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_recipe(place, PREPARE + "[join]\n")
    assert main(["data", "features", str(path), "-o", "few.f32", "--rows", "100"]) == 2
    assert "at least 4000 rows (40 s), not 100" in capsys.readouterr().err
    assert not (place / "run").exists()


def test_what_the_steps_make_is_what_the_training_is_given(place: Path) -> None:
    recipe = pipeline.load(write_recipe(place, PREPARE + "[join]\n", data='noise = ["hum"]\nrooms = ["rir"]'))
    data = recipe.training.data
    assert data.speech == (Path("run/joined/speech-1"),)
    assert data.noise == (Path("run/joined/noise-1"), Path("run/joined/noise-2"))
    assert data.rooms == (Path("rir"),)
    assert recipe.chosen.noise == (Path("hum"), Path("run/prepared/noise.csv"))


# The wheel.


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model with a card, and the wheel of it."""
    folder = tmp_path_factory.mktemp("wheel")
    model = read_model(ROOT / "denoise_wrapper/models/rnnoise-classic.dnnw")
    model.layers[0].weights[:] = 7
    write_model(model, folder / "mine.rnnn")
    (folder / "mine.md").write_text("# my card\n")
    return folder / "mine.rnnn", wheel.build_wheel(folder / "mine.rnnn", folder / "dist", ROOT, "Mine, 5h")


def test_the_wheel_s_version_tells_of_the_model(built: tuple[Path, Path]) -> None:
    model, path = built
    version = re.escape(f"mine.5h.{fingerprint(read_any_model(model))[:8]}")
    assert re.fullmatch(rf"denoise_wrapper-[\d.]+\+{version}-cp311-abi3-\w+\.whl", path.name)
    with zipfile.ZipFile(path) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        assert re.search(rf"^Version: [\d.]+\+{version}$", archive.read(metadata).decode(), re.MULTILINE)
        assert archive.read("denoise_wrapper/models/rnnoise.md") == b"# my card\n"
        assert not [name for name in archive.namelist() if "__pycache__" in name]


def test_the_wheel_s_rnnoise_is_the_model(built: tuple[Path, Path], tmp_path: Path) -> None:
    model, path = built
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "site")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "denoise_wrapper", "model", "info"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path / "site")}, capture_output=True, text=True,
    )  # fmt: skip
    assert f"sha256 of the weights: {fingerprint(read_any_model(model))}" in done.stdout
    assert fingerprint(read_any_model(model)) != fingerprint(read_any_model(None))


def test_a_wheel_that_carries_another_model_is_found_out(built: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not run the model that went into it"):
        wheel.check_wheel(built[1], read_any_model(None), tmp_path / "site")


def test_a_wheel_is_not_built_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileError, match="there is no model file"):
        wheel.build_wheel(tmp_path / "absent.rnnn", tmp_path, ROOT)
    monkeypatch.setattr(wheel, "denoise_wrapper", SimpleNamespace(__file__=str(tmp_path / "site/denoise_wrapper/x.py")))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match=r"was not installed from a source tree .*; give --source TREE, a clone"):
        wheel.find_tree(None)
    monkeypatch.chdir(ROOT)
    assert wheel.find_tree(None) == ROOT


def test_a_build_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel.copy_tree(ROOT, tmp_path / "tree")
    (tmp_path / "tree/native/fft.c").write_text("not C\n")
    with pytest.raises(DenoiseError, match="the wheel could not be built, for the reasons above"):
        wheel.build_wheel(ROOT / "denoise_wrapper/models/rnnoise.dnnw", tmp_path / "dist", tmp_path / "tree")
    assert "fft.c" in capsys.readouterr().err
    assert not (tmp_path / "dist").exists()
