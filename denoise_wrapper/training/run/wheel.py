"""A wheel of this package with a model of one's own compiled in, as the backend rnnoise."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import denoise_wrapper
from denoise_wrapper import signals
from denoise_wrapper.atomic import atomic_path, make_folder, transient
from denoise_wrapper.backends.convert import ClassicModel, V02Model, fingerprint, read_any_model, write_model
from denoise_wrapper.errors import DenoiseError, FileError, ModelError

NEEDED = ("build.py", "native", "denoise_wrapper", "pyproject.toml", "README.md", "LICENSE")
BUILT = ("*.pyc", "*.so", "*.pyd", "*.o", "*.new", ".*")  # is no source
BUILDERS = ("hatchling", "setuptools", "cffi")
HEX = 8  # digits of the weights' sha256 in the version
READ_BACK = "from denoise_wrapper.backends.convert import *; print(fingerprint(read_any_model(None)))"


def build_wheel(
    model_path: Path, target: Path, source: Path | None = None, name: str | None = None, overwrite: bool = False
) -> Path:
    """Build a wheel whose rnnoise is a model; returns its path in the folder target.

    model_path: any form of a model. source: the source tree; None for the one that this package runs from, or else the
    current folder. name: what the model is called; None for what it says itself, or else its file's name. The version
    of the wheel is that of the tree, then +NAME and the first digits of the weights' sha256. The tree is left alone.
    Raises FileError, ModelError; DenoiseError where the build fails, whose output is then on stderr.
    """
    tree = find_tree(source)
    model = read_any_model(model_path)
    called = name or str(model.metadata.get("name") or model_path.stem)
    with tempfile.TemporaryDirectory(prefix="denoise-wheel-") as folder, transient(Path(folder)):
        copy, built = Path(folder) / "tree", Path(folder) / "dist"
        copy_tree(tree, copy)
        put_model(model, model_path, called, copy)
        run_build(copy, built)
        wheels = list(built.glob("*.whl"))
        if len(wheels) != 1:
            raise DenoiseError(f"the build of {tree} left {len(wheels)} wheels, not one; is it the right tree?")
        check_wheel(wheels[0], model, Path(folder) / "site")
        make_folder(target)
        with atomic_path(target / wheels[0].name, overwrite) as part:
            shutil.copyfile(wheels[0], part)
        return target / wheels[0].name


def find_tree(source: Path | None) -> Path:
    """The source tree. Raises FileError where there is none."""
    here = Path(denoise_wrapper.__file__).resolve().parent.parent
    for tree in (here, Path.cwd()) if source is None else (source,):
        if all((tree / name).exists() for name in NEEDED):
            return tree
    where = f"{source} is no" if source is not None else "this package was not installed from a"
    raise FileError(
        f"{where} source tree of denoise_wrapper (with {', '.join(NEEDED[:3])}), which building a wheel needs; "
        "give --source TREE, a clone of the repository or an unpacked source distribution"
    )


def tree_files(tree: Path) -> list[Path]:
    """The files of a tree that a wheel is made of, in order."""
    files = [path for name in NEEDED for path in (tree / name, *(tree / name).rglob("*")) if path.is_file()]
    return sorted(path for path in files if not any(path.match(pattern) for pattern in BUILT))


def copy_tree(tree: Path, copy: Path) -> None:
    """The part of a tree that a wheel is made of, without what was built in it."""
    ignored = shutil.ignore_patterns("__pycache__", *BUILT)
    copy.mkdir()
    for name in NEEDED:
        if (tree / name).is_dir():
            shutil.copytree(tree / name, copy / name, ignore=ignored)
        else:
            shutil.copyfile(tree / name, copy / name)


def put_model(model: ClassicModel | V02Model, path: Path, name: str, tree: Path) -> None:
    """Make a copy of the tree one of that model: what is compiled in, its file and card, and the version."""
    models = tree / "denoise_wrapper/models"
    write_model(model, models / "rnnoise.dnnw", overwrite=True)
    card = path.with_suffix(".md")
    if card.is_file():
        shutil.copyfile(card, models / "rnnoise.md")
    else:
        facts = "".join(f"- {key}: {value}\n" for key, value in model.metadata.items())
        text = f"# {name}\n\nA {model.family} RNNoise network, compiled in.\n\n{facts}"
        (models / "rnnoise.md").write_text(f"{text}- sha256 of the weights: {fingerprint(model)}\n", encoding="utf-8")
    init = tree / "denoise_wrapper/__init__.py"
    text = init.read_text(encoding="utf-8")
    changed, count = re.subn(
        r'^__version__ = "([^"+]*)[^"]*"$',
        lambda match: f'__version__ = "{match[1]}+{local_version(model, name)}"',
        text,
        flags=re.MULTILINE,
    )
    if count != 1:
        raise FileError(f"{init.name} of the source tree names no version; is it the tree of denoise_wrapper?")
    init.write_text(changed, encoding="utf-8")


def local_version(model: ClassicModel | V02Model, name: str) -> str:
    """Local part of the version: the name, as far as versions can say it, and digits of the weights' sha256."""
    plain = re.sub(r"[^a-z0-9]+", ".", name.lower()).strip(".")
    return ".".join(part for part in (plain, fingerprint(model)[:HEX]) if part)


def run_build(tree: Path, out: Path) -> None:
    """Build the wheel of a tree into a folder, with the packages that are here, or with pip, which gets them.

    Raises DenoiseError if it fails; what it said is then on stderr.
    """
    out.mkdir()
    if all(importlib.util.find_spec(package) for package in BUILDERS):
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    elif importlib.util.find_spec("pip"):
        command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", str(out), str(tree)]
    else:
        raise DenoiseError(f"building a wheel needs {', '.join(BUILDERS)}: pip install {' '.join(BUILDERS)}")
    environment = {key: value for key, value in os.environ.items() if key != "DENOISE_WRAPPER_RNN_DATA"}
    with subprocess.Popen(
        command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as build:  # fmt: skip
        try:
            said, _ = build.communicate()
        except BaseException:
            signals.stop(build.pid)  # the compilers too, which would go on
            raise
    if build.returncode != 0:
        print(said, file=sys.stderr)
        raise DenoiseError("the wheel could not be built, for the reasons above; a C compiler is needed among others")


def check_wheel(wheel: Path, model: ClassicModel | V02Model, folder: Path) -> None:
    """Unpack a wheel and let it say what it carries. Raises ModelError if that is not the model."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-P", "-c", READ_BACK]
    done = subprocess.run(
        command, cwd=folder.parent, env=environment, capture_output=True, text=True, check=False, errors="replace"
    )
    if done.stdout.strip() != fingerprint(model):
        print(done.stderr, file=sys.stderr)
        raise ModelError("the wheel that was built does not run the model that went into it; please report it")
