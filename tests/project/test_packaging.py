"""Building: a wheel for every Python from 3.11 on, likewise from the source distribution, with any model in it."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
from blobs import random_blob
from require import require

import denoise_wrapper
from denoise_wrapper.backends.convert import read_any_model, read_model, write_model
from denoise_wrapper.backends.rnnoise import RNNoiseBackend
from denoise_wrapper.models.classic import from_c_source
from denoise_wrapper.models.shipped import MODELS
from denoise_wrapper.models.v02 import with_metadata

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

for package in ("hatchling", "setuptools", "cffi"):
    require(package, reason="builds without isolation need the build's own packages")


def run(*command: str | os.PathLike[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [os.fspath(word) for word in command],
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def build(kind: str, tree: Path, out: Path) -> Path:
    done = run(sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", out, cwd=tree)
    assert done.returncode == 0, done.stdout
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked: it must hold all that a build needs."""
    folder = tmp_path_factory.mktemp("sdist")
    shutil.unpack_archive(build("sdist", ROOT, folder / "dist"), folder)
    (unpacked,) = (path for path in folder.iterdir() if path.name != "dist")
    return unpacked


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from the unpacked source distribution."""
    return build("wheel", tree, tmp_path_factory.mktemp("wheel") / "dist")


def hashes(wheel: Path) -> dict[str, str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


def test_the_wheel_is_for_every_python_from_3_11_on(wheel: Path) -> None:
    assert re.fullmatch(r"denoise_wrapper-[\d.]+-cp311-abi3-\w+\.whl", wheel.name)
    assert "linux" not in wheel.name or wheel.name.endswith(f"-linux_{os.uname().machine}.whl")


def test_the_wheel_holds_the_package_and_nothing_beside_it(wheel: Path) -> None:
    names = set(hashes(wheel))
    beside = {name for name in names if ".data/" in name}
    assert {name.partition(".data/data/")[2] for name in beside} == {
        "share/bash-completion/completions/denoise-wrapper",
        "share/fish/vendor_completions.d/denoise-wrapper.fish",
        "share/man/man1/denoise-wrapper.1",
        "share/zsh/site-functions/_denoise-wrapper",
    }
    assert {name.split("/")[0] for name in names - beside if ".dist-info" not in name} == {"denoise_wrapper"}
    (compiled,) = (name for name in names if "_native" in name)
    assert compiled.endswith((".abi3.so", "_native.pyd"))
    assert {"denoise_wrapper/py.typed", "denoise_wrapper/training/configs/rnnoise.toml"} <= names
    report = {path.name for path in (ROOT / "denoise_wrapper/compare/report").iterdir() if path.is_file()}
    assert {"report.html", "report.css", "player.js"} <= report
    assert {f"denoise_wrapper/compare/report/{name}" for name in report} <= names
    page = {path.name for path in (ROOT / "denoise_wrapper/serve/page").iterdir()}
    assert {"index.html", "page.css", "worklet.js"} <= page
    assert {f"denoise_wrapper/serve/page/{name}" for name in page} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_tree_builds_the_wheel_that_its_source_distribution_builds(wheel: Path, tmp_path: Path) -> None:
    assert hashes(build("wheel", ROOT, tmp_path / "dist")) == hashes(wheel)


def test_the_wheel_cleans_a_clip_where_there_is_no_tree(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    clip = ROOT / "examples/noisy.wav"
    command = [sys.executable, "-m", "denoise_wrapper", "filter", os.fspath(clip), "-o", "clean.wav"]
    done = run(*command, cwd=tmp_path, PYTHONPATH=str(tmp_path / "site"), PYTHONSAFEPATH="1")
    assert done.returncode == 0, done.stdout
    noisy, clean = (soundfile.read(path)[0] for path in (clip, tmp_path / "clean.wav"))
    assert clean.shape == noisy.shape
    assert np.mean(clean**2) < 0.9 * np.mean(noisy**2)


def test_a_model_of_one_s_own_is_compiled_in(tree: Path, tmp_path: Path) -> None:
    model = read_model(MODELS / "rnnoise-classic.dnnw")
    model.layers[0].weights[:] = 7
    write_model(model, tmp_path / "mine.c")
    done = run(sys.executable, "build.py", cwd=tree, DENOISE_WRAPPER_RNN_DATA=str(tmp_path / "mine.c"))
    assert done.returncode == 0, done.stdout
    code = "from denoise_wrapper.backends.convert import *; print(set(read_model(None).layers[0].weights.ravel()))"
    done = run(sys.executable, "-c", code, cwd=tree, PYTHONPATH=str(tree))
    assert done.stdout.strip() in ("{7}", "{np.int8(7)}")


def test_a_model_of_the_other_family_is_compiled_in(tree: Path, tmp_path: Path) -> None:
    blob = with_metadata(random_blob(24, 32, quantised=True), {"name": "mine"})
    write_model(read_any_model(blob), tmp_path / "mine.dnnw.c")
    done = run(sys.executable, "build.py", cwd=tree, DENOISE_WRAPPER_RNN_DATA=str(tmp_path / "mine.dnnw.c"))
    assert done.returncode == 0, done.stdout
    code = (
        "import numpy, hashlib; from denoise_wrapper.backends import load_backend; b = load_backend('rnnoise')\n"
        "cleaned = b.new_state(1).process(numpy.load('audio.npy'))[0]\n"
        "print(b.family, b.delay, b.metadata['name'], *(hashlib.sha256(x).hexdigest() for x in (b.data, cleaned)))"
    )
    audio = 0.1 * np.random.default_rng(1).standard_normal((1, 4800)).astype(np.float32)
    np.save(tree / "audio.npy", audio)
    done = run(sys.executable, "-c", code, cwd=tree, PYTHONPATH=str(tree))
    cleaned = RNNoiseBackend(blob).new_state(1).process(audio)[0]
    hashes = [hashlib.sha256(data).hexdigest() for data in (blob, cleaned.tobytes())]
    assert done.stdout.split() == ["v0.2", "960", "mine", *hashes]


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "there is no file /"), ("int x;", "convert MODEL"), ("const rnn_weight a[2] = {1};", "says it has 2")],
)
def test_a_model_that_cannot_be_compiled_in_is_a_clear_error(
    tree: Path, tmp_path: Path, content: str | None, words: str
) -> None:
    path = tmp_path / "mine.c"
    if content is not None:
        path.write_text(content)
    done = run(sys.executable, "build.py", cwd=tree, DENOISE_WRAPPER_RNN_DATA=str(path))
    assert done.returncode == 1
    assert done.stdout.startswith("DENOISE_WRAPPER_RNN_DATA: ")
    assert words in done.stdout
    assert done.stdout.count("\n") == 1


def build_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("denoise_wrapper_build", ROOT / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_model_is_written_as_c_by_this_machine_s_own_compiler(
    needs: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CC may compile for another machine, where the program that writes it does not run."""
    monkeypatch.setenv("CC", "a-cross-compiler")
    monkeypatch.setenv("CC_FOR_BUILD", needs("cc"))
    written = build_module().embed_model(MODELS / "rnnoise.dnnw", tmp_path)
    assert from_c_source(written.read_bytes()) == (MODELS / "rnnoise.dnnw").read_bytes()


def test_cffi_is_told_every_function_of_the_header() -> None:
    header = (ROOT / "native/denoise.h").read_text(encoding="utf-8")
    cut = build_module().declarations(header)
    assert not re.search(r'/\*|\*/|^\s*#|extern "C"', cut, re.MULTILINE)
    functions = set(re.findall(r"\b(dn_\w+)\(", re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)))
    assert functions == set(re.findall(r"\b(dn_\w+)\(", cut))
    assert len(functions) > 10


def test_a_free_threaded_python_gets_a_wheel_for_its_version_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no stable ABI yet."""
    monkeypatch.setattr(sysconfig, "get_config_var", {"Py_GIL_DISABLED": 1}.get)
    version = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    assert build_module().python_tag() == f"{version}-{version}t"


def test_every_python_that_is_named_has_its_wheel_tried() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["cibuildwheel"]
    named = {match[1] + match[2] for text in PROJECT["classifiers"] if (match := re.search(r":: (3)\.(\d+)$", text))}
    assert {f"cp{version}-*" for version in named} < set(settings["build"])
    assert all((ROOT / path).exists() for path in settings["test-sources"])
    assert set(settings["test-command"].split()[1:]) <= {".ci/check_wheel.py", "examples/noisy.wav"}


def test_constraints_pin_every_package_that_is_asked_for() -> None:
    """But those of frameworks and of storage, which are tried with what the package index has today."""
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    extras = dict(PROJECT["optional-dependencies"])
    for name in ("aiortc", "azure", "gcs", "livekit", "pipecat", "ray", "s3"):
        del extras[name]
    asked = [*PROJECT["dependencies"], *(one for extra in extras.values() for one in extra)]
    names = {re.split(r"[^\w.-]", one)[0] for one in asked} - {"denoise-wrapper"}
    assert names - {"audioop-lts"} <= set(pinned)  # which is for Python 3.13: the tests run without it


def test_no_dependency_has_an_upper_bound() -> None:
    """But uvicorn, of which serve/line.py uses what may change with each minor release."""
    asked = [*PROJECT["dependencies"], *(one for extra in PROJECT["optional-dependencies"].values() for one in extra)]
    bound = [one for one in asked if re.search(r"[<~]|==", one.partition(";")[0])]
    assert [one for one in bound if not one.startswith("uvicorn>=")] == []


def test_the_changelog_tells_of_this_version() -> None:
    assert denoise_wrapper.__version__ in (ROOT / "docs/changelog.md").read_text(encoding="utf-8")


def test_the_script_for_ci_runs_readme_s_own_command() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    match = re.search(
        r"^pip install -e '\.\[test\]'.*$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert match is not None
    install, _, test = match[0].partition("&&")
    assert "constraints.txt" in shlex.split(install)
    assert shlex.split(test) == ["pytest", "-n", "auto", "--dist", "loadfile"]


def test_the_clip_is_what_readme_s_first_command_needs() -> None:
    info = soundfile.info(ROOT / "examples/noisy.wav")
    assert (info.samplerate, info.channels, info.subtype) == (48000, 1, "PCM_16")
    assert 3 < info.duration < 10
    assert (ROOT / "examples/noisy.wav").stat().st_size < 600_000
