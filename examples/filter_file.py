"""Cleans a file and says how much of it is speech.

python examples/filter_file.py NOISY [CLEAN]
"""

from __future__ import annotations

import sys

import soundfile

from denoise_wrapper import DenoiseError, Denoiser


def main() -> int:
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    denoiser = Denoiser("rnnoise")
    try:
        cleaned = denoiser.filter_file(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else None)
    except DenoiseError as error:
        print(error, file=sys.stderr)
        return 2
    audio, rate = soundfile.read(cleaned, dtype="float32")
    _, probabilities = denoiser.speech_probability(audio, rate)
    print(f"{cleaned}: {len(audio) / rate:.1f} s, {(probabilities > 0.5).mean():.0%} of it speech")
    return 0


if __name__ == "__main__":
    sys.exit(main())
