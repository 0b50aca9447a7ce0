"""Build of denoise_wrapper._native, the C engine behind cffi, for wheels and for developers.

`pip install .` runs the hook below through hatchling; `python build.py` builds in place, beside the Python files.
The model compiled in is denoise_wrapper/models/rnnoise.dnnw, which native/tools/embed.c, itself built first, writes as
C. Set CC_FOR_BUILD to the compiler of this machine where CC compiles for another one. Set DENOISE_WRAPPER_RNN_DATA to
the path of your own rnn_data.c, as RNNoise's training tools or `denoise-wrapper convert MODEL -o rnn_data.c` write it,
or of a MODEL.dnnw.c, which holds a network of either family, to compile that model in instead.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import cffi
import setuptools  # noqa: F401  # brings distutils, which Python itself has no longer from 3.12 on
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
NATIVE = ROOT / "native"
MODEL = ROOT / "denoise_wrapper/models/rnnoise.dnnw"  # is compiled in
MODULE = "denoise_wrapper._native"
STABLE_ABI = "0x030b0000"  # CPython 3.11's, so that one wheel serves every later version
# A free-threaded Python has no stable ABI before 3.15, so that a wheel is for its version alone.
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

if sysconfig.get_platform().startswith("win"):
    CFLAGS = ["/O2", "/std:c11", "/utf-8"]
    LIBRARIES: list[str] = []
else:
    # -g0: no paths of the building machine in the wheel. The last two undo that Python's own flags let integers wrap,
    # whichever name they call it by: the engine has no use for it, and its plain loops take a quarter less time.
    CFLAGS = ["-O3", "-std=c11", "-fvisibility=hidden", "-g0", "-fstrict-overflow", "-fno-wrapv"]
    LIBRARIES = ["m"]


def declarations(header: str) -> str:
    """Reduce a C header to what cffi reads: no comments, preprocessor lines or bracket for C++."""
    header = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    header = re.sub(r"^#ifdef __cplusplus.*?^#endif", "", header, flags=re.DOTALL | re.MULTILINE)
    header = re.sub(r"^#.*$", "", header, flags=re.MULTILINE)
    return header.strip()


def sources(folder: Path) -> list[str]:
    """List the C files of the engine, with the model compiled in, which is written to folder if none is named."""
    files = sorted(path for part in (".", "kernels", "models") for path in (NATIVE / part).glob("*.c"))
    name = os.environ.get("DENOISE_WRAPPER_RNN_DATA")
    # Objects are linked in the order of their paths. The model's is one within folder, where cffi compiles, so that the
    # order is one wherever the tree and folder lie.
    return [*map(str, files), str(own_model(name, folder)) if name else embed_model(MODEL, folder).name]


def own_model(name: str, folder: Path) -> Path:
    """Check a user's own model as C, and write it to folder in our form if it is an rnn_data.c; returns its path."""
    data = Path(name).resolve()
    if not data.is_file():
        raise SystemExit(
            f"DENOISE_WRAPPER_RNN_DATA: there is no file {data}; give the path of an rnn_data.c, a whole one where the "
            "build runs in another folder, or unset it"
        )
    content = data.read_bytes()
    if b"dn_builtin_data" in content:
        return data
    rnn_data = load_alone(ROOT / "denoise_wrapper/models/rnn_data.py")
    if not rnn_data.is_rnn_data(content):
        raise SystemExit(
            f"DENOISE_WRAPPER_RNN_DATA: {name} is no rnn_data.c; "
            "write one with 'denoise-wrapper convert MODEL -o rnn_data.c'"
        )
    try:
        text = rnn_data.to_text(content)
    except ValueError as error:
        raise SystemExit(f"DENOISE_WRAPPER_RNN_DATA: {name}: {error}") from error
    model = folder / "own.rnnn"
    model.write_bytes(text)
    return Path(embed_model(model, folder).name)


def load_alone(path: Path) -> ModuleType:
    """Load a module that needs nothing of its package, which is not yet built."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def embed_model(model: Path, folder: Path) -> Path:
    """Write a model file as C to folder, by a program that is compiled there; returns the path."""
    from distutils.ccompiler import new_compiler
    from distutils.sysconfig import customize_compiler

    compiler = new_compiler()
    customize_compiler(compiler)
    own = os.environ.get("CC_FOR_BUILD")
    if own:
        compiler.set_executables(compiler=own, compiler_so=own, linker_exe=own)
    objects = compiler.compile([str(NATIVE / "tools/embed.c")], output_dir=str(folder))
    compiler.link_executable(objects, "embed", output_dir=str(folder))
    # Names within folder, as a C program on Windows opens only those that the system's own characters can write.
    shutil.copy(model, folder / "model")
    subprocess.run([folder / compiler.executable_filename("embed"), "model", "rnn_data.c"], cwd=folder, check=True)
    return folder / "rnn_data.c"


def compile_native(folder: Path) -> Path:
    """Compile everything within folder, an empty one, so that no stale object is ever used; returns the module."""
    ffi = cffi.FFI()
    ffi.cdef(declarations((NATIVE / "denoise.h").read_text(encoding="utf-8")))
    ffi.set_source(
        MODULE,
        '#include "denoise.h"',
        sources=sources(folder),
        include_dirs=[str(NATIVE)],
        libraries=LIBRARIES,
        extra_compile_args=CFLAGS,
        define_macros=[] if FREE_THREADED else [("Py_LIMITED_API", STABLE_ABI)],
        py_limited_api=not FREE_THREADED,
    )
    return Path(ffi.compile(tmpdir=str(folder)))


def python_tag() -> str:
    """Name the Pythons and the ABI that the module is for, as a wheel's name has them."""
    version = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    return f"{version}-{version}t" if FREE_THREADED else "cp311-abi3"


def build_in_place() -> Path:
    """Put the module beside the Python files; processes that have the old one loaded keep it."""
    with tempfile.TemporaryDirectory() as folder:
        built = compile_native(Path(folder))
        target = ROOT / "denoise_wrapper" / built.name
        shutil.copy(built, target.with_suffix(".new"))
        target.with_suffix(".new").replace(target)
    return target


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Hook that puts the compiled module into the wheel, and tags that wheel with its Pythons and platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        build_data["pure_python"] = False
        platform = self.build_config.builder.get_best_matching_tag().rsplit("-", 1)[1]
        build_data["tag"] = f"{python_tag()}-{platform}"
        if version == "editable":
            build_in_place()
            return
        self.folder = tempfile.TemporaryDirectory()
        built = compile_native(Path(self.folder.name))
        build_data["force_include"][str(built)] = f"denoise_wrapper/{built.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self.folder.cleanup()


if __name__ == "__main__":
    print(build_in_place(), file=sys.stderr)
