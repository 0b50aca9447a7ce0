"""The verbs about models: the table of backends, what a model is, and conversion by one grammar."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from require import require

from denoise_wrapper import backend_names
from denoise_wrapper.backends import load_backend
from denoise_wrapper.backends.convert import read_any_model
from denoise_wrapper.backends.dtln import DTLNBackend
from denoise_wrapper.backends.purposes import DEFAULT, purpose
from denoise_wrapper.cli import main as cli
from denoise_wrapper.models.shipped import MODELS

FORMS = (".rnnn", ".rnn", ".dnnw", ".dnnw.c", ".c")


def run(*words: object) -> int:
    return cli.main([str(word) for word in words])


def test_every_backend_is_for_something_and_one_is_the_default() -> None:
    assert DEFAULT in backend_names()
    for name in backend_names():
        assert len(purpose(name)) > 10, name


def test_the_table_says_what_each_backend_is_for_and_marks_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models") == 0
    lines = capsys.readouterr().out.splitlines()
    for name in backend_names():
        (line,) = (line for line in lines if f"  {name}  " in f"  {line.lstrip('* ')}  "[: len(name) + 4])
        assert line.startswith("*") is (name == DEFAULT)
        backend = load_backend(name)
        assert f"{backend.sample_rate // 1000} kHz" in line
        assert f"{1000 * backend.delay / backend.sample_rate:g} ms" in line
        assert purpose(name)[:20] in line
    assert "delay: " in "\n".join(lines)


def test_the_table_as_json_has_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "--json") == 0
    backends = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in backends] == list(backend_names())
    assert [each["name"] for each in backends if each["default"]] == [DEFAULT]
    sizes = {each["name"]: each["size"] for each in backends}
    assert sizes["rnnoise-classic"] == (MODELS / "rnnoise-classic.dnnw").stat().st_size
    assert sizes["dtln-16k"] == sum((MODELS / f"dtln-16k_{n}.onnx").stat().st_size for n in (1, 2))


def test_what_is_known_of_a_model_comes_in_one_order_for_all_families(capsys: pytest.CaptureFixture[str]) -> None:
    orders = []
    for name in backend_names():
        assert run("models", "info", name, "--json") == 0
        facts = json.loads(capsys.readouterr().out)
        orders.append([key for key in facts["metadata"] if key in ("name", "licence", "origin")])
        assert run("models", "info", name) == 0
        text = capsys.readouterr().out
        assert "heard" not in text
        assert all(digits in text for digits in facts["sha256"])
    assert all(order == orders[0] for order in orders)


def test_a_model_goes_through_all_forms_unchanged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forms = [tmp_path / f"model{suffix}" for suffix in FORMS]
    for source, target in zip(["rnnoise-classic", *forms], forms, strict=False):
        assert run("convert", source, "-o", target) == 0
        assert capsys.readouterr().out.startswith(f"{target}: classic RNNoise network")
    sums = set()
    for source in ["rnnoise-classic", *forms]:
        assert run("models", "info", source) == 0
        sums.add(next(line for line in capsys.readouterr().out.splitlines() if "sha256" in line))
    assert len(sums) == 1


def test_the_form_can_be_named_and_out_be_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("convert", "rnnoise-classic", "-o", tmp_path, "--to", "rnnn") == 0
    assert "holds no name" in capsys.readouterr().err
    assert run("convert", "rnnoise", "-o", tmp_path, "--to", "dnnw", "--name", "mine") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.dnnw", "rnnoise-classic.rnnn"]


def test_a_name_is_kept_in_the_file(tmp_path: Path) -> None:
    assert run("convert", "rnnoise-classic", "-o", tmp_path / "a.dnnw", "--name", "mine") == 0
    assert read_any_model(tmp_path / "a.dnnw").metadata["name"] == "mine"


def test_a_dtln_is_converted_by_the_same_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require("torch")
    require("onnx")
    assert run("convert", "dtln-16k", "-o", tmp_path, "--name", "small", "--to", "float16") == 0
    pair = [tmp_path / f"small_{number}.onnx" for number in (1, 2)]
    assert capsys.readouterr().out.splitlines() == [str(path) for path in pair]
    ours, theirs = DTLNBackend(precision="float"), load_backend("dtln-16k", tuple(pair))
    block = (0.1 * np.random.default_rng(1).standard_normal((1, 20 * ours.hop))).astype(np.float32)
    first, second = (backend.new_state(1).process(block)[0] for backend in (ours, theirs))
    np.testing.assert_allclose(first, second, atol=1e-3)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["model", "list"], ["models"]),
        (["model", "info", "rnnoise"], ["models", "info", "rnnoise"]),
        (["model", "convert", "rnnoise-classic", "OUT.rnn"], ["convert", "rnnoise-classic", "-o", "OUT.rnn"]),
    ],
)
def test_old_spellings_do_the_same_with_a_hint(
    old: list[str], new: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(new) == 0
    plain = capsys.readouterr()
    for path in tmp_path.iterdir():
        path.unlink()
    assert cli.main(old) == 0
    hinted = capsys.readouterr()
    assert hinted.out == plain.out
    first, *rest = hinted.err.splitlines()
    assert "' is now '" in first
    assert rest == plain.err.splitlines()


def test_an_audio_file_is_no_model_and_is_named_as_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "talk.flac").write_bytes(b"fLaC and more")
    assert run("models", "info", tmp_path / "talk.flac") == 2
    assert "is an audio file, not a model" in capsys.readouterr().err
