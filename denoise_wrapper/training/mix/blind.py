"""The blind set: 120 clips of what no training hears, which judge recipes and choose checkpoints.

The clips depend on the list of what is held out, on SEED and on the audio, whose files are those that the list was
drawn from, to the bit: no clock, no order of folders, no stream of random numbers that a library may change. They are
computed in float64 and rounded to 16 bits at the end; what could differ from machine to machine are the last bits of
libsndfile's Vorbis decoder and of soxr, so the SHA-256 of all samples is part of the manifest.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import numpy as np
import scipy.signal
import soundfile
import soxr
from numpy.typing import NDArray

from denoise_wrapper.atomic import atomic_path, make_folder
from denoise_wrapper.errors import DataError, ExistingFileError
from denoise_wrapper.progress import tracked
from denoise_wrapper.training.data import held_out
from denoise_wrapper.training.data.decoding import read_audio, read_mono
from denoise_wrapper.training.data.held_out import Entry
from denoise_wrapper.training.data.packs import Pack, audio_files, open_pack

Float64 = NDArray[np.float64]
Int16 = NDArray[np.int16]
T = TypeVar("T")
SEED = "blind 1"
PARTS = (  # rate, groups of voices, what they are (None: anything), clips: a multiple of the four ratios
    (16000, ("ocean",), "child", 20),
    (16000, ("ocean",), "adult", 16),
    (16000, ("libri",), None, 20),
    (16000, ("dsp20",), None, 12),
    (16000, ("arabic",), None, 12),
    (48000, ("msc",), None, 16),
    (48000, ("alnum",), None, 8),
    (48000, ("gcompris",), None, 8),
    (48000, ("asp", "assess", "childsplay", "ling", "monster", "tuxpaint"), None, 8),
)
RATIOS_DB = (0, 5, 10, 15)
SECONDS = (4.0, 8.0)  # of a clip
LEVEL_DB = (-35.0, -15.0)  # dBFS, of the speech while it sounds
ROOM_SHARE = 1.0 / 3.0
TELEPHONE_SHARE, TELEPHONE_HZ = 1.0 / 8.0, 3400.0  # of the clips at 16 kHz
LEAD_S, TAIL_S, GAP_S = 0.3, 0.2, 0.25  # without speech: before it, after it, between recordings
FADE_S = 0.01
EARLY_S, ROOM_S = 0.05, 2.0  # of a room's response: what the target keeps, and all
ACTIVE_DB = 30.0  # frames further below the loudest are no speech
FRAME_S = 0.02
LEAST_NOISE_DB, TRIES = -10.0, 16  # a stretch of noise against the mean of its file; so many are looked at
TAPS = 255  # of the telephone's low-pass


@dataclass(frozen=True)
class Plan:
    """A clip that is to be made. level_db: of the speech, dBFS. limit_hz: of a low-pass, None for none."""

    id: str
    rate: int
    voice: str
    reason: str
    unseen: bool
    snr_db: int
    noise: Entry
    room: Entry | None
    level_db: float
    seconds: float
    limit_hz: float | None


def plan() -> list[Plan]:
    """All clips: voices, noises and rooms equally often, each ratio equally often in every part."""
    clips: list[Plan] = []
    for rate in sorted({rate for rate, *_ in PARTS}):
        parts = [part for part in PARTS if part[0] == rate]
        count = sum(part[-1] for part in parts)
        noises = deal(list(fitting("noise", rate).values()), count, f"{rate} noises")
        measured, without = fitting("room", rate).values(), count - round(ROOM_SHARE * count)
        rooms = deal([*repeated(list(measured), count - without), *[None] * without], count, f"{rate} rooms")
        phones = round(TELEPHONE_SHARE * count) if rate == 16000 else 0
        limits = deal([TELEPHONE_HZ] * phones + [None] * (count - phones), count, f"{rate} limits")
        spoken = [(entry, snr_db) for part in parts for entry, snr_db in deal_part(*part)]
        for at, (entry, snr_db) in enumerate(spoken):
            name, chance = f"{len(clips):03}", Random(f"{SEED}/{rate}/{at}")
            level_db, seconds = (low + (high - low) * chance.random() for low, high in (LEVEL_DB, SECONDS))
            clips.append(Plan(name, rate, entry.name, entry.reason, entry.unseen, snr_db, noises[at], rooms[at],
                              level_db, seconds, limits[at]))  # fmt: skip
    return clips


def fitting(kind: str, rate: int) -> dict[str, Entry]:
    """Entries of a kind that reach as far as clips at a rate do, by name; of one in several files the widest."""
    entries = sorted(
        (entry for entry in held_out.entries() if entry.kind == kind), key=lambda entry: entry.band != "16k"
    )
    return {entry.name: entry for entry in entries if entry.band == "full" or rate == 16000}


def deal_part(rate: int, groups: tuple[str, ...], reason: str | None, clips: int) -> list[tuple[Entry, int]]:
    """The voice and the ratio of each clip of a part."""
    voices = [entry for name, entry in fitting("voice", rate).items()
              if name.split("-")[0] in groups and entry.reason == (reason or entry.reason)]  # fmt: skip
    what = " ".join((*groups, reason or ""))
    return list(zip(deal(voices, clips, what), deal(RATIOS_DB, clips, f"{what} ratios"), strict=True))


def repeated(items: Sequence[T], count: int) -> list[T]:
    return [items[at % len(items)] for at in range(count)]


def deal(items: Sequence[T], count: int, what: str) -> list[T]:
    """Deal so many of the items, each as often as any other but for one, in an order by chance.

    Of Python's generator only random() is used, as nothing else of it is sure to stay as it is.
    """
    chance = Random(f"{SEED}/{what}")
    drawn = [(chance.random(), item) for item in repeated(items, count)]
    return [item for _, item in sorted(drawn, key=lambda pair: pair[0])]


def make_blind_set(speech: Path, noise: Path, rooms: Path, target: Path, overwrite: bool = False) -> str:
    """Write clean/ID.flac, noisy/ID.flac of 16 bits and manifest.json; returns the SHA-256 of all samples.

    speech, noise, rooms: the folders that the list was drawn from. Raises DataError where a file of it is absent or
    another, FileError where target holds a set already and is not to be overwritten, or cannot be written.
    """
    manifest = target / "manifest.json"
    if manifest.exists() and not overwrite:
        raise ExistingFileError(f"{manifest} exists; overwrite=True (--overwrite) replaces it")
    maker = _Maker(open_pack(speech), open_pack(noise), {path.name: path for path in audio_files(rooms)})
    for name in ("clean", "noisy"):
        make_folder(target / name)
    clips, total = plan(), hashlib.sha256()
    entries = []
    for clip in tracked(clips, len(clips), "making the blind set"):
        noisy, clean, level_db = maker.make(clip)
        for name, audio in (("clean", clean), ("noisy", noisy)):
            total.update(audio.astype("<i2").tobytes())
            with atomic_path(target / name / f"{clip.id}.flac", overwrite=True) as part:
                soundfile.write(part, audio, clip.rate, "PCM_16", format="FLAC")
        entries.append(manifest_entry(clip, len(clean), level_db))
    note = "clean/ID.flac + noise = noisy/ID.flac at snr_db, the ratio of powers over frames in which somebody speaks"
    content = {"note": note, "seed": SEED, "sha256_of_samples": total.hexdigest(), "clips": entries}
    with atomic_path(manifest, overwrite=True) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return total.hexdigest()


def manifest_entry(clip: Plan, length: int, level_db: float) -> dict[str, Any]:
    return {
        "id": clip.id,
        "rate": clip.rate,
        "snr_db": clip.snr_db,
        "dur_s": round(length / clip.rate, 2),
        "voice": clip.voice,
        "kind": clip.reason,
        "noise": clip.noise.name,
        "noise_kind": clip.noise.reason,
        "room": None if clip.room is None else clip.room.name,
        "level_dbfs": round(level_db, 1),
        "band_limit_hz": clip.limit_hz,
        "full_band": clip.rate >= 44100,
        "seen_by_shipped": not clip.unseen,
    }


class _Maker:
    """Makes clips one after the other: where the next clip of a voice begins depends on those before."""

    def __init__(self, speech: Pack, noise: Pack, rooms: dict[str, Path]) -> None:
        self.speech = speech
        self.files = {"voice": speech.files, "noise": noise.files, "room": rooms}
        self.starts: dict[str, int] = {}

    def make(self, clip: Plan) -> tuple[Int16, Int16, float]:
        """A clip: (noisy, clean, level of the speech in dBFS)."""
        speech = self.cut(clip)
        wet, clean = speech, speech
        if clip.room is not None:
            response = self.response(clip.room, clip)
            wet, clean = (scipy.signal.fftconvolve(speech, part)[: len(speech)]
                          for part in (response, early(response, clip.rate)))  # fmt: skip
        noise = self.noise(clip, len(speech))
        if clip.limit_hz is not None:
            wet, clean, noise = (low_pass(signal, clip.limit_hz, clip.rate) for signal in (wet, clean, noise))
        active = active_samples(clean, clip.rate)
        speech_gain = gain(clip.level_db) / rms(clean[active])
        noise_gain = gain(clip.level_db - clip.snr_db) / rms(noise[active])
        noisy, clean = wet * speech_gain + noise * noise_gain, clean * speech_gain
        down = min(1.0, 0.99 / max(float(np.abs(noisy).max()), float(np.abs(clean).max())))
        return to_int16(noisy * down), to_int16(clean * down), 20.0 * math.log10(rms(clean[active]) * down)

    def file(self, entry: Entry) -> Path:
        """The file of an entry. Raises DataError if it is not the very one that the list was drawn from."""
        path = self.files[entry.kind].get(entry.file)
        if path is None or held_out.digest(path) != entry.sha256:
            what = f"there is no {entry.file}" if path is None else f"{path} is another file"
            raise DataError(f"{what}; the blind set is made of the very files that its list was drawn from")
        return path

    def cut(self, clip: Plan) -> Float64:
        """Speech of about the clip's length, to the end of a recording where one is near; silence around it."""
        whole, ends = self.recordings(clip.voice, clip.rate)
        shortest, longest, wanted = (
            round((seconds - LEAD_S - TAIL_S) * clip.rate) for seconds in (*SECONDS, clip.seconds)
        )
        start = self.starts.get(clip.voice, 0)
        start = start if start + shortest <= len(whole) else 0
        stops = [end for end in ends if shortest <= end - start <= longest]
        stop = min(stops, key=lambda end: abs(end - start - wanted)) if stops else min(start + wanted, len(whole))
        self.starts[clip.voice] = stop
        speech = whole[start:stop].copy()
        fade = np.linspace(0.0, 1.0, round(FADE_S * clip.rate))
        speech[: len(fade)] *= fade
        speech[-len(fade) :] *= fade[::-1]
        return np.pad(speech, (round(LEAD_S * clip.rate), round(TAIL_S * clip.rate)))

    def recordings(self, voice: str, rate: int) -> tuple[Float64, list[int]]:
        """All recordings of a voice with pauses between them, and the samples at which each ends."""
        parts: list[Float64] = []
        ends: list[int] = []
        for entry in (entry for entry in held_out.entries() if (entry.kind, entry.name) == ("voice", voice)):
            audio = read_at(self.file(entry), rate)
            for row in self.speech.rows:
                if (row["voice"], row["file"]) == (voice, entry.file):
                    first, last = (round(float(row[key]) * rate) for key in ("start_s", "end_s"))
                    parts += [audio[first:last], np.zeros(round(GAP_S * rate))]
                    ends.append(sum(map(len, parts[:-1])))
        return np.concatenate(parts), ends

    def response(self, room: Entry, clip: Plan) -> Float64:
        """A channel of a room's response from its direct sound on, which is 1."""
        audio, rate = read_audio(self.file(room))
        channel = audio[:, int(clip.id) % audio.shape[1]].astype(np.float64)
        response = resample(channel, rate, clip.rate)
        response = response[int(np.argmax(np.abs(response))) :][: round(ROOM_S * clip.rate)]
        return response / response[0]

    def noise(self, clip: Plan, length: int) -> Float64:
        """A stretch of the clip's noise, not much quieter than all of it; around it again where it ends."""
        audio = read_at(self.file(clip.noise), clip.rate)
        chance = Random(f"{SEED}/{clip.id}/noise")
        stretches = (
            np.take(audio, np.arange(length) + int(chance.random() * len(audio)), mode="wrap") for _ in range(TRIES)
        )
        return next((part for part in stretches if rms(part) >= gain(LEAST_NOISE_DB) * rms(audio)), audio[:length])


def read_at(path: Path, rate: int) -> Float64:
    audio, file_rate = read_mono(path)
    return resample(audio, file_rate, rate)


def resample(signal: Float64, rate: int, target: int) -> Float64:
    return signal if rate == target else np.asarray(soxr.resample(signal, rate, target, "VHQ"))


def early(response: Float64, rate: int) -> Float64:
    """Cut a room's response to the 50 ms that a target keeps, faded out over 10 ms more."""
    keep, fade = round(EARLY_S * rate), round(FADE_S * rate)
    return response[: keep + fade] * np.append(np.ones(keep), np.linspace(1.0, 0.0, fade))[: len(response)]


def low_pass(signal: Float64, limit_hz: float, rate: int) -> Float64:
    return np.asarray(scipy.signal.fftconvolve(signal, scipy.signal.firwin(TAPS, limit_hz, fs=rate), "same"))


def active_samples(clean: Float64, rate: int) -> NDArray[np.bool_]:
    """Mark where somebody speaks, frames of 20 ms that are within 30 dB of the loudest: bool (n,)."""
    size = round(FRAME_S * rate)
    frames = np.pad(clean, (0, -len(clean) % size)).reshape(-1, size)
    power = np.square(frames).mean(axis=1)
    return np.repeat(power > power.max() * 10.0 ** (-ACTIVE_DB / 10.0), size)[: len(clean)]


def gain(level_db: float) -> float:
    return float(10.0 ** (level_db / 20.0))


def rms(signal: Float64) -> float:
    return math.sqrt(float(np.square(signal).mean()))


def to_int16(signal: Float64) -> Int16:
    return np.clip(np.rint(signal * 32768.0), -32768.0, 32767.0).astype(np.int16)
