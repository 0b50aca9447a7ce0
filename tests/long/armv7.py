"""The wheel for 32-bit ARM: built by a cross compiler, run in a root of Debian trixie, compared with this machine.

    python tests/long/armv7.py ROOT [--wheel FILE] [--wheels DIR]

ROOT: a folder for the root; mmdebstrap fills a new one with Debian's packages for armhf, Python, NumPy, cffi and
soundfile among them, none of them configured: qemu-arm runs that Python with the root's files before this machine's,
so that neither root's rights nor binfmt are needed. The mirror is that of this machine's own apt. Each backend that
comes with the package cleans examples/noisy.wav there and here, 32-bit floats in and out; then the instructions of a
hop are counted, with NEON and in plain C (native/tools). Fails below 60 dB, or where NEON takes more than a third.
--wheel: one that was built elsewhere, in place of our own. --wheels: keeps ours there. Needs mmdebstrap, qemu-user,
gcc-arm-linux-gnueabihf and a network; some minutes.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import soundfile

TREE = Path(__file__).resolve().parents[2]
SUITE, TRIPLET = "trixie", "arm-linux-gnueabihf"
PACKAGES = "base-files,python3,python3-numpy,python3-cffi-backend,python3-soundfile,python3-rich,libpython3-dev"
BACKENDS = ("rnnoise", "rnnoise-classic", "dtln-16k", "dtln-32k")
LEAST_DB = 60.0
LESS = 3.0  # times as many instructions in plain C, at least
PROCESSOR = "cortex-a7"
HOPS = (20, 60)
SCHED_YIELD = 158  # of 32-bit ARM; at each the plugin says how many instructions there have been
COUNTED = f"""
import os
import numpy
from denoise_wrapper.backends.dtln import DTLNBackend
from denoise_wrapper.backends.rnnoise import RNNoiseBackend
from denoise_wrapper.models.shipped import MODELS

def dtln(name, precision):
    pair = tuple(MODELS / f"{{name}}_{{number}}.onnx" for number in (1, 2))
    return lambda isa: DTLNBackend(pair, name, precision=precision, isa=isa)

kinds = {{
    "rnnoise": lambda isa: RNNoiseBackend(None, isa=isa),
    "rnnoise-classic": lambda isa: RNNoiseBackend(MODELS / "rnnoise-classic.dnnw", isa=isa),
    **{{f"{{name}}, {{precision}}": dtln(name, precision)
       for name in ("dtln-16k", "dtln-32k") for precision in ("float", "int8")}},
}}
for name, make in kinds.items():
    for isa in ("neon", "scalar"):
        backend = make(isa)
        for hops in {HOPS}:
            noise = 0.1 * numpy.random.default_rng(1).standard_normal((1, hops * backend.hop))
            noise, state = noise.astype(numpy.float32), backend.new_state(1)
            os.sched_yield()
            state.process(noise)
            os.sched_yield()
    print(name)
"""


def fill(root: Path) -> None:
    """Unpack Debian's packages for armhf, unless they are there."""
    if (root / "usr/bin/python3").exists():
        return
    site = "apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1"
    mirror = subprocess.run(["sh", "-c", site], check=True, capture_output=True, text=True).stdout.strip()
    source = f"deb {mirror} {SUITE} main"  # alone: without updates there is one version of each package
    command: list[str | Path] = ["mmdebstrap", "--variant=extract", "--architectures=armhf", "--skip=check/qemu"]
    subprocess.run([*command, f"--include={PACKAGES}", SUITE, root, source], check=True)


def build(root: Path, folder: Path) -> Path:
    """Cross-build the wheel in folder; returns its path."""
    (include,) = root.glob("usr/include/python3.*")
    (folder / "include").mkdir()
    (folder / "include" / TRIPLET).symlink_to(root / "usr/include" / TRIPLET)  # where Debian has pyconfig.h
    compiler = f"{TRIPLET}-gcc"
    environment = {
        **os.environ,
        "CC": compiler,
        "LDSHARED": f"{compiler} -shared",
        "CC_FOR_BUILD": "cc",
        "CFLAGS": f"-I{folder / 'include'} -I{include}",  # before those of this machine's Python
        "_PYTHON_HOST_PLATFORM": "linux-armv7l",
    }
    command: list[str | Path] = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist"]
    subprocess.run(command, cwd=TREE, env=environment, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = (folder / "dist").iterdir()
    return wheel


def python(root: Path, site: Path) -> list[str]:
    """The words that run the root's Python with the package in site."""
    libraries = root / "usr/lib" / TRIPLET
    variables = {
        "PYTHONHOME": root / "usr",
        "PYTHONPATH": site,
        "PYTHONSAFEPATH": "1",
        "LD_LIBRARY_PATH": f"{libraries}/blas:{libraries}/lapack",  # of NumPy, which alternatives would link
    }
    settings = [word for name, value in variables.items() for word in ("-E", f"{name}={value}")]
    return ["qemu-arm", "-cpu", PROCESSOR, *settings, "-L", str(root), str(root / "usr/bin/python3")]


def clean(words: list[str], backend: str, noisy: Path, target: Path) -> tuple[np.ndarray, float]:
    """Run `denoise-wrapper filter`; returns what it wrote, and the seconds that it took."""
    start = time.monotonic()
    command: list[str | Path] = [
        *words,
        "-m",
        "denoise_wrapper",
        "--no-config",
        "filter",
        "-q",
        "-b",
        backend,
        noisy,
        "-o",
        target,
    ]
    subprocess.run(command, check=True, cwd=target.parent)
    return soundfile.read(target)[0], time.monotonic() - start


def agreement_db(ours: np.ndarray, wanted: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(wanted**2) / max(float(np.sum((ours - wanted) ** 2)), 1e-30)))


def count_hops(root: Path, site: Path, folder: Path) -> bool:
    """Print the instructions of a hop with NEON and in plain C; returns whether there are LESS times fewer in each."""
    plugin = folder / "count.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", TREE / "native/tools/count.c", "-o", plugin], check=True)
    qemu, *words = python(root, site)
    command = [qemu, "-plugin", f"{plugin},yield={SCHED_YIELD}", *words, "-c", COUNTED]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    marks = [int(number) for number in re.findall(r"^(\d+) instructions$", done.stderr, re.MULTILINE)]
    enough = True
    for index, name in enumerate(done.stdout.splitlines()):
        few, many, plain_few, plain_many = (
            marks[place + 1] - marks[place] for place in range(8 * index, 8 * index + 8, 2)
        )
        neon, plain = ((most - least) / (HOPS[1] - HOPS[0]) for most, least in ((many, few), (plain_many, plain_few)))
        enough = enough and plain >= LESS * neon
        print(f"{name}: a hop is {neon:,.0f} instructions with NEON, {plain:,.0f} without: {plain / neon:.2f} x")
    return enough


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--wheels", type=Path)
    args = parser.parse_args()
    root = args.root.resolve()
    fill(root)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        wheel = args.wheel or build(root, folder)
        print(wheel.name, flush=True)
        if args.wheels and not args.wheel:
            args.wheels.mkdir(parents=True, exist_ok=True)
            shutil.copy(wheel, args.wheels)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / "site")
        audio, rate = soundfile.read(TREE / "examples/noisy.wav")
        noisy = folder / "noisy.wav"
        soundfile.write(noisy, audio, rate, "FLOAT")
        fine = True
        for backend in BACKENDS:
            there, seconds = clean(python(root, folder / "site"), backend, noisy, folder / "there.wav")
            here, _ = clean([sys.executable], backend, noisy, folder / "here.wav")
            agreement = agreement_db(there, here)
            fine = fine and agreement >= LEAST_DB
            near = "the same bits as" if np.array_equal(there, here) else f"{agreement:.1f} dB from"
            print(f"{backend}: {near} this machine's; {seconds:.0f} s with Python's start")
            (folder / "there.wav").unlink()
            (folder / "here.wav").unlink()
        fine = count_hops(root, folder / "site", folder) and fine
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
