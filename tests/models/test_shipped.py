"""The engine's models that come with the package, each by its name and with a card; what models say of themselves."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_v02
from blobs import random_blob

from denoise_wrapper.backends import backend_names, load_backend
from denoise_wrapper.backends.convert import read_any_model, read_model, write_model
from denoise_wrapper.backends.rnnoise import RNNoiseBackend
from denoise_wrapper.cli import main as cli
from denoise_wrapper.errors import FileError, ModelError
from denoise_wrapper.models.shipped import MODELS
from denoise_wrapper.models.v02 import with_metadata

SHIPPED = sorted(path.stem for path in MODELS.glob("*.dnnw"))
ABOUT = {"name": "mine", "licence": "CC0-1.0", "origin": "drawn by lot, «сл»", "seed": 3}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_loaded_by_its_name_and_named_in_its_card(name: str) -> None:
    data = (MODELS / f"{name}.dnnw").read_bytes()
    backend: Any = load_backend(name)
    assert (backend.name, backend.metadata["name"]) == (name, name)
    assert backend.data == data
    assert hashlib.sha256(data).hexdigest() in (MODELS / f"{name}.md").read_text(encoding="utf-8")


def test_the_classic_one_is_the_classic_network_for_other_programs(tmp_path: Path) -> None:
    assert cli.main(["convert", "rnnoise-classic", "-o", str(tmp_path / "classic.rnnn")]) == 0
    sizes = [(layer.inputs, layer.units) for layer in read_model(tmp_path / "classic.rnnn").layers]
    assert sizes == [(42, 24), (24, 24), (90, 48), (114, 96), (96, 22), (24, 1)]


def test_info_tells_of_a_shipped_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["model", "info", "rnnoise-classic"]) == 0
    shown = capsys.readouterr().out
    assert "rnnoise-classic: classic RNNoise network, 87503 weights" in shown
    assert "licence: MIT" in shown


def test_a_backend_whose_file_is_not_there_is_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "rnnoise-classic" in backend_names()
    monkeypatch.setattr("denoise_wrapper.backends.MODELS", tmp_path)
    assert "rnnoise-classic" not in backend_names()
    with pytest.raises(ModelError, match=r"rnnoise-classic comes without weights in this copy of denoise_wrapper"):
        load_backend("rnnoise-classic")


def test_a_name_that_no_file_has_is_not_taken_for_the_model_compiled_in() -> None:
    with pytest.raises(FileError, match=r"no model file .*rnnoise-huge\.dnnw"):
        RNNoiseBackend(name="rnnoise-huge")


@pytest.mark.parametrize("suffix", [".bin", ".dnnw", ".dnnw.c"])
def test_what_a_v02_model_says_of_itself_is_read_back(
    tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"mine{suffix}"
    write_model(read_any_model(with_metadata(random_blob(16, 24, quantised=True), ABOUT)), path)
    assert RNNoiseBackend(path).metadata == ABOUT
    assert cli.main(["model", "info", str(path)]) == 0
    shown = capsys.readouterr().out
    assert all(f"    {key}: {value}\n" in shown for key, value in ABOUT.items())


def test_what_a_v02_model_says_of_itself_is_no_matter_to_others() -> None:
    blob = random_blob(16, 24, quantised=True)
    described = with_metadata(blob, ABOUT)
    assert described.startswith(blob)
    audio = 0.1 * np.random.default_rng(1).standard_normal(20 * 480)
    for one, other in zip(*(reference_v02.Denoiser(data).process(audio) for data in (blob, described)), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ModelError, match="metadata is there twice"):
        RNNoiseBackend(with_metadata(described, ABOUT))


def test_a_model_that_is_converted_under_another_name_keeps_its_own(tmp_path: Path) -> None:
    assert cli.main(["convert", "rnnoise-classic", "-o", str(tmp_path / "a.dnnw"), "--name", "another"]) == 0
    assert load_backend("rnnoise-classic").metadata["name"] == "rnnoise-classic"  # type: ignore[attr-defined]
    assert load_backend("rnnoise", tmp_path / "a.dnnw").metadata["name"] == "another"  # type: ignore[attr-defined]
