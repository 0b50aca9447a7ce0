"""The engine without Python: libdenoise_wrapper, a librnnoise for programs of others, and the LADSPA plugin.

All is built and installed once, and used as others use it: through pkg-config and CMake, by ctypes, by the linker, in
ffmpeg and in the programs of LADSPA's SDK. What comes out is what Python makes of it, bit for bit.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from cffi import FFI
from enhancer_files import TAPPED, random_enhancer
from numpy.typing import NDArray

import denoise_wrapper
from denoise_wrapper import Denoiser
from denoise_wrapper.backends import load_backend
from denoise_wrapper.backends.narrow import narrow_bytes
from denoise_wrapper.models.shipped import MODELS
from denoise_wrapper.stream.settings import Settings
from denoise_wrapper.stream.stream import Stream

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the libraries are built for Linux")

ROOT = Path(__file__).resolve().parents[2]
NATIVE, EXAMPLE = ROOT / "native", ROOT / "examples/c"
SHIPPED = ("rnnoise", "rnnoise-classic", "dtln-16k", "dtln-32k", "enhancer", "enhancer-live", "enhancer-tiny")
Needs = Callable[[str], str]
TYPES = {"int16": 0, "int32": 1, "float32": 2, "float64": 3}


def run(*command: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run([str(each) for each in command], capture_output=True, check=False, **options)
    assert done.returncode == 0, (done.stdout[-1000:] + done.stderr[-4000:]).decode(errors="replace")
    return done


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of compiled files."""
    return tmp_path_factory.mktemp("library")


@pytest.fixture(scope="session")
def prefix(needs: Needs, out: Path) -> Path:
    """Build and install all, with little optimisation, which changes no bit; returns the prefix."""
    needs("make")
    run(
        "make",
        "-j2",
        "-C",
        NATIVE,
        "install",
        f"OUT={out}",
        f"PREFIX={out / 'usr'}",
        f"CC={needs('gcc')}",
        "CFLAGS=-O1",
    )
    return out / "usr"


@pytest.fixture(scope="session")
def lib(prefix: Path) -> tuple[FFI, Any]:
    """The library by its own header."""
    header = (prefix / "include/denoise_wrapper/denoise.h").read_text(encoding="utf-8").replace("DENOISE_API ", "")
    header = re.sub(r"/\*.*?\*/|^#ifdef __cplusplus.*?^#endif", "", header, flags=re.DOTALL | re.MULTILINE)
    ffi = FFI()
    ffi.cdef(re.sub(r"^#(.*\\\n)*.*$", "", header, flags=re.MULTILINE))
    return ffi, ffi.dlopen(str(prefix / "lib/libdenoise_wrapper.so.1"))


@pytest.fixture(scope="session")
def noisy() -> NDArray[np.float32]:
    """Two channels of 1.5 s at 48 kHz."""
    clip, _ = soundfile.read(ROOT / "examples/noisy.wav", dtype="float32", frames=72_000)
    mono = clip if clip.ndim == 1 else clip[:, 0]
    return np.stack([mono, 0.5 * mono[::-1]], axis=1)


def exact(samples: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Samples in [-1, 1] as another type."""
    if dtype.startswith("float"):
        return samples.astype(dtype)
    info = np.iinfo(dtype)
    return np.clip(np.round(samples.astype(np.float64) * -float(info.min)), info.min, info.max).astype(dtype)


class Model:
    """A denoiser of the library, and its streams."""

    def __init__(self, lib: tuple[FFI, Any], call: str, *arguments: Any) -> None:
        self.ffi, self.lib = lib
        made, why = self.ffi.new("denoiser **"), self.ffi.new("char[]", 400)
        status = getattr(self.lib, call)(*arguments, made, why)
        assert status == 0, self.ffi.string(why)
        self.memory = self.ffi.gc(made[0], self.lib.denoiser_close)

    def clean(
        self, samples: NDArray[Any], rate: int, chunks: tuple[int, ...] = (4096,), **changes: Any
    ) -> NDArray[Any]:
        """Clean samples (frames, channels) in chunks of these sizes, in turn; returns the tail too."""
        usual = {"atten_lim_db": -1, "mix": 1, "vad_threshold": -1, "vad_hold": 0.2, "step": 1, "block": 1024}
        settings = self.ffi.new("denoise_settings *", {"size": self.ffi.sizeof("denoise_settings"), **usual, **changes})
        made, why = self.ffi.new("denoise_stream **"), self.ffi.new("char[]", 400)
        status = self.lib.denoise_stream_open(self.memory, rate, samples.shape[1], settings, made, why)
        assert status == 0, self.ffi.string(why)
        stream = self.ffi.gc(made[0], self.lib.denoise_stream_close)
        number, latency = TYPES[samples.dtype.name], self.lib.denoise_stream_latency(stream)
        cleaned = np.empty((len(samples) + latency, samples.shape[1]), samples.dtype)
        at = turn = 0
        while at < len(samples):
            part = np.ascontiguousarray(samples[at : at + chunks[turn % len(chunks)]])
            target = self.ffi.from_buffer(cleaned[at : at + len(part)])
            assert self.lib.denoise_stream_process(stream, number, self.ffi.from_buffer(part), target, len(part)) == 0
            at, turn = at + len(part), turn + 1
        assert self.lib.denoise_stream_flush(stream, number, self.ffi.from_buffer(cleaned[at:])) == 0
        return cleaned


def by_python(backend: Any, samples: NDArray[Any], rate: int, step: int = 1, **settings: Any) -> NDArray[Any]:
    stream = Stream(backend, rate, samples.shape[1], Settings(**settings), step=step)
    whole = samples if samples.shape[1] > 1 else samples[:, 0]
    return np.concatenate([stream.process(whole), stream.flush()]).reshape(-1, samples.shape[1])


# ---- what is installed ----


def test_all_is_installed_below_destdir_as_below_the_prefix(needs: Needs, prefix: Path, out: Path) -> None:
    run(
        *("make", "-C", NATIVE, "install", f"OUT={out}", "PREFIX=/opt/there", f"DESTDIR={out / 'dest'}"),
        *(f"CC={needs('gcc')}", "CFLAGS=-O1"),
    )
    files = sorted(path.relative_to(prefix).as_posix() for path in prefix.rglob("*") if not path.is_dir())
    below = out / "dest/opt/there"
    assert files == sorted(path.relative_to(below).as_posix() for path in below.rglob("*") if not path.is_dir())
    assert files == [
        "include/denoise_wrapper/denoise.h",
        "lib/cmake/DenoiseWrapper/DenoiseWrapperConfig.cmake",
        "lib/cmake/DenoiseWrapper/DenoiseWrapperConfigVersion.cmake",
        "lib/denoise_wrapper/librnnoise.so",
        "lib/denoise_wrapper/librnnoise.so.0",
        "lib/ladspa/denoise_ladspa.so",
        "lib/libdenoise_wrapper.a",
        "lib/libdenoise_wrapper.so",
        "lib/libdenoise_wrapper.so.1",
        "lib/pkgconfig/denoise_wrapper.pc",
    ]
    assert "prefix=/opt/there\n" in (below / "lib/pkgconfig/denoise_wrapper.pc").read_text()


def listed(name: str) -> set[str]:
    """The symbols of a version script."""
    text = re.sub(r"/\*.*?\*/", "", (NATIVE / "library" / name).read_text(encoding="utf-8"), flags=re.DOTALL)
    return set(re.findall(r"^ +(\w+);", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("file", "script", "soname"),
    [
        ("libdenoise_wrapper.so.1", "libdenoise_wrapper.map", "libdenoise_wrapper.so.1"),
        ("denoise_wrapper/librnnoise.so.0", "librnnoise.map", "librnnoise.so.0"),
        ("ladspa/denoise_ladspa.so", "ladspa.map", None),
    ],
)
def test_only_the_symbols_of_the_list_can_be_seen(prefix: Path, file: str, script: str, soname: str | None) -> None:
    table = run("nm", "-D", "--defined-only", prefix / "lib" / file).stdout.decode()
    symbols = {line.split()[2] for line in table.splitlines() if " A " not in line}
    version = "@@DENOISE_1" if file == "libdenoise_wrapper.so.1" else ""
    assert symbols == {name + version for name in listed(script)}
    dynamic = run("readelf", "-d", prefix / "lib" / file).stdout.decode()
    assert re.findall(r"SONAME.*\[(.*)\]", dynamic) == ([] if soname is None else [soname])
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", dynamic))
    assert {name for name in needed if not name.startswith("ld-linux")} <= {"libc.so.6", "libm.so.6"}


def test_the_static_library_shows_what_the_shared_one_does(prefix: Path) -> None:
    table = run("nm", "-g", "--defined-only", prefix / "lib/libdenoise_wrapper.a").stdout.decode()
    assert set(re.findall(r" [A-Z] (\w+)$", table, re.MULTILINE)) == listed("libdenoise_wrapper.map")


def test_the_header_declares_what_the_list_has(prefix: Path) -> None:
    header = (prefix / "include/denoise_wrapper/denoise.h").read_text(encoding="utf-8")
    assert set(re.findall(r"^DENOISE_API[^;(]*?(\w+)\(", header, re.MULTILINE)) == listed("libdenoise_wrapper.map")


def test_the_header_is_c_plus_plus_too(needs: Needs, prefix: Path, tmp_path: Path) -> None:
    source = tmp_path / "a.cpp"
    use = "int main() { denoise_settings s = DENOISE_SETTINGS; return s.step - 1; }"
    source.write_text(f"#include <denoise_wrapper/denoise.h>\n{use}\n")
    run(needs("g++"), "-Wall", "-Wextra", "-Werror", f"-I{prefix / 'include'}", "-fsyntax-only", source)


# ---- the example, built as a user builds it ----


@pytest.fixture(scope="session")
def by_pkg_config(needs: Needs, prefix: Path, out: Path) -> Path:
    ways = {**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig")}
    flags = run(needs("pkg-config"), "--cflags", "--libs", "denoise_wrapper", env=ways).stdout.decode().split()
    strict = ("-std=c11", "-Wall", "-Wextra", "-Werror")
    run(needs("gcc"), *strict, EXAMPLE / "denoise.c", "-o", out / "example", *flags, f"-Wl,-rpath,{prefix / 'lib'}")
    return out / "example"


@pytest.fixture(scope="session")
def by_cmake(needs: Needs, prefix: Path, out: Path) -> Path:
    """Folder with the programs linked to the shared library and to the static one."""
    run(needs("cmake"), "-S", EXAMPLE, "-B", out / "cmake", f"-DCMAKE_PREFIX_PATH={prefix}")
    run(needs("cmake"), "--build", out / "cmake")
    return out / "cmake"


def check_example(program: Path, name: str, samples: NDArray[np.int16]) -> None:
    made = run(program, name, 44100, samples.shape[1], input=samples.tobytes()).stdout
    np.testing.assert_array_equal(
        np.frombuffer(made, np.int16).reshape(-1, samples.shape[1]), by_python(load_backend(name), samples, 44100)
    )


@pytest.mark.parametrize("name", SHIPPED)
def test_the_example_gives_pythons_bits(by_pkg_config: Path, noisy: NDArray[np.float32], name: str) -> None:
    check_example(by_pkg_config, name, exact(noisy, "int16"))


@pytest.mark.parametrize("program", ["denoise", "denoise_static"])
def test_the_example_by_cmake_gives_pythons_bits(by_cmake: Path, noisy: NDArray[np.float32], program: str) -> None:
    check_example(by_cmake / program, "dtln-16k", exact(noisy[:30_000], "int16"))


def test_the_example_says_what_is_wrong(by_pkg_config: Path) -> None:
    for arguments, words in (
        (["nothing", "48000", "1"], "there is no model nothing; compiled in are rnnoise, rnnoise-classic, dtln-16k"),
        (["rnnoise", "5", "1"], "rate is 1000 to 768000 Hz, not 5"),
    ):
        done = subprocess.run([by_pkg_config, *arguments], input=b"", capture_output=True, check=False)
        assert done.returncode == 1
        assert words in done.stderr.decode()


# ---- the library ----


def test_the_library_knows_version_and_models(lib: tuple[FFI, Any]) -> None:
    ffi, native = lib
    assert ffi.string(native.denoise_version()).decode() == denoise_wrapper.__version__
    names: list[str] = []
    while native.denoise_model_name(len(names)) != ffi.NULL:
        names.append(ffi.string(native.denoise_model_name(len(names))).decode())
    assert names[: len(SHIPPED)] == list(SHIPPED)
    for name in SHIPPED:
        model = Model(lib, "denoiser_open", name.encode()).memory
        backend: Any = load_backend(name)
        facts = native.denoiser_rate(model), native.denoiser_hop(model), native.denoiser_delay(model)
        assert facts == (backend.sample_rate, backend.hop, backend.delay)
        assert native.denoiser_has_voice(model) == backend.has_vad
        assert ffi.string(native.denoiser_isa(model)).decode() == backend.isa


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize(
    ("rate", "dtype", "settings"),
    [
        (48000, "float32", {}),
        (16000, "float64", {"atten_lim_db": 12.0}),
        (8000, "int32", {"mix": 0.6}),
        (22050, "float32", {"atten_lim_db": 0.0, "mix": 0.3}),
    ],
)
def test_any_rate_type_and_strength_gives_pythons_bits(
    lib: tuple[FFI, Any], noisy: NDArray[np.float32], name: str, rate: int, dtype: str, settings: dict[str, Any]
) -> None:
    samples = exact(noisy[:20_000], dtype)
    made = Model(lib, "denoiser_open", name.encode()).clean(samples, rate, (1, 480, 5000, 17, 1024), **settings)
    np.testing.assert_array_equal(made, by_python(load_backend(name), samples, rate, **settings))


def test_the_probability_of_speech_is_pythons(lib: tuple[FFI, Any], noisy: NDArray[np.float32]) -> None:
    """The highest of the channels, in the last whole hop."""
    ffi, native = lib
    model, made = Model(lib, "denoiser_open", b"rnnoise"), ffi.new("denoise_stream **")
    assert native.denoise_stream_open(model.memory, 48000, 2, ffi.NULL, made, ffi.NULL) == 0
    stream, other = ffi.gc(made[0], native.denoise_stream_close), Stream(load_backend("rnnoise"), 48000, 2)
    assert native.denoise_stream_voice(stream) == 0
    heard = []
    for at in range(0, 48_000, 480):
        chunk = np.ascontiguousarray(noisy[at : at + 480])
        other.process(chunk)
        pointer = ffi.from_buffer(chunk)
        assert native.denoise_stream_process(stream, TYPES["float32"], pointer, pointer, 480) == 0
        heard.append(native.denoise_stream_voice(stream))
        assert heard[-1] == other.vad[-1].max()
    assert max(heard) > 0.8


@pytest.mark.filterwarnings("ignore:floats beyond")
def test_a_gate_and_zeroed_samples_give_pythons_bits(lib: tuple[FFI, Any], noisy: NDArray[np.float32]) -> None:
    samples = noisy[:40_000].copy()
    samples[5000, 1], samples[6000:6100, 0], samples[39_000] = np.nan, np.inf, -np.inf
    gate: dict[str, Any] = {"vad_threshold": 0.4, "vad_hold": 0.05}
    made = Model(lib, "denoiser_open", b"rnnoise").clean(samples, 48000, (3000, 7), zero_bad=1, **gate)
    wanted = by_python(load_backend("rnnoise"), samples, 48000, non_finite="zero", **gate)
    np.testing.assert_array_equal(made, wanted)
    assert (made == 0).all(axis=1).sum() > len(made) - len(samples), "the gate never closed"


def test_whole_hops_and_a_later_start_give_pythons_bits(lib: tuple[FFI, Any], noisy: NDArray[np.float32]) -> None:
    model, backend = Model(lib, "denoiser_open", b"dtln-32k"), load_backend("dtln-32k")
    samples = noisy[: 64 * 256, :1]
    made = model.clean(samples, 32000, (256, 1024), step=256)
    np.testing.assert_array_equal(made, by_python(backend, samples, 32000, step=256))
    late = model.clean(samples, 32000, latency=2000)
    assert len(late) == len(samples) + 2000
    np.testing.assert_array_equal(late[2000:], model.clean(samples, 32000)[-len(samples) :])


def test_a_limit_changes_without_a_step(lib: tuple[FFI, Any]) -> None:
    """From all of the original to as little as there is of it, and back, on a tone that no network lets through."""
    ffi, native = lib
    tone = (0.5 * np.sin(2 * np.pi * 997 / 48000 * np.arange(96_000))).astype(np.float32)
    steepest = np.abs(np.diff(tone)).max()
    for name in SHIPPED:
        model, made = Model(lib, "denoiser_open", name.encode()), ffi.new("denoise_stream **")
        settings = ffi.new("denoise_settings *", {"size": ffi.sizeof("denoise_settings"), "step": 1, "block": 1024})
        settings.mix, settings.vad_threshold, settings.atten_lim_db = 1, -1, 0
        assert native.denoise_stream_open(model.memory, 48000, 1, settings, made, ffi.NULL) == 0
        stream, cleaned = ffi.gc(made[0], native.denoise_stream_close), np.empty_like(tone)
        for at in range(0, len(tone), 480):
            settings.atten_lim_db = -1 if 20_000 < at < 60_000 else 0
            assert native.denoise_stream_change(stream, settings) == 0
            chunk, target = ffi.from_buffer(tone[at : at + 480]), ffi.from_buffer(cleaned[at : at + 480])
            assert native.denoise_stream_process(stream, TYPES["float32"], chunk, target, 480) == 0
        assert np.abs(np.diff(cleaned[5000:])).max() < 1.2 * steepest, name
        level = [float(np.std(cleaned[part])) for part in (slice(10_000, 20_000), slice(80_000, 90_000))]
        assert level == pytest.approx([0.3535, 0.3535], rel=0.02), name


def test_models_of_ones_own_by_path(
    lib: tuple[FFI, Any], noisy: NDArray[np.float32], shared: Path, tmp_path: Path
) -> None:
    rnnoise, dtln, teachers = (shared / "reference" / each for each in ("rnnoise", "dtln", "teachers"))
    cases: list[tuple[Any, str, tuple[Any, ...]]] = [
        (load_backend("rnnoise", rnnoise / name), "denoiser_open_file", (str(rnnoise / name).encode(),))
        for name in ("sh.rnnn", "default.rnn", "random_v02.bin")
    ]
    for name in ("ulunas", "gtcrn"):
        file = tmp_path / f"{name}.dnnw"
        file.write_bytes(narrow_bytes(teachers / f"{name}_stream.onnx", name))
        cases.append((load_backend(name, file), "denoiser_open_file", (str(file).encode(),)))
    pair = [dtln / "model_1.onnx", dtln / "model_2.onnx"]
    for each in (pair, pair[::-1]):
        paths = tuple(str(path).encode() for path in each)
        cases.append((load_backend("dtln-16k", pair), "denoiser_open_pair", (*paths, 0)))
    for backend, call, arguments in cases:
        made = Model(lib, call, *arguments).clean(noisy[:12_000], 44100)
        np.testing.assert_array_equal(made, by_python(backend, noisy[:12_000], 44100))


def test_damaged_files_are_refused_with_a_reason(lib: tuple[FFI, Any], tmp_path: Path) -> None:
    ffi, native = lib
    made, why = ffi.new("denoiser **"), ffi.new("char[]", 400)
    half = tmp_path / "half.dnnw"
    half.write_bytes((MODELS / "rnnoise-classic.dnnw").read_bytes()[:40_000])
    onnx = MODELS / "dtln-16k_1.onnx"
    lost = tmp_path / "lost.dnnw"
    lost.write_bytes(random_enhancer(TAPPED._replace(guided=True), notes={"guide": "nobody"}))
    for status, path, words in (
        (native.DENOISE_NO_FILE, tmp_path / "none", "none cannot be read: No such file"),
        (native.DENOISE_NO_FILE, tmp_path, "cannot be read: Is a directory"),
        (native.DENOISE_BAD_MODEL, half, "half.dnnw cannot be used: "),
        (native.DENOISE_BAD_MODEL, onnx, "open both with denoiser_open_pair"),
        (native.DENOISE_BAD_MODEL, lost, "no model that is compiled in can guide it: it names 'nobody'"),
    ):
        assert native.denoiser_open_file(str(path).encode(), made, why) == status
        assert made[0] == ffi.NULL
        assert words in ffi.string(why).decode()
    first = str(onnx).encode()
    assert native.denoiser_open_pair(first, first, 0, made, why) == native.DENOISE_BAD_MODEL


def test_an_instruction_set_that_is_none_is_refused(by_pkg_config: Path) -> None:
    odd = {**os.environ, "DENOISE_WRAPPER_ISA": "abacus"}
    done = subprocess.run(
        [by_pkg_config, "rnnoise", "48000", "1"], env=odd, input=b"", capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"abacus, which DENOISE_WRAPPER_ISA names" in done.stderr


# ---- librnnoise ----


@pytest.fixture(scope="session")
def rnnoise_so(prefix: Path) -> Path:
    return prefix / "lib/denoise_wrapper/librnnoise.so"


def frames_of(noisy: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    return np.round(noisy[: 480 * count, 0].reshape(count, 480) * 32767).astype(np.float32)


def python_frames(model: Any, frames: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Clean frames at the scale of int16 by our own backend; returns the probabilities too."""
    state = load_backend("rnnoise", model).new_state(1)
    cleaned, voice = state.process(frames.reshape(1, -1) / np.float32(32768))
    return cleaned.reshape(frames.shape) * np.float32(32768), voice[0]


def test_it_is_loaded_as_pyrnnoise_and_rnnoise_wrapper_load_it(rnnoise_so: Path, noisy: NDArray[np.float32]) -> None:
    """By ctypes, one with and one without types of the result of every call; in place; int16 of floats by casting."""
    frames = frames_of(noisy, 40)
    wanted, voice = python_frames(None, frames)
    floats = ctypes.POINTER(ctypes.c_float)
    for load in (ctypes.CDLL, ctypes.cdll.LoadLibrary):
        library = load(str(rnnoise_so))
        library.rnnoise_process_frame.argtypes = [ctypes.c_void_p, floats, floats]
        library.rnnoise_process_frame.restype = ctypes.c_float
        library.rnnoise_create.restype = ctypes.c_void_p
        library.rnnoise_destroy.argtypes = [ctypes.c_void_p]
        assert library.rnnoise_get_frame_size() == 480
        state = library.rnnoise_create(None)
        for frame, clean, speech in zip(frames.copy(), wanted, voice, strict=True):
            pointer = frame.ctypes.data_as(floats)
            assert library.rnnoise_process_frame(state, pointer, pointer) == speech
            np.testing.assert_array_equal(frame, clean)
        library.rnnoise_destroy(state)


def test_it_is_a_backend_as_any_librnnoise(rnnoise_so: Path, noisy: NDArray[np.float32]) -> None:
    ours, theirs = Denoiser("rnnoise"), Denoiser("librnnoise", model=rnnoise_so)
    assert theirs.backend.delay == ours.backend.delay
    np.testing.assert_array_equal(theirs.filter(noisy, 48000), ours.filter(noisy, 48000))


PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
#ifdef HEADER
#include <rnnoise.h>
#else
typedef struct DenoiseState DenoiseState;
typedef struct RNNModel RNNModel;
int rnnoise_get_size(void), rnnoise_get_frame_size(void), rnnoise_init(DenoiseState *, RNNModel *);
DenoiseState *rnnoise_create(RNNModel *);
void rnnoise_destroy(DenoiseState *), rnnoise_model_free(RNNModel *);
float rnnoise_process_frame(DenoiseState *, float *, const float *);
RNNModel *rnnoise_model_from_file(FILE *), *rnnoise_model_from_filename(const char *);
RNNModel *rnnoise_model_from_buffer(const void *, int);
#endif
static char bytes[1 << 24];
int main(int argc, char **argv) {
    float frame[480];
    RNNModel *model = NULL;
    if (argc == 3) {
        FILE *file = fopen(argv[2], "rb");
        if (argv[1][0] == 'f') model = rnnoise_model_from_file(file);
        if (argv[1][0] == 'n') model = rnnoise_model_from_filename(argv[2]);
        if (argv[1][0] == 'b') model = rnnoise_model_from_buffer(bytes, (int)fread(bytes, 1, sizeof bytes, file));
        fclose(file);
        if (!model) return 3;
    }
    char *room = malloc((size_t)rnnoise_get_size() + 1);
    DenoiseState *made = rnnoise_create(model), *own = (DenoiseState *)room;
    if (rnnoise_init(own, model) || rnnoise_get_frame_size() != 480) return 2;
    while (fread(frame, sizeof frame, 1, stdin)) {
        float other[480];
        float voice = rnnoise_process_frame(own, other, frame), again = rnnoise_process_frame(made, frame, frame);
        for (int i = 0; i < 480; i++) if (other[i] != frame[i] || voice != again) return 4;
        fwrite(frame, sizeof frame, 1, stdout);
    }
    rnnoise_destroy(made);
    rnnoise_destroy(own);
    rnnoise_model_free(model);
    return 0;
}
"""


@pytest.fixture(scope="session")
def linked(needs: Needs, rnnoise_so: Path, out: Path) -> Path:
    """A program that is linked to librnnoise.so.0."""
    (out / "linked.c").write_text(PROGRAM)
    run(needs("gcc"), "-O1", out / "linked.c", "-o", out / "linked", f"-L{rnnoise_so.parent}", "-lrnnoise")
    return out / "linked"


@pytest.mark.parametrize(
    ("way", "model"),
    [(None, None), ("file", "sh.rnnn"), ("name", "default.rnn"), ("buffer", "random_v02.bin"), ("buffer", "bd.rnnn")],
)
def test_a_linked_program_gets_the_engine_and_any_model(
    linked: Path, rnnoise_so: Path, noisy: NDArray[np.float32], shared: Path, way: str | None, model: str | None
) -> None:
    """In memory of its own too, which need not be aligned."""
    frames = frames_of(noisy, 30)
    path = None if model is None else shared / "reference/rnnoise" / model
    arguments = [] if way is None else [way, path]
    found = {**os.environ, "LD_LIBRARY_PATH": str(rnnoise_so.parent)}
    made = run(linked, *arguments, input=frames.tobytes(), env=found).stdout
    np.testing.assert_array_equal(np.frombuffer(made, np.float32).reshape(-1, 480), python_frames(path, frames)[0])


def test_models_that_are_none_give_null(linked: Path, rnnoise_so: Path, tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(b"rnnoise-nu model file version 1\n42 24")
    (tmp_path / "empty").write_bytes(b"")
    found = {**os.environ, "LD_LIBRARY_PATH": str(rnnoise_so.parent)}
    for way in ("file", "name", "buffer"):
        for name in ("odd", "empty"):
            assert subprocess.run([linked, way, tmp_path / name], env=found, input=b"", check=False).returncode == 3


def test_samples_that_are_no_numbers_do_not_poison_a_state(rnnoise_so: Path, noisy: NDArray[np.float32]) -> None:
    library = ctypes.CDLL(str(rnnoise_so))
    library.rnnoise_create.restype = ctypes.c_void_p
    state, frames = ctypes.c_void_p(library.rnnoise_create(None)), frames_of(noisy, 30)
    frames[3, 7], frames[4] = np.nan, np.inf
    for frame in frames:
        pointer = ctypes.c_void_p(frame.ctypes.data)
        library.rnnoise_process_frame(state, pointer, pointer)
        assert np.isfinite(frame).all()
    library.rnnoise_destroy(state)


# ---- LADSPA ----


@pytest.fixture(scope="session")
def plugin(prefix: Path) -> Path:
    return prefix / "lib/ladspa/denoise_ladspa.so"


@pytest.fixture(scope="session")
def host(needs: Needs, out: Path) -> Path:
    options = ("-std=c11", "-D_GNU_SOURCE", "-DLOADED", "-Wall", "-Wextra", "-Werror", "-O1")
    run(needs("gcc"), *options, NATIVE / "tests/test_ladspa.c", "-o", out / "ladspa_host", "-ldl", "-lm", "-pthread")
    return out / "ladspa_host"


@pytest.mark.parametrize("rate", [48000, 22050])
def test_run_asks_for_no_memory_and_no_lock(host: Path, plugin: Path, rate: int) -> None:
    """Blocks of 1 to 8192, in place, controls that move, backends that change, four instances in threads at once.

    The latencies that the port tells are those of streams."""
    told = [float(word) for word in run(host, plugin, rate).stdout.split()[: len(SHIPPED)]]
    assert told == [Denoiser(name).latency(rate) for name in SHIPPED]


def test_the_sdk_lists_and_analyses_the_plugin(needs: Needs, plugin: Path) -> None:
    ways = {**os.environ, "LADSPA_PATH": str(plugin.parent)}
    shown = run(needs("listplugins"), env=ways).stdout.decode()
    assert "(5190317/denoise_mono)" in shown
    assert "(5190318/denoise_stereo)" in shown
    facts = run(needs("analyseplugin"), plugin, "denoise_stereo", env=ways).stdout.decode()
    listed = ", ".join(f"{number} {name}" for number, name in enumerate(SHIPPED))
    assert f"stereo (backends: {listed})" in facts
    assert f'"Backend" input, control, 0 to {len(SHIPPED) - 1}' in facts
    assert '"latency" output, control' in facts
    assert "Has activate() Function: Yes" in facts
    assert facts.count("output, audio") == 2


def as_plugin(name: str, samples: NDArray[np.float32], rate: int, **settings: Any) -> NDArray[np.float32]:
    """Clean float32 (frames, channels) by a stream of Python; returns them late, as they are."""
    settings.setdefault("non_finite", "zero")
    stream = Stream(load_backend(name), rate, samples.shape[1], Settings(**settings))
    whole = samples if samples.shape[1] > 1 else samples[:, 0]
    return stream.process(whole).reshape(samples.shape)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("backend", "limit"), [(0, 100), (1, 12), (2, 6), (5, 12)])
def test_ffmpegs_filter_gives_pythons_bits(
    needs: Needs, plugin: Path, noisy: NDArray[np.float32], channels: int, backend: int, limit: int
) -> None:
    label = ("denoise_mono", "denoise_stereo")[channels - 1]
    samples = np.ascontiguousarray(noisy[:40_000, :channels])
    raw = ("-f", "f32le", "-ar", "44100", "-ac", channels)
    chosen = f"ladspa=file={plugin}:plugin={label}:controls=c0={backend}|c1={limit}|c2=0.75"
    made = run(needs("ffmpeg"), "-v", "error", *raw, "-i", "-", "-af", chosen, *raw, "-", input=samples.tobytes())
    settings: dict[str, Any] = {"mix": 0.75} if limit == 100 else {"mix": 0.75, "atten_lim_db": float(limit)}
    wanted = as_plugin(SHIPPED[backend], samples, 44100, **settings)
    np.testing.assert_array_equal(np.frombuffer(made.stdout, np.float32).reshape(-1, channels), wanted)


def test_applyplugin_gives_pythons_samples(
    needs: Needs, plugin: Path, noisy: NDArray[np.float32], tmp_path: Path
) -> None:
    """Within the rounding of its WAV files."""
    samples = exact(noisy[:30_000, :1], "int16")
    soundfile.write(tmp_path / "in.wav", samples, 16000)
    run(needs("applyplugin"), tmp_path / "in.wav", tmp_path / "out.wav", plugin, "denoise_mono", 3, 100, 1, 0)
    made, rate = soundfile.read(tmp_path / "out.wav", dtype="int16")
    assert rate == 16000
    wanted = as_plugin("dtln-32k", samples.astype(np.float32) / np.float32(32768), 16000)[:, 0] * 32768
    assert np.abs(made - wanted).max() <= 2
