"""The image of docker/Dockerfile.cpu as a root without Docker: built of the same lines, walked as any user.

    sudo python tests/long/docker_root.py ROOT AUDIO [--bind PATH ...] [--skip-build]

ROOT: a new folder for the root; debootstrap fills it with Debian bookworm, whose Python 3.11 stands for the one of the
image. Then each COPY and RUN line is taken in a chroot, in its order, with the variables of ARG and ENV. AUDIO: a
folder with clean/ and noise/, mounted with all that is made of it at /work. The walk runs as user 12345, of whom the
root knows nothing, with the root's files read-only but for /tmp, as `docker run --read-only --tmpfs /tmp --user
12345:12345` has it. --bind: files and folders of this machine that pip needs (its settings, packages that lie here),
at their own place in the root; pip's own variables (PIP_...) are passed on. --build-arg as docker takes it.
Needs root, debootstrap, unshare and a network; some minutes.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
DOCKERFILE = TREE / "docker" / "Dockerfile.cpu"
USER = 12345
STRANGER = f"{USER}:{USER}"
SUITE, PACKAGES = "bookworm", "python3,python3-venv,python3-dev,ca-certificates"
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.o", "*.so", "*.pyd", "build")  # as .dockerignore has it
SETTINGS = (
    'work_dir = "run"\nname = "mine"\n[data]\nspeech = ["clean"]\nnoise = ["noise"]\n[features]\nhours = 0.02\n'
    "validation_hours = 0.01\nshard_hours = 0.02\n[train]\nbatch = 4\nwarm_up = 2\n"
)
WALK = (
    "info",
    "data mix --speech clean --noise noise -o mixed --clips 3 --seconds 4",
    "train rnnoise -C mine.toml --epochs 1",
    "filter mixed/noisy -o cleaned",
    "filter -b dtln-16k mixed/noisy -o cleaned-dtln",
    "evaluate --set mixed --model run/mine.dnnw --against standard",
    "compare mixed -a rnnoise -b run/mine.dnnw -o compare.html",
    "convert run/mine.dnnw -o weights.rnnn",
    "models wheel run/mine.dnnw -o dist",
)


def instructions(path: Path) -> Iterator[tuple[str, str]]:
    """Read (instruction, the rest of it) of a Dockerfile, lines that go on joined."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(str.strip, text.splitlines()):
        word, _, rest = line.strip().partition(" ")
        yield word, rest.strip()


class Root:
    """A folder that stands for an image: what its lines have set so far, and how commands run in it."""

    def __init__(self, place: Path, binds: list[Path]) -> None:
        self.place, self.binds = place, binds
        self.folder = "/"
        self.values: dict[str, str] = {}  # of ARG
        self.environment = {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"}

    def begin(self, image: str) -> None:
        """Fill the root with what the base image stands for: Debian, and a Python whose pip installs into it."""
        if not image.startswith("python:3.11"):
            sys.exit(f"{image} is not python:3.11, which this stands in for")
        if not (self.place / "usr").is_dir():
            subprocess.run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, self.place], check=True)
        self.run("python3 -m venv /usr/local", dict(self.environment))

    def copy(self, words: list[str]) -> None:
        """Copy files and folders of the tree, without what was built in it."""
        *sources, target = words
        folder = self.place / self.folder.lstrip("/")
        for source in sources:
            if (TREE / source).is_dir():
                shutil.copytree(TREE / source, folder / target, ignore=LEFT_OUT, dirs_exist_ok=True)
            else:
                shutil.copy(TREE / source, folder / target)

    def run(self, command: str, environment: dict[str, str], mounts: str = "", user: str = "0:0") -> int:
        """Run a shell's command in the root, with mounts of its own, which end with it; returns its exit status."""
        place = shlex.quote(str(self.place))
        lines = ["set -e", f"mount --rbind /proc {place}/proc", f"mount --rbind /dev {place}/dev"]
        for path in self.binds:
            target = self.place / str(path).lstrip("/")
            if path.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.touch()
            lines.append(f"mount --bind {shlex.quote(str(path))} {shlex.quote(str(target))}")
        values = " ".join(shlex.quote(f"{name}={value}") for name, value in environment.items())
        inner = f"cd {shlex.quote(self.folder)} && {command}"
        lines += [mounts, f"exec chroot --userspec={user} {place} env -i {values} sh -c {shlex.quote(inner)}"]
        script = "\n".join(lines)
        return subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script]).returncode

    def take(self, word: str, rest: str) -> None:
        """Do what a line of the Dockerfile says."""
        if word == "FROM":
            self.begin(rest)
        elif word == "WORKDIR":
            self.folder = rest
            (self.place / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif word == "COPY":
            self.copy(rest.split())
        elif word == "ARG":
            name, _, value = rest.partition("=")
            self.values.setdefault(name, value.strip('"'))
        elif word == "ENV":
            self.environment |= dict(each.split("=", 1) for each in shlex.split(rest))
        elif word == "RUN":
            pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
            if self.run(rest, {"HOME": "/root", **self.environment, **pip, **self.values}):
                sys.exit(f"this line of {DOCKERFILE.name} fails: RUN {rest}")


def walk(root: Root, work: Path) -> bool:
    """Run each command of the walk as the stranger, in a root whose files only /tmp and /work let it write."""
    (work / "mine.toml").write_text(SETTINGS, encoding="utf-8")
    for path in (work, *work.rglob("*")):
        os.chown(path, USER, USER)
    place = shlex.quote(str(root.place))
    mounts = (
        f"mount --rbind {place} {place}; mount -o remount,bind,ro {place}\n"
        f"mount -t tmpfs -o mode=1777 tmpfs {place}/tmp; mount --bind {shlex.quote(str(work))} {place}/work"
    )
    passed = True
    for line in WALK:
        began = time.perf_counter()
        code = root.run(f"exec denoise-wrapper {line} >/tmp/said 2>&1 || (tail -n 20 /tmp/said; exit 1)",
                        root.environment, mounts, STRANGER)  # fmt: skip
        print(f"{line:64} {time.perf_counter() - began:7.1f} s  rc {code}", flush=True)
        passed = passed and code == 0
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("audio", type=Path)
    parser.add_argument("--bind", type=Path, nargs="+", default=[], metavar="PATH")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--skip-build", action="store_true", help="walk in a root that was built before")
    args = parser.parse_args()
    args.root.mkdir(parents=True, exist_ok=True)
    root = Root(args.root.resolve(), [path.absolute() for path in args.bind])
    root.values |= dict(each.split("=", 1) for each in args.build_arg)
    for word, rest in instructions(DOCKERFILE):
        if args.skip_build and word in ("FROM", "COPY", "RUN"):
            continue
        began = time.perf_counter()
        root.take(word, rest)
        print(f"{word} {rest[:56]:60} {time.perf_counter() - began:7.1f} s", flush=True)
    return 0 if walk(root, args.audio.resolve()) else 1


if __name__ == "__main__":
    sys.exit(main())
