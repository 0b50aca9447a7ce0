"""Files that other projects test their parsers with, cleaned one by one: python tests/long/others_files.py FOLDER.

Fetches into FOLDER, where it is not there yet, the sources of mutagen (PyPI), TagLib and Quod Libet (Debian), by pip
and apt-get, then cleans every file of their test folders with the command line and lists what became of it: cleaned and
equal in form, or refused in one line. Anything else is a fault: a traceback, a crash, a hang, sound that is gone.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import av  # noqa: F401 so that forks have it
import mutagen  # noqa: F401
import soundfile  # noqa: F401

from denoise_wrapper.cli.main import main as main_of_cli

TIMEOUT_S = 300  # a file takes one second; a machine may be busy
FROM_PYPI, FROM_DEBIAN = ("mutagen",), ("taglib", "quodlibet")
NO_AUDIO = {
    ".py",
    ".txt",
    ".xml",
    ".cpp",
    ".h",
    ".md",
    ".list",
    ".ui",
    ".in",
    ".am",
    ".cmake",
    ".pickle",
    ".json",
    ".html",
}
LOSSLESS = ("pcm", "flac", "alac", "wavpack", "tta", "ape")


def fetch(folder: Path) -> None:
    """Download the source archives that are not there, and unpack them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FROM_PYPI:
        if not list(folder.glob(f"{name}-*.tar.*")):
            pip = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "-q",
                "--no-deps",
                "--no-binary",
                name,
                "-d",
                str(folder),
                name,
            ]
            subprocess.run(pip, check=True)
    missing = [name for name in FROM_DEBIAN if not list(folder.glob(f"{name}_*.orig.tar.*"))]
    if missing:
        apt_get(folder, missing)
    for archive in sorted([*folder.glob("*-*.tar.gz"), *folder.glob("*.orig.tar.*")]):
        target = folder / "unpacked" / archive.name.partition(".tar")[0]
        if not target.exists():
            with tarfile.open(archive) as tar:
                tar.extractall(target, filter="data")


def apt_get(folder: Path, names: list[str]) -> None:
    """Download source packages, with lists of sources made of the system's own in a folder of their own."""
    state = (folder / "apt").resolve()
    for part in ("parts", "lists/partial", "cache/archives/partial"):
        (state / part).mkdir(parents=True, exist_ok=True)
    for path in Path("/etc/apt/sources.list.d").glob("debian*.sources"):
        words = re.sub(r"^Types:.*$", "Types: deb-src", path.read_text(), flags=re.MULTILINE)
        (state / "parts" / path.name).write_text(words)
    options = [
        "-o", "Dir::Etc::SourceList=/dev/null", "-o", f"Dir::Etc::SourceParts={state}/parts",
        "-o", f"Dir::State::Lists={state}/lists", "-o", f"Dir::Cache={state}/cache",
    ]  # fmt: skip
    subprocess.run(["apt-get", "-q", *options, "update"], check=True)
    subprocess.run(["apt-get", "-q", *options, "source", "--download-only", *names], check=True, cwd=folder)


def sound(path: Path) -> dict[str, object] | None:
    """Say what ffprobe and ffmpeg make of the first audio stream of a file; None if nothing."""
    entries = "stream=codec_name,sample_rate,channels"
    probe = ["ffprobe", "-v", "quiet", "-select_streams", "a:0", "-show_entries", entries, "-of", "json", str(path)]
    try:
        done = subprocess.run(probe, capture_output=True, check=False, timeout=TIMEOUT_S)
        streams = json.loads(done.stdout or b"{}").get("streams", [])
        if not streams or not int(streams[0].get("channels", 0)):
            return None
        decode = ["ffmpeg", "-v", "quiet", "-nostdin", "-i", str(path), "-map", "0:a:0", "-f", "s16le", "-"]
        raw = subprocess.run(decode, capture_output=True, check=False, timeout=TIMEOUT_S).stdout
    except subprocess.TimeoutExpired:
        return None
    return {**streams[0], "frames": len(raw) // 2 // int(streams[0]["channels"])}


def filtered(path: Path, target: Path) -> tuple[int | None, str]:
    """Clean a file with the command line, in a fork of this process, which has imported it.

    Returns (exit code, what came on standard error); None for one that was not done in TIMEOUT_S.
    """
    with tempfile.TemporaryFile() as errors:
        child = os.fork()
        if not child:
            os.dup2(errors.fileno(), 2)
            os._exit(run(["filter", "-q", str(path), "-o", str(target), "--overwrite"]))
        end = time.monotonic() + TIMEOUT_S
        while not (done := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < end:
            time.sleep(0.005)
        if not done[0]:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        errors.seek(0)
        return os.waitstatus_to_exitcode(done[1]) if done[0] else None, errors.read().decode(errors="replace").strip()


def run(words: list[str]) -> int:
    """Run the command line; a traceback goes to standard error."""
    try:
        return main_of_cli(words)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stderr.flush()


def clean(path: Path, target: Path) -> tuple[str, str]:
    """Clean a file: (what became of it, why). The first word is "equal", "refused", "differs" or "FAULT"."""
    target.unlink(missing_ok=True)
    code, words = filtered(path, target)
    if code is None:
        return "FAULT", f"not done in {TIMEOUT_S} s"
    if code == 2 and words.count("\n") == 0 and not target.exists():
        return "refused", words.replace(str(path), path.name).removeprefix("denoise-wrapper: ")
    if code != 0 or words:
        return "FAULT", f"rc {code}: {words[-300:]}"
    before, after = sound(path), sound(target)
    if after is None:
        return "FAULT", "no sound in what was written"
    if before is None:
        return "equal", f"ffmpeg cannot read the source; {after['frames']} frames written"
    wrong = [
        f"{name} {before[name]} -> {after[name]}"
        for name in ("codec_name", "sample_rate", "channels")
        if before[name] != after[name]
    ]
    lossless = str(before["codec_name"]).startswith(LOSSLESS)
    lost = int(str(before["frames"])) - int(str(after["frames"]))
    if abs(lost) > (0 if lossless else 2500):
        wrong.append(f"frames {before['frames']} -> {after['frames']}")
    return ("differs", ", ".join(wrong)) if wrong else ("equal", "")


def main() -> int:
    folder = Path(sys.argv[1])
    fetch(folder)
    out = folder / "cleaned"
    out.mkdir(exist_ok=True)
    counts: Counter[tuple[str, str]] = Counter()
    for project in sorted((folder / "unpacked").iterdir()):
        for path in sorted(project.rglob("*")):
            if not path.is_file() or "test" not in str(path.relative_to(project)) or path.suffix.lower() in NO_AUDIO:
                continue
            what, why = clean(path, out / f"{os.getpid()}{path.suffix}")
            counts[project.name, what] += 1
            print(f"{what:8} {path.relative_to(project)} {why}", flush=True)
    for (project_name, what), count in sorted(counts.items()):
        print(f"{project_name}: {count} {what}")
    return int(any(what == "FAULT" for _, what in counts))


if __name__ == "__main__":
    sys.exit(main())
