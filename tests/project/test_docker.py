"""The Dockerfiles: what they copy is there and is let through, and what they install exists. No image is built."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ALL = sorted((ROOT / "docker").glob("Dockerfile.*")) if (ROOT / "docker").is_dir() else []
FILES = [path for path in ALL if path.suffix != ".ray"]  # of training; of the nodes of a cluster: test_deployment.py


def instructions(path: Path) -> Iterator[tuple[str, str]]:
    """(instruction, the rest of it) of a Dockerfile, lines that go on joined, comments left out."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word, " ".join(rest.split())


def all_of(path: Path, word: str) -> list[str]:
    return [rest for match, rest in instructions(path) if match == word]


def let_through(name: str) -> bool:
    """True if .dockerignore, all of whose exceptions are plain names, lets a file or folder of the root through."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    return f"!{name}" in rules and name not in rules


def test_there_is_one_for_processors_one_for_gpus_and_one_for_clusters() -> None:
    assert [path.name for path in ALL] == ["Dockerfile.cpu", "Dockerfile.gpu", "Dockerfile.ray"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.suffix[1:])
class TestDockerfile:
    def test_what_is_copied_is_there(self, path: Path) -> None:
        copied = [source for line in all_of(path, "COPY") for source in line.split()[:-1]]
        assert {"build.py", "native", "denoise_wrapper", "pyproject.toml"} <= set(copied)
        for source in copied:
            assert (ROOT / source).exists(), source
            assert let_through(source), source

    def test_everything_that_a_build_needs_is_copied_before_it(self, path: Path) -> None:
        words = [(word, rest) for word, rest in instructions(path) if word in ("COPY", "RUN")]
        install = next(at for at, (word, rest) in enumerate(words) if word == "RUN" and "pip install" in rest)
        before = {source for word, rest in words[:install] if word == "COPY" for source in rest.split()[:-1]}
        assert {PROJECT["readme"], *PROJECT["license-files"], "build.py", "constraints.txt"} <= before

    def test_the_extras_exist_and_versions_are_those_that_were_tried(self, path: Path) -> None:
        (line,) = (line for line in all_of(path, "RUN") if "pip install" in line)
        (extras,) = re.findall(r"'\.\[([\w,]+)\]'", line)
        assert {"training", "metrics", "compare"} <= set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
        assert "-c constraints.txt" in line

    def test_python_is_one_that_the_package_runs_on(self, path: Path) -> None:
        (base,) = all_of(path, "FROM")
        match = re.search(r"^python:(\d+)\.(\d+)", base) or re.search(r"python(\d+)\.(\d+)-venv", path.read_text())
        assert match is not None
        least = tuple(int(part) for part in PROJECT["requires-python"].removeprefix(">=").split("."))
        assert (int(match[1]), int(match[2])) >= least
        assert f"Programming Language :: Python :: {match[1]}.{match[2]}" in PROJECT["classifiers"]

    def test_what_libraries_keep_has_a_place_that_any_user_can_write_to(self, path: Path) -> None:
        (kept,) = (line for line in all_of(path, "ENV") if "MPLCONFIGDIR" in line)
        places = dict(word.split("=") for word in kept.split())
        assert all(places[name].startswith("/tmp") for name in ("HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR"))

    def test_it_is_stopped_by_the_signal_that_saves_a_training(self, path: Path) -> None:
        assert all_of(path, "STOPSIGNAL") == ["SIGTERM"]

    def test_no_registry_is_named(self, path: Path) -> None:
        assert "://" not in path.read_text()
        (base,) = all_of(path, "FROM")
        assert "." not in base.split("/")[0] or "/" not in base

    def test_it_runs_the_command_and_not_as_root(self, path: Path) -> None:
        words = [word for word, _ in instructions(path)]
        (entry,), (user,) = all_of(path, "ENTRYPOINT"), all_of(path, "USER")
        assert json.loads(entry)[0] in PROJECT["scripts"]
        assert user != "root"
        assert any(f"useradd --create-home {user}" in line for line in all_of(path, "RUN"))
        assert words.index("USER") > max(at for at, word in enumerate(words) if word == "RUN")
