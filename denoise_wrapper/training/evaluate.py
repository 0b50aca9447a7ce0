"""Models on whole clips: make a set, denoise a set, measure the result.

    python -m denoise_wrapper.training.evaluate SET OUT [--model FILE]

A set is a folder with clean/ID.flac, noisy/ID.flac and manifest.json, {"clips": [{"id": ...}, ...]}.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from denoise_wrapper.backends import load_backend
from denoise_wrapper.backends.base import Backend
from denoise_wrapper.errors import DataError, DenoiseError
from denoise_wrapper.training.data import make_folder
from denoise_wrapper.training.mixing import Mixer

Float32 = NDArray[np.float32]
METRIC_RATE = 16000  # of PESQ and DNSMOS


def make_set(mixer: Mixer, clips: int, target: Path) -> None:
    """Write the first clips of a mixer as a set, FLAC of 16 bits at the mixer's rate."""
    for name in ("clean", "noisy"):
        make_folder(target / name)
    manifest = []
    for index in range(clips):
        mix = mixer.clip(index)
        for name, audio in (("clean", mix.clean), ("noisy", mix.noisy)):
            soundfile.write(target / name / f"{index:03}.flac", audio, mixer.rate, subtype="PCM_16")
        noise = float(np.mean(np.square(mix.noisy - mix.clean)))
        snr_db = 10.0 * np.log10(max(float(np.mean(np.square(mix.clean))), 1e-12) / max(noise, 1e-12))
        manifest.append({"id": f"{index:03}", "rate": mixer.rate, "snr_db": round(snr_db, 1)})
    (target / "manifest.json").write_text(json.dumps({"clips": manifest}, indent=1), encoding="utf-8")


def read_set(folder: Path) -> list[str]:
    """The ids of a set's clips. Raises DataError if it is none."""
    try:
        clips = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["clips"]
        names = [clip["id"] for clip in clips]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder} is no set: a manifest.json with clips is wanted there ({error})") from error
    if not names:
        raise DataError(f"{folder / 'manifest.json'} lists no clips; a set has at least one")
    return names


def denoise(backend: Backend, audio: Float32, rate: int) -> Float32:
    """One channel through a backend from a fresh state, in time with the input and as long: float32 (n,), any rate."""
    at_rate = np.asarray(soxr.resample(audio, rate, backend.sample_rate), np.float32)
    hops = -(-(len(at_rate) + backend.delay) // backend.hop)
    block = np.zeros((1, hops * backend.hop), np.float32)
    block[0, : len(at_rate)] = at_rate
    cleaned, _ = backend.new_state(1).process(block)
    back = soxr.resample(cleaned[0, backend.delay :], backend.sample_rate, rate)
    return np.asarray(back[: len(audio)], np.float32)


def denoise_set(backend: Backend, folder: Path, target: Path) -> None:
    """Write target/ID.flac, 24 bits and the clip's rate, for each noisy clip of a set."""
    make_folder(target)
    for name in read_set(folder):
        audio, rate = soundfile.read(folder / "noisy" / f"{name}.flac", dtype="float32")
        cleaned = np.clip(denoise(backend, audio, rate), -1.0, 1.0)
        soundfile.write(target / f"{name}.flac", cleaned, rate, subtype="PCM_24")


def si_sdr_db(estimate: Float32, clean: Float32) -> float:
    """Scale-invariant signal-to-distortion ratio in dB, of means taken out; NaN for a silent reference."""
    estimate, clean = estimate - estimate.mean(), clean - clean.mean()
    power = float(clean @ clean)
    if power == 0.0:
        return float("nan")
    wanted = float(estimate @ clean) / power * clean
    return 10.0 * float(np.log10((wanted @ wanted + 1e-20) / ((estimate - wanted) @ (estimate - wanted) + 1e-20)))


def log_spectral_distance_db(estimate: Float32, clean: Float32, size: int = 1024, floor_db: float = -70.0) -> float:
    """RMS difference of the log spectra in dB, a mean over frames; nothing counts below floor_db under the peak."""
    spectra = []
    for signal in (estimate, clean):
        frames = np.lib.stride_tricks.sliding_window_view(signal, size)[:: size // 2] * np.hanning(size)
        spectra.append(np.abs(np.fft.rfft(frames, axis=1)) ** 2)
    floor = spectra[1].max() * 10.0 ** (floor_db / 10.0) + 1e-20
    log_estimate, log_clean = (10.0 * np.log10(np.maximum(spectrum, floor)) for spectrum in spectra)
    return float(np.sqrt(np.mean((log_estimate - log_clean) ** 2, axis=1)).mean())


def measure(estimate: Float32, clean: Float32, rate: int) -> dict[str, float]:
    """Metrics of one clip: SISDR and LSD always, PESQ (wide-band) and DNSMOS where pesq and speechmos are installed."""
    row = {"SISDR": si_sdr_db(estimate, clean), "LSD": log_spectral_distance_db(estimate, clean)}
    narrow, reference = (soxr.resample(signal, rate, METRIC_RATE) for signal in (estimate, clean))
    try:
        from pesq import PesqError, pesq

        try:
            row["PESQ"] = float(pesq(METRIC_RATE, reference, narrow, "wb"))
        except PesqError:  # no speech in the reference
            row["PESQ"] = float("nan")
    except ImportError:
        pass
    try:
        from speechmos import dnsmos  # type: ignore[import-untyped]

        opinion = dnsmos.run(np.clip(narrow, -1.0, 1.0).astype(np.float32), sr=METRIC_RATE)
        row.update(SIG=float(opinion["sig_mos"]), BAK=float(opinion["bak_mos"]), OVRL=float(opinion["ovrl_mos"]))
    except ImportError:
        pass
    return row


def score_set(denoised: Path, folder: Path) -> dict[str, float]:
    """Means over a set's clips; a clip that a metric can not judge is left out of that mean."""
    rows: list[dict[str, float]] = []
    for name in read_set(folder):
        clean, rate = soundfile.read(folder / "clean" / f"{name}.flac", dtype="float32")
        estimate, _ = soundfile.read(denoised / f"{name}.flac", dtype="float32")
        rows.append(measure(estimate, clean, rate))
    return {metric: float(np.nanmean([row[metric] for row in rows])) for metric in rows[0]}


def write_scores(path: Path, set_name: str, scores: dict[str, float]) -> None:
    """Add a set's means to the table that model cards quote: columns set, metric, value."""
    rows: list[list[Any]] = []
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as stream:
            rows = [row for row in list(csv.reader(stream))[1:] if row[0] != set_name]
    rows += [[set_name, metric, f"{value:.3f}"] for metric, value in scores.items()]
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["set", "metric", "value"], *rows])


def main(argv: Sequence[str] | None = None) -> int:
    """Denoise a set and print its means."""
    parser = argparse.ArgumentParser(description="Denoise a set and measure the result.")
    parser.add_argument("set", type=Path, help="folder with clean/, noisy/ and manifest.json")
    parser.add_argument("out", type=Path, help="folder for the denoised clips")
    parser.add_argument("--backend", default="rnnoise")
    parser.add_argument("--model", type=Path, help="model file; without it the backend's own")
    parser.add_argument("--table", type=Path, help="CSV to add the means to, as model cards quote it")
    arguments = parser.parse_args(argv)
    try:
        denoise_set(load_backend(arguments.backend, arguments.model), arguments.set, arguments.out)
        scores = score_set(arguments.out, arguments.set)
    except DenoiseError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    print("  ".join(f"{metric} {value:.3f}" for metric, value in scores.items()))
    if arguments.table:
        write_scores(arguments.table, arguments.set.name, scores)
    return 0


if __name__ == "__main__":
    sys.exit(main())
