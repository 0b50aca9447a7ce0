"""Fine-tuning of the shipped models with the noise of one room, measured: before, after, and on other noise.

    DENOISE_WRAPPER_SHARED=../shared python tests/long/tuning.py WORK dtln|rnnoise [--steps N] [--hours H] [--only NAME]

WORK: a folder for all that is made; what is there is used again. The room is a home, whose dog, baby, clock, machines
and radio are in the folder of shared audio: three quarters of each recording are learned from, the last quarter is
mixed with voices of the development set, which no training hears. The development set itself shows what is forgotten.
Each way of WAYS is a training, judged on both sets. Some minutes a way on one core.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from denoise_wrapper import Denoiser
from denoise_wrapper.compare.clips.clip import Clip
from denoise_wrapper.compare.clips.sets import read_set
from denoise_wrapper.compare.measure.metrics import pesq, resample, si_sdr_db

SHARED = Path(os.environ.get("DENOISE_WRAPPER_SHARED", Path(__file__).resolve().parents[3] / "shared"))
HOME = (
    "esc-10-001_dogbark", "esc-10-004_babycry", "esc-10-005_clocktick", "esc-10-006_personsneeze", "keystroke-*",
    "projektarbeit-*", "moodist-washing_machine", "moodist-laundry_room", "moodist-dryer-16k", "moodist-cat_purring",
    "moodist-typewriter", "moodist-tuning_radio", "moodist-clips", "unknown-horizons-music*",
)  # fmt: skip
LEARNED = 0.75  # of each recording; the rest is for the set
OTHERS = ("moodist-c*", "moodist-r*", "noisekun-[c-f]*")  # noise beside that of the room
VOICES = {"dtln": ("libri-0[0-4]", "ocean-0[0-2]"), "rnnoise": ("alnum-*", "msc-0[0-2]")}
CLIPS = 10  # of a set that are measured


class Family(NamedTuple):
    """A shipped model, the rate of its set in Hz, and the settings of all its ways."""

    backend: str
    rate: int
    settings: str


FAMILIES = {
    "dtln": Family("dtln-16k", 16000, """
work_dir = "{folder}"
cache_dir = "cache"
name = "{name}"
[data]
speech = ["speech.csv"]
noise = ["others.csv"]
own = ["room"]
own_share = 0.5
[mix]
clip_s = 6.0
[validation]
clips = 8
[train]
start_from = "dtln-16k"
steps = {steps}
evaluate_every = {steps}
batch = 4
seconds = 2.0
warm_up = 20
decay_share = 0.9
average = 0.98
threads = 1
"""),
    "rnnoise": Family("rnnoise-classic", 48000, """
work_dir = "{folder}"
cache_dir = "cache"
name = "{name}"
[data]
speech = ["speech.csv"]
noise = ["others.csv", "room/noise"]
[features]
hours = {hours}
validation_hours = 0.02
shard_hours = 0.25
[train]
start_from = "rnnoise-classic"
steps = {steps}
evaluate_every = {steps}
batch = 32
warm_up = 20
decay_share = 0.9
quantise_from = 0.0
gain_power = 0.25
sharpen = 8.0
fourth = 0.0
speech_weight = 2.0
over = 4.0
threads = 1
"""),
}  # fmt: skip
WAYS = {
    "dtln": {
        "full-rate": "rate = 1e-3",
        "tenth": "rate = 1e-4",
        "thirtieth": "rate = 3e-5",
        "tenth-loss": "rate = 1e-4\n[loss]\nmagnitude_weight = 60.0",  # which the shipped weights were trained with
        "tenth-frozen": 'rate = 1e-4\nfreeze = ["frame_core.encode", "frame_core.decode"]',
    },
    "rnnoise": {
        "full-rate": "rate = 2e-3",
        "tenth": "rate = 2e-4",
        "tenth-loss": "rate = 2e-4\nperceptual = 0.06\npesq = 0.06\nvad = 0.1\naverage = 0.99",
        "tenth-frozen": 'rate = 2e-4\nfreeze = ["input_dense"]',
    },
}


def cut_room(work: Path) -> float:
    """Write room/noise and held-out/ of the home's recordings; returns the minutes that are learned from."""
    seconds = 0.0
    for folder in (work / "room" / "noise", work / "held-out"):
        folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(each for name in HOME for each in (SHARED / "data" / "noise").glob(f"{name}.ogg")):
        samples, rate = soundfile.read(path)
        at = int(LEARNED * len(samples))
        soundfile.write(work / "room" / "noise" / f"home-{path.stem}.flac", samples[:at], rate)
        soundfile.write(work / "held-out" / f"home-{path.stem}.flac", samples[at:], rate)
        seconds += at / rate
    return seconds / 60.0


def write_table(kind: str, patterns: tuple[str, ...], target: Path) -> None:
    """Write the rows of a pack's table that are of some of its files, as a pack of its own."""
    pack = SHARED / "data" / kind
    home = {path.name for name in HOME for path in pack.glob(f"{name}.ogg")}
    files = {path.name for pattern in patterns for path in pack.glob(f"{pattern}.ogg")} - home
    with (pack / "segments.csv").open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if Path(row["file"]).name in files]
    with target.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, rows[0].keys())
        table.writeheader()
        table.writerows({**row, "file": str(pack / Path(row["file"]).name)} for row in rows)


def run(work: Path, *words: object) -> float:
    """Run the command line in a folder; returns the seconds that it took."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "denoise_wrapper", *map(str, words)]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return time.perf_counter() - began


def share_features(work: Path, name: str) -> None:
    """Let a way of RNNoise learn from the features that another has made: they are the same."""
    (work / name).mkdir(exist_ok=True)
    for made in work.glob("rnnoise-*/features-*"):
        if name.startswith("rnnoise") and not made.is_symlink() and not (work / name / made.name).exists():
            (work / name / made.name).symlink_to(made)


def score(work: Path, name: str, model: Path | None, family: Family, sets: dict[str, Path]) -> None:
    """Print the means of a model's answers to each set."""
    denoiser = Denoiser(family.backend, model=model)
    for which, place in sets.items():
        result = work / f"{name}-{which}.json"
        if not result.exists():
            rows = [measured(denoiser, clip) for clip in read_set(place)[:CLIPS]]
            means = {each: sum(row[each] for row in rows) / len(rows) for each in rows[0]}
            result.write_text(json.dumps(means))
        means = json.loads(result.read_text())
        print(f"{name:25} {which:7} " + "  ".join(f"{each} {mean:.3f}" for each, mean in means.items()), flush=True)


def measured(denoiser: Denoiser, clip: Clip) -> dict[str, float]:
    """Wide-band PESQ and SI-SDR in dB of a denoised clip."""
    assert clip.clean is not None
    (noisy, rate), (clean, _) = (soundfile.read(path, dtype="float32") for path in (clip.noisy, clip.clean))
    cleaned = denoiser.filter(noisy, rate)
    estimate, wanted = (resample(part.astype(np.float64), rate, 16000) for part in (cleaned, clean))
    return {"PESQ": pesq(estimate, wanted), "SISDR": si_sdr_db(estimate, wanted)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--hours", type=float, default=0.25, help="of mixtures, of RNNoise (default: %(default)s)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these ways alone")
    args = parser.parse_args()
    work, family = args.work.resolve(), FAMILIES[args.family]
    mixed = work / f"set-{family.rate}"
    if not (work / "held-out").is_dir():
        print(f"the room: {cut_room(work):.1f} minutes to learn from", flush=True)
    if not mixed.is_dir():
        sources = ("--speech", SHARED / "dev" / "clean", "--noise", "held-out")
        sizes = ("--clips", CLIPS, "--seconds", 5, "--rate", family.rate, "--snr", -5, 15)
        run(work, "data", "mix", *sources, *sizes, "-o", mixed)
    write_table("speech", VOICES[args.family], work / "speech.csv")
    write_table("noise", OTHERS, work / "others.csv")
    sets = {"room": mixed, "others": SHARED / "dev"}
    score(work, f"{args.family}-shipped", None, family, sets)
    for way, settings in WAYS[args.family].items():
        if args.only and way not in args.only:
            continue
        name = f"{args.family}-{way}-{args.steps}"
        if not (work / name / "done").exists():
            toml = work / f"{name}.toml"
            share_features(work, name)
            toml.write_text(
                family.settings.format(folder=name, name=name, steps=args.steps, hours=args.hours) + settings + "\n"
            )
            took = run(work, "train", args.family, "-C", toml)
            print(f"{name}: {args.steps} steps in {took:.0f} s", flush=True)
            (work / name / "done").touch()
        model = work / name if args.family == "dtln" else work / name / f"{name}.dnnw"
        score(work, name, model, family, sets)
    return 0


if __name__ == "__main__":
    sys.exit(main())
