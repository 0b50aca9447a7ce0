"""The guides of RNNoise_Wrapper and DTLNPytorch, walked on real audio: every step named by its chapter, timed, checked.

    DENOISE_WRAPPER_SHARED=../shared python tests/long/guides.py WORK [--theirs REPO] [--dtln REPO] [--weights PTH]

WORK: a new folder for all that is made. --theirs: a clone of RNNoise_Wrapper, whose own tests are then run with one
line changed. --dtln: a clone of DTLNPytorch, whose train_dns.toml and train_finetune.toml are then run with no more
than folders, sizes and lengths changed; --weights: a .pth file of that network at 16 kHz, for the latter to begin with.
--only: the steps with a word in their names. Takes some speech and noise, less than an hour, of the folder of shared
audio. Some minutes on two cores.
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
from pathlib import Path

SHARED = Path(os.environ.get("DENOISE_WRAPPER_SHARED", Path(__file__).resolve().parents[3] / "shared"))
SPEECH = {"english": "alnum-*.ogg", "malayalam": "msc-*.ogg"}  # languages, as folders of the guide
EACH, NOISES = 4, 8  # files of a language, and of noise
CHANGED = ("from rnnoise_wrapper import RNNoise", "from denoise_wrapper.compat import RNNoise")
PAIRS = '[data]\npairs = ["mixed"]\nvalidation = 0.2\n[mix]\nclip_s = 4.0\n[validation]\nclips = 4\n'
SETTINGS = {
    "two_files.toml": 'work_dir = "two"\nname = "two"\n[data]\nspeech = ["all_clean.raw"]\nnoise = ["all_noise.raw"]\n'
    "[features]\nhours = 0.05\nvalidation_hours = 0.02\nshard_hours = 0.05\n[train]\nbatch = 8\nwarm_up = 5\n",
    "features.toml": 'work_dir = "run"\nname = "mine"\n[features]\nfile = "training.h5"\n'
    "[train]\nbatch = 4\nloudness = 0.0\nwarm_up = 5\nlog_every = 20\n",
    "tune.toml": 'work_dir = "tuned-rnnoise"\nname = "tuned"\n[features]\nfile = "training.h5"\n[train]\nbatch = 4\n'
    'loudness = 0.0\nstart_from = "rnnoise-classic"\nfreeze = ["input_dense"]\nrate = 1e-4\n',
    "dtln.toml": f'work_dir = "dtln"\n{PAIRS}[train]\nsteps = 6\nevaluate_every = 3\nbatch = 2\nseconds = 1.0\n',
    "room.toml": f'work_dir = "room"\n{PAIRS}[train]\nsteps = 4\nevaluate_every = 2\nbatch = 2\nseconds = 1.0\n'
    "rate = 1e-4\n",
}
SMALL = {  # what is changed in DTLNPytorch's settings: the folders of this walk, its rate, and a short run
    "save_model_dir": '"theirs-dtln"', "clean_data_dirname": '"mixed/clean"', "noisy_data_dirname": '"mixed/noisy"',
    "initial_clean_data_dirname": '"mixed/clean"', "initial_noisy_data_dirname": '"mixed/noisy"',
    "finetune_clean_data_dirname": '"clean"', "finetune_noise_data_dirname": '"noise"', "samplerate": "16000",
    "duration": "2", "frameLength": "512", "hopLength": "128", "num_epochs": "1\nsteps_per_epoch = 4",
    "batch_size": "2\nvalidation_clips = 4", "num_workers": "0",
}  # fmt: skip
LEFT_OUT = shutil.ignore_patterns(".git", "dist", "*_mel.png", "5h_b_500k")
COMPARED = "test_[123].wav"  # of their comparative test, whose pictures take long
STEPS = (
    (
        "RNNoise_Wrapper 1, synthesize",
        "data mix --speech clean --noise noise -o mixed --clips 12 --seconds 4 --rate 16000",
    ),
    ("RNNoise_Wrapper 1, balance", "data balance clean --by language --equal -o balanced.csv"),
    ("RNNoise_Wrapper 3, clean", "data join balanced.csv -o all_clean.raw"),
    ("RNNoise_Wrapper 3, noise", "data join noise -o all_noise.raw"),
    ("RNNoise_Wrapper 4, features", "data features two_files.toml -o training.f32 --rows 20000"),
    ("RNNoise_Wrapper 4, HDF5", "data features training.f32 -o training.h5"),
    ("RNNoise_Wrapper 5, train", "train rnnoise -C features.toml --epochs 3"),
    ("RNNoise_Wrapper 5, finished", "train rnnoise -C features.toml --epochs 3 -R"),
    ("RNNoise_Wrapper 5, two files", "train rnnoise -C two_files.toml --epochs 1"),
    ("RNNoise_Wrapper 5, fine-tune", "train rnnoise -C tune.toml --epochs 1"),
    ("RNNoise_Wrapper 6, rnn_data.c", "convert run/mine.dnnw -o rnn_data.c"),
    ("RNNoise_Wrapper 6, read back", "models info rnn_data.c"),
    ("RNNoise_Wrapper 8, compare", "compare mixed/noisy -a rnnoise -b run/mine.dnnw -o compare.html --jobs 1"),
    ("RNNoise_Wrapper 8, evaluate", "evaluate --set mixed --model run/mine.dnnw --against standard"),
    ("DTLNPytorch, train", "train dtln -C dtln.toml"),
    ("DTLNPytorch, longer", "train dtln -C dtln.toml -R --epochs 3"),
    ("DTLNPytorch, fine-tune", "train dtln -C room.toml --pretrained dtln-16k"),
    ("DTLNPytorch, metrics", "evaluate --set mixed --backend dtln-16k --model room"),
    ("DTLNPytorch, enhance", "filter -b dtln-16k mixed/noisy -o enhanced"),
    ("DTLNPytorch, convert", "convert dtln-16k -o pair --name small --to int8"),
)


def take_audio(work: Path) -> None:
    """Copy the audio of the walk: clean/LANGUAGE/ and noise/."""
    for language, pattern in SPEECH.items():
        copy(sorted((SHARED / "data" / "speech").glob(pattern))[:EACH], work / "clean" / language)
    copy(sorted((SHARED / "data" / "noise").glob("moodist-*.ogg"))[:NOISES], work / "noise")


def copy(files: list[Path], target: Path) -> None:
    if not files:
        sys.exit(f"there is no audio for {target.name} in {SHARED}; set DENOISE_WRAPPER_SHARED")
    target.mkdir(parents=True)
    for path in files:
        shutil.copy(path, target)


def take_step(chapter: str, command: list[str], work: Path) -> bool:
    """Run a step and print how it went; returns whether it succeeded."""
    began = time.perf_counter()
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    print(f"{chapter:32} {took:7.1f} s  rc {done.returncode}  {lines[-1].strip()[:120] if lines else ''}", flush=True)
    if done.returncode:
        print("\n".join(lines[-20:]))
    return done.returncode == 0


def their_tests(repository: Path, work: Path) -> list[tuple[str, list[str]]]:
    """Their own tests, with the one line changed, in a copy of what they need."""
    place = work / "theirs"
    if not place.is_dir():
        shutil.copytree(repository, place, ignore=LEFT_OUT)
        folder = place / "test_audio" / "comparative_tests" / "5h_ru_500k"
        for path in set(folder.glob("*.wav")) - set(folder.glob(COMPARED)):
            path.unlink()
    steps = []
    for script in ("rnnoise_wrapper_functional_tests.py", "rnnoise_wrapper_comparative_test.py"):
        text = (repository / script).read_text(encoding="utf-8")
        if CHANGED[0] not in text:
            sys.exit(f"{script} of {repository} imports RNNoise otherwise; is it RNNoise_Wrapper?")
        (place / script).write_text(text.replace(*CHANGED), encoding="utf-8")
        steps.append((f"their {script.split('_')[2]} test", [sys.executable, "-c", in_folder(place, script)]))
    return steps


def their_settings(repository: Path, weights: Path | None, work: Path) -> list[tuple[str, list[str]]]:
    """DTLNPytorch's own settings, made small, and trained with."""
    steps = []
    for name in ("train_dns", "train_finetune"):
        text = (repository / "configs" / f"{name}.toml").read_text(encoding="utf-8")
        start = f'"{weights.resolve()}"' if weights is not None and name == "train_finetune" else '""'
        for key, value in {**SMALL, "preload_model_path": start}.items():
            text = re.sub(rf"^{key} *=.*$", f"{key} = {value}".replace("\\", r"\\"), text, flags=re.MULTILINE)
        (work / f"{name}.toml").write_text(text, encoding="utf-8")
        steps.append((f"DTLNPytorch, their {name[6:]}.toml", ours(f"train dtln -C {name}.toml")))
    return steps


def ours(line: str) -> list[str]:
    """A line of our command."""
    return [sys.executable, "-m", "denoise_wrapper", *shlex.split(line)]


def in_folder(place: Path, script: str) -> str:
    """A program that runs a script within its folder, for its package not to be found before ours."""
    return f"import os, runpy; os.chdir({str(place)!r}); runpy.run_path({script!r}, run_name='__main__')"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--theirs", type=Path, metavar="REPO")
    parser.add_argument("--dtln", type=Path, metavar="REPO")
    parser.add_argument("--weights", type=Path, metavar="PTH")
    parser.add_argument("--only", metavar="WORD", help="in the folder of an earlier walk")
    args = parser.parse_args()
    work = args.work.resolve()
    if not (args.only and work.is_dir()):
        work.mkdir(parents=True)
        take_audio(work)
    for name, text in SETTINGS.items():
        (work / name).write_text(text, encoding="utf-8")
    os.environ.setdefault("MPLBACKEND", "agg")
    steps = [(chapter, ours(line)) for chapter, line in STEPS]
    if args.theirs is not None:
        steps += their_tests(args.theirs, work)
    if args.dtln is not None:
        steps += their_settings(args.dtln, args.weights, work)
    steps = [step for step in steps if not args.only or args.only in step[0]]
    outcomes = [take_step(chapter, command, work) for chapter, command in steps]
    print(f"{sum(outcomes)} of {len(outcomes)} steps succeeded")
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
