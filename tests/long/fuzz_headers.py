"""Audio files whose headers are changed field by field, all around them put right, through filter_file.

    python tests/long/fuzz_headers.py [--seconds 600] [--seed 1] [--count N]

Each is cleaned, or refused by a DenoiseError, within memory and time, and nothing half-written is left. It needs no
atheris, and no chance to guess a checksum; an input that breaks something is written to the current folder.
"""

from __future__ import annotations

import argparse
import collections
import io
import os
import random
import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from headers import MUTATE

from denoise_wrapper import DenoiseError, Denoiser

MOST_S = 10.0  # of the processor, for a file of 0.1 s
MOST_MB = 500  # the most that this process may ever have held
FORMS = {".wav": ("WAV", ("PCM_16", "FLOAT", "PCM_24")), ".ogg": ("OGG", ("VORBIS", "OPUS")),
         ".flac": ("FLAC", ("PCM_16", "PCM_24")), ".mp3": ("MP3", ("MPEG_LAYER_III",))}  # fmt: skip


def make_seeds() -> dict[str, list[bytes]]:
    """Files of 0.1 s of each kind, mono and stereo."""
    seeds = collections.defaultdict(list)
    sound = 0.3 * np.sin(np.arange(4800) / 9)
    for suffix, (form, subtypes) in FORMS.items():
        for subtype in subtypes:
            for channels in (1, 2):
                file = io.BytesIO()
                soundfile.write(file, np.stack([sound] * channels, axis=1), 48000, subtype, format=form)
                seeds[suffix].append(file.getvalue())
    return seeds


def _most_kb() -> int:
    """The most memory that this program has held; `ru_maxrss` counts that of the process it was started from."""
    told = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert told is not None
    return int(told[1])


def try_one(denoiser: Denoiser, suffix: str, data: bytes) -> bool:
    """Clean a file; True if it was accepted. AssertionError for what is half-written, or takes too long or too much."""
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name) / f"in{suffix}", Path(name) / "out.wav"
        source.write_bytes(data)
        begin, accepted = time.process_time(), True
        try:
            denoiser.filter_file(source, target)
        except DenoiseError:
            accepted = False
        assert time.process_time() - begin < MOST_S, "it took too long"
        assert _most_kb() <= MOST_MB << 10, "it took too much memory"
        left = {path.name for path in Path(name).iterdir()} - {".denoised"}  # the list of results
        assert left == {source.name, *([target.name] if accepted else [])}
    return accepted


def run(count: int, seconds: float, seed: int) -> dict[str, int]:
    """Try so many files, or for so long. Returns how many were accepted and refused, by suffix."""
    seeds, denoiser, tried = make_seeds(), Denoiser("rnnoise-classic"), collections.Counter[str]()
    end = time.monotonic() + seconds
    for number in range(count):
        if time.monotonic() > end:
            break
        rng = random.Random(f"{seed} {number}")
        suffix = rng.choice(list(MUTATE))
        data = MUTATE[suffix](rng, rng.choice(seeds[suffix]))
        try:
            accepted = try_one(denoiser, suffix, data)
        except BaseException as error:
            if not isinstance(error, KeyboardInterrupt):
                Path(f"broken_{seed}_{number}{suffix}").write_bytes(data)
                error.add_note(f"by input {number} of seed {seed}, a {suffix} of {len(data)} bytes")
            raise
        tried[f"{suffix} {'cleaned' if accepted else 'refused'}"] += 1
    return dict(sorted(tried.items()))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=10**9)
    args = parser.parse_args()
    os.environ["PATH"] = ""  # ffmpeg is another's program, and slow to start
    begin = time.monotonic()
    tried = run(args.count, args.seconds, args.seed)
    total = sum(tried.values())
    print(f"{total} files, {total / (time.monotonic() - begin):.0f} a second: {tried}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
