"""`denoise-wrapper info`: this copy and this machine."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pytest

from denoise_wrapper import __version__, backend_names
from denoise_wrapper.backends import load_backend
from denoise_wrapper.backends.native import known_instruction_sets
from denoise_wrapper.backends.rnnoise import RNNoiseBackend, instruction_sets
from denoise_wrapper.cli import main as cli
from denoise_wrapper.cli.info import describe


def test_the_instruction_sets_that_are_said_to_run_do(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(instruction_sets()) <= set(known_instruction_sets())
    assert "scalar" in instruction_sets()
    for name in instruction_sets():
        monkeypatch.setenv("DENOISE_WRAPPER_ISA", name)
        assert describe()["instruction_sets"]["in_use"] == name


def test_versions_and_backends_are_those_in_use() -> None:
    facts = describe()
    assert facts["version"] == __version__
    assert facts["packages"]["numpy"] == np.__version__
    assert facts["optional"]["onnxruntime"] == onnxruntime.__version__
    assert [each["name"] for each in facts["backends"]] == list(backend_names())
    for each in facts["backends"]:
        backend = load_backend(each["name"])
        assert (each["sample_rate"], each["hop"], each["delay"]) == (backend.sample_rate, backend.hop, backend.delay)


def test_a_model_has_the_checksum_that_model_info_tells(capsys: pytest.CaptureFixture[str]) -> None:
    for each in describe()["backends"]:
        assert cli.main(["models", "info", each["name"]]) == 0
        printed = capsys.readouterr().out
        assert each["sha256"]
        assert all(f": {digits}" in printed for digits in each["sha256"])


def test_the_command_tells_the_same_as_text_and_as_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DENOISE_WRAPPER_ISA", "scalar")
    assert cli.main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert {name: facts[name] for name in facts if name != "config"} == describe()
    assert cli.main(["info"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"denoise-wrapper {__version__}\n")
    assert "instruction set: scalar (DENOISE_WRAPPER_ISA=scalar); this processor runs " in text
    for name, version in (facts["packages"] | {"onnxruntime": facts["optional"]["onnxruntime"]}).items():
        assert f"{name} {version}" in text
    for each in facts["backends"]:
        assert f"{each['name']}: {each['sample_rate']} Hz" in text
        assert each["sha256"][0] in text


def test_what_cannot_be_used_is_told_and_is_no_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DENOISE_WRAPPER_ISA", "mmx")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Exception, match="mmx"):
        RNNoiseBackend()
    assert cli.main(["info"]) == 0
    text = capsys.readouterr().out
    assert "instruction set: none (DENOISE_WRAPPER_ISA=mmx cannot be used)" in text
