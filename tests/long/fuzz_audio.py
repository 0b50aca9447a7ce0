"""Bytes as audio: as files of every format of libsndfile through filter_file, and as samples through filter.

Whatever they are, they are cleaned, or refused by a DenoiseError, and nothing half-written is left. See fuzzing.py for
how to run this.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from fuzzing import Taker, instrumented, run

with instrumented(__name__ == "__main__"):
    import denoise_wrapper.files.media.source
    import denoise_wrapper.files.soundfiles
    from denoise_wrapper import DenoiseError, Denoiser
    from denoise_wrapper.files.results import LIST

SUFFIXES = """
    .wav .flac .ogg .mp3 .opus .aiff .au .caf .w64 .rf64 .voc .svx .paf .ircam .nist .mat4 .mat5 .pvf .xi .htk .sds .avr
    .wavex .mpc2k .sd2 .raw .snd .m4a .xyz
""".split()
TARGETS = [".wav", ".flac", ".ogg", ".aiff", ".caf", ".au", ""]
TYPES = ["int16", "int32", "float32", "float64", ">i2", ">f8", "f2", "u1", "i8", "no"]
RATES = [48000, 16000, 44100, 8000, 1000, 768000, 0, 999, 47999]
MOST_BYTES = 1 << 15  # of samples: more only takes longer

denoisers = [Denoiser("rnnoise"), Denoiser("rnnoise", vad_threshold=0.5, vad_gate="drop", non_finite="zero", mix=0.5)]


def try_file(taker: Taker) -> None:
    denoiser, suffix, target = taker.choice(denoisers), taker.choice(SUFFIXES), taker.choice(TARGETS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, made = folder / f"in{suffix}", folder / f"out{target}"
        source.write_bytes(taker.rest())
        try:
            denoiser.filter_file(source, made)
            wanted = {source, made, folder / LIST}
        except DenoiseError:
            wanted = {source}
        assert set(folder.iterdir()) == wanted, "something half-written is left, or nothing written"


def try_samples(taker: Taker) -> None:
    denoiser, dtype, rate = taker.choice(denoisers), taker.choice(TYPES), taker.choice(RATES)
    channels, as_array = taker.number() % 5, taker.number() % 2
    raw = taker.rest()[:MOST_BYTES]
    with contextlib.suppress(DenoiseError):
        if as_array:
            kind = np.dtype("i2" if dtype == "no" else dtype)
            samples = np.frombuffer(raw[: len(raw) // kind.itemsize * kind.itemsize], kind)
            if channels:
                samples = samples[: len(samples) // channels * channels].reshape(-1, channels)
            cleaned = denoiser.filter(samples, rate)
            assert cleaned.dtype == samples.dtype
            assert cleaned.shape[1:] == samples.shape[1:]
            assert len(cleaned) == len(samples) or denoiser is denoisers[1]
            assert np.isfinite(cleaned).all()
        else:
            content = denoiser.filter(raw, rate, channels=channels, dtype=dtype)
            assert len(content) == len(raw) or denoiser is denoisers[1]


def one_input(data: bytes) -> None:
    taker = Taker(data)
    (try_file if taker.number() % 4 else try_samples)(taker)


def make_seeds() -> Iterator[bytes]:
    sound = 0.3 * np.sin(np.arange(1500) / 9)
    for number, suffix in enumerate(SUFFIXES):
        form = denoise_wrapper.files.formats.format_of(Path(f"a{suffix}"))
        if form is None or form == "SD2":
            continue
        for channels in (1, 2):
            samples = np.stack([sound] * channels, axis=1)
            for subtype in soundfile.available_subtypes(form):
                file = io.BytesIO()
                with contextlib.suppress(soundfile.LibsndfileError, TypeError, ValueError):
                    soundfile.write(file, samples, 48000 if "OPUS" in subtype else 16000, subtype, format=form)
                    yield bytes([1, channels - 1, number, channels]) + file.getvalue()
    for number in range(4):
        yield bytes([0, number, number, number, 1 + number % 2, number % 2]) + sound.astype("i2").tobytes()


if __name__ == "__main__":
    run(one_input, make_seeds)
