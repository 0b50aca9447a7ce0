"""Mixing: clip number i of a seed is always the same pair of noisy and clean audio, whoever asks for it and when.

The way of a clip: segments of a voice with pauses between them, speed, hiss of the recording taken out of the
target, a random filter, a room; noises likewise; the levels; a low-pass on the mix; clipping, digital silence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.errors import DataError
from denoise_wrapper.training.config import MixConfig
from denoise_wrapper.training.data.corpus import Corpus, Recording, Source
from denoise_wrapper.training.mix.filters import (
    Sections,
    change_speed,
    low_pass,
    random_filter,
    round_speed,
    run_room,
    run_sections,
)
from denoise_wrapper.training.mix.noises import formula_noise, music
from denoise_wrapper.training.mix.rooms import early_part, simulate_room

Float32 = NDArray[np.float32]
HOPS_PER_SECOND = 100  # the voice labels are one per 10 ms
ACTIVE = 1e-3  # of the loudest frame's power, -30 dB: speech without its pauses is above it
LOUD_DB, QUIET_DB = -30.0, -42.0  # against a segment's loud frames: above the first is speech, below the second none


@dataclass(frozen=True)
class Mix:
    """One training clip.

    noisy, clean: float32 (n,), full scale +-1, in time with each other; clean is what is wanted of noisy.
    voice: float32 (n / 10 ms,), 1 where speech is heard, 0 where it is not, 0.5 where nobody can say.
    bandwidth_hz: nothing is known about speech above it, as the recording ended there and the mix does not.
    """

    noisy: Float32
    clean: Float32
    voice: Float32
    bandwidth_hz: float


class Mixer:
    """Makes clips of a corpus. The same corpus, settings, seed and index give the same clip."""

    def __init__(self, corpus: Corpus, config: MixConfig, seed: int) -> None:
        if not corpus.voices or not corpus.noises:
            raise DataError("mixing needs at least one voice and one noise; see [data] speech and noise")
        self.corpus, self.config, self.seed = corpus, config, seed
        self.rate = corpus.rate
        self.length = round(config.clip_s * HOPS_PER_SECOND) * (corpus.rate // HOPS_PER_SECOND)
        self.voice_odds = odds(corpus.voices, 0.6)
        self.noise_odds = odds(corpus.noises, 0.5)

    def clip(self, index: int) -> Mix:
        """Clip number index. noisy is within +-1; nothing in it is infinite or NaN."""
        rng = np.random.default_rng([self.seed, self.config.first_clip + index])
        config = self.config
        kind = rng.uniform()
        noise_only = kind < config.noise_only_share
        speech_only = not noise_only and kind < config.noise_only_share + config.speech_only_share
        raw, down_db, voice, bandwidth_hz = self.speech(rng)
        raw, clean = self.colour_speech(rng, raw, down_db)
        limited = rng.uniform() < config.band_limit_share
        limit_hz = float(rng.choice(config.band_limits_hz)) if limited else self.rate / 2
        noise = self.noise(rng, min(bandwidth_hz, limit_hz))
        self.set_levels(rng, raw, clean, noise)
        if noise_only:
            raw, clean, voice = np.zeros_like(raw), np.zeros_like(clean), np.zeros_like(voice)
        noisy = raw if speech_only else raw + noise
        if limit_hz < self.rate / 2:
            low_pass(limit_hz, self.rate, noisy, clean)
        noisy += self.offset(rng)
        self.damage(rng, noisy, clean)
        known_hz = self.rate / 2 if limit_hz <= bandwidth_hz * 1.05 else bandwidth_hz
        return Mix(np.ascontiguousarray(noisy), np.ascontiguousarray(clean), voice, known_hz)

    def speech(self, rng: np.random.Generator) -> tuple[Float32, Float32, Float32, float]:
        """Segments of a voice or two: (as recorded, what takes their hiss out in dB a hop, voice labels, bandwidth)."""
        hop = self.rate // HOPS_PER_SECOND
        hops = self.length // hop
        raw, voice, down_db = np.zeros(self.length, np.float32), np.zeros(hops, np.float32), np.zeros(hops, np.float32)
        change = rng.uniform(0.2, 0.8) * hops if rng.uniform() < self.config.two_voices_share else hops
        source, speed = self.pick_voice(rng)
        bandwidth_hz = self.rate / 2
        position = int(rng.uniform(0.0, min(1.2, 0.12 * self.config.clip_s)) * HOPS_PER_SECOND)  # in hops
        changed = False
        while position < hops:
            if position >= change and not changed:
                (source, speed), changed = self.pick_voice(rng), True
            recording = source.recordings[rng.integers(len(source.recordings))]
            segment, energies = self.read_segment(rng, recording, (hops - position) * hop, speed)
            stop = min(position + len(energies), hops)
            down, labels = expander(energies, self.config.expand_below_db)
            down_db[position:stop], voice[position:stop] = down[: stop - position], labels[: stop - position]
            segment = segment[: (stop - position) * hop]
            segment *= gain(rng.normal(0.0, 2.0))
            raw[position * hop : position * hop + len(segment)] = segment
            bandwidth_hz = min(bandwidth_hz, recording.bandwidth_hz * speed)
            position += len(energies) + int(self.pause(rng) * HOPS_PER_SECOND)
        return raw, down_db, voice, bandwidth_hz

    def pick_voice(self, rng: np.random.Generator) -> tuple[Source, float]:
        source = self.corpus.voices[draw(rng, self.voice_odds)]
        fast = rng.uniform() < self.config.speed_share
        return source, round_speed(rng.uniform(*self.config.speed)) if fast else 1.0

    def read_segment(
        self, rng: np.random.Generator, recording: Recording, room: int, speed: float = 1.0
    ) -> tuple[Float32, Float32]:
        """A recording, or as much of a long one as fills room, at an active level of 1; its power in each hop."""
        most = min(recording.length, math.ceil(room * speed))
        offset = int(rng.integers(0, recording.length - most + 1))
        segment = recording.read(offset, most)
        if speed != 1.0:
            segment = change_speed(segment, speed)
        energies = frame_energies(segment, self.rate // HOPS_PER_SECOND)
        scale = 1.0 / active_level(energies)
        segment *= np.float32(scale)
        return segment, energies * np.float32(scale**2)

    def pause(self, rng: np.random.Generator) -> float:
        """Seconds between two segments."""
        if rng.uniform() < self.config.long_gap_share:
            return float(rng.uniform(1.0, 3.0))
        low, high = np.log(self.config.gap_s)
        return float(np.exp(rng.uniform(low, high)))

    def colour_speech(self, rng: np.random.Generator, raw: Float32, down_db: Float32) -> tuple[Float32, Float32]:
        """Filter raw, and clean (raw turned down), alike; put both into a room, clean with its early part alone."""
        sections = self.filter(rng, self.config.speech_peaks)
        if rng.uniform() < self.config.room_share:
            response = self.room(rng)
            early = early_part(response, self.rate, self.config.early_ms)
            clean = turn_down(raw, down_db)
            if sections is not None:
                run_sections(sections, raw, clean)
            return run_room(raw, response), run_room(clean, early)
        if sections is not None:
            run_sections(sections, raw)
        return raw, turn_down(raw, down_db)

    def filter(self, rng: np.random.Generator, most_peaks: int) -> Sections | None:
        """A random filter for the share of signals that get one."""
        return random_filter(rng, self.rate, most_peaks) if rng.uniform() < self.config.filter_share else None

    def room(self, rng: np.random.Generator) -> Float32:
        measured = rng.uniform() < self.config.measured_room_share and len(self.corpus.rooms) > 0
        return self.corpus.rooms[rng.integers(len(self.corpus.rooms))] if measured else simulate_room(rng, self.rate)

    def noise(self, rng: np.random.Generator, bandwidth_hz: float) -> Float32:
        """Noise for speech that reaches up to bandwidth_hz: float32 (n,), any level."""
        noise, noise_hz = self.one_noise(rng)
        second = rng.uniform() < self.config.second_noise_share
        if noise_hz < 0.9 * bandwidth_hz and rng.uniform() < 0.8:  # or the network learns that noise ends early
            noise = noise + self.one_noise(rng, reaching=bandwidth_hz)[0] * gain(rng.uniform(-15.0, 0.0))
        elif second:
            noise = noise + self.one_noise(rng)[0] * gain(rng.uniform(-12.0, 6.0))
        sections = self.filter(rng, self.config.noise_peaks)
        response = self.room(rng) if rng.uniform() < self.config.room_share / 3 else None
        if sections is not None:
            run_sections(sections, noise)
        return noise if response is None else run_room(noise, response)

    def one_noise(self, rng: np.random.Generator, reaching: float = 0.0) -> tuple[Float32, float]:
        """A noise of mean power about 1 and its bandwidth; reaching: Hz that it should reach if it can."""
        kind = rng.uniform()
        if kind < self.config.babble_share and not reaching:
            return self.babble(rng), self.rate / 2
        if kind < self.config.babble_share + self.config.formula_share:
            return formula_noise(rng, self.length, self.rate), self.rate / 2
        if kind < self.config.babble_share + self.config.formula_share + self.config.music_share:
            return music(rng, self.length, self.rate), self.rate / 2
        for _ in range(8):
            source = self.corpus.noises[draw(rng, self.noise_odds)]
            recording = source.recordings[rng.integers(len(source.recordings))]
            if recording.bandwidth_hz >= 0.9 * reaching:
                break
        fast = rng.uniform() < self.config.noise_speed_share
        speed = round_speed(rng.uniform(*self.config.noise_speed)) if fast else 1.0
        offset, length = int(rng.integers(recording.length)), math.ceil(self.length * speed) + 1
        noise = recording.read(offset, length)
        while len(noise) < length:  # on from the start, around again if it is short
            noise = np.concatenate([noise, recording.read(0, length - len(noise))])
        if fast:
            noise = change_speed(noise, speed)
        noise = fit(noise, self.length)
        if rng.uniform() < self.config.swell_share:
            noise *= self.swell(rng)
        noise *= np.float32(1.0 / max(rms(noise), 1e-5))
        return noise, recording.bandwidth_hz * speed

    def swell(self, rng: np.random.Generator) -> Float32:
        """A level that drifts by some 6 dB, a new one every second or so."""
        hop = self.rate // HOPS_PER_SECOND
        steps = self.length // hop
        knots = rng.normal(0.0, 6.0, max(2, steps // HOPS_PER_SECOND + 1))
        level_db = np.interp(np.arange(steps), np.linspace(0.0, steps, len(knots)), knots)
        return np.repeat((10.0 ** (level_db / 20.0)).astype(np.float32), hop)

    def babble(self, rng: np.random.Generator) -> Float32:
        """Four to eight voices at once, mean power about 1."""
        total = np.zeros(self.length, np.float32)
        for _ in range(int(rng.integers(4, 9))):
            source = self.corpus.voices[draw(rng, self.voice_odds)]
            position = -int(rng.uniform(0.0, 2.0) * self.rate)
            while position < self.length:
                recording = source.recordings[rng.integers(len(source.recordings))]
                segment = self.read_segment(rng, recording, self.length - position)[0] * gain(rng.uniform(-6.0, 0.0))
                start, stop = max(position, 0), min(position + len(segment), self.length)
                if stop > start:
                    total[start:stop] += segment[start - position : stop - position]
                position += len(segment) + int(rng.uniform(0.0, 0.3) * self.rate)
        total *= np.float32(1.0 / max(rms(total), 1e-5))
        return total

    def set_levels(self, rng: np.random.Generator, raw: Float32, clean: Float32, noise: Float32) -> None:
        """Bring speech to its level and noise to the ratio, in place; all down where the sum would pass full scale."""
        level = active_level(frame_energies(raw, self.rate // HOPS_PER_SECOND))
        speech_gain = gain(rng.uniform(*self.config.speech_db)) / level
        spoken, noisy = self.compared_levels(raw, noise)
        noise_gain = speech_gain * spoken * gain(-rng.uniform(*self.config.snr_db)) / max(noisy, 1e-6)
        raw *= np.float32(speech_gain)
        clean *= np.float32(speech_gain)
        noise *= np.float32(noise_gain)
        highest = peak(raw + noise)
        if highest > 0.99:
            for signal in (raw, clean, noise):
                signal *= np.float32(0.99 / highest)

    def compared_levels(self, raw: Float32, noise: Float32) -> tuple[float, float]:
        """The RMS of speech and of noise whose ratio snr_db is."""
        if not self.config.segmental_snr:
            return rms(raw), rms(noise)
        spoken, noisy = (frame_energies(signal, self.rate // HOPS_PER_SECOND) for signal in (raw, noise))
        active = spoken > ACTIVE * spoken.max(initial=0.0)
        if not active.any():
            return rms(raw), rms(noise)
        level, noise_level = (math.sqrt(float(energies[active].mean())) for energies in (spoken, noisy))
        return level, max(noise_level, 0.1 * rms(noise))  # noise that falls into pauses is not made deafening

    def offset(self, rng: np.random.Generator) -> np.float32:
        """The constant that is added to a mix, 0 for most."""
        if not self.config.dc_share or rng.uniform() >= self.config.dc_share:
            return np.float32(0.0)
        low, high = np.log(self.config.dc)
        return np.float32(rng.choice((-1.0, 1.0)) * np.exp(rng.uniform(low, high)))

    def damage(self, rng: np.random.Generator, noisy: Float32, clean: Float32) -> None:
        """Clip peaks, put in digital silence and the steps of 16 bits; in place."""
        if rng.uniform() < self.config.silence_share:
            start = int(rng.integers(self.length))
            stop = start + int(rng.uniform(0.1, 2.0) * self.rate)
            noisy[start:stop] = clean[start:stop] = 0.0
        if rng.uniform() < self.config.clipped_share:
            limit = np.float32(peak(noisy) * rng.uniform(0.2, 0.8))
            np.clip(noisy, -limit, limit, out=noisy)
        if rng.uniform() < 0.5:
            noisy *= np.float32(32768.0)
            np.rint(noisy, out=noisy)
            noisy *= np.float32(1.0 / 32768.0)
        np.clip(noisy, np.float32(-1.0), np.float32(1.0), out=noisy)


def odds(sources: tuple[Source, ...], power: float) -> NDArray[np.float64]:
    """Cumulative probabilities of the sources, up to 1: by their lengths, but less than in proportion."""
    weight = np.array([source.length for source in sources], np.float64) ** power
    return np.cumsum(weight) / weight.sum()


def draw(rng: np.random.Generator, summed_odds: NDArray[np.float64]) -> int:
    return min(int(np.searchsorted(summed_odds, rng.uniform(), side="right")), len(summed_odds) - 1)


def fit(signal: Float32, length: int) -> Float32:
    """The first length samples, zeros after the last if there are less."""
    return signal[:length] if len(signal) >= length else np.pad(signal, (0, length - len(signal)))


def gain(level_db: float) -> np.float32:
    return np.float32(10.0 ** (level_db / 20.0))


def rms(signal: Float32) -> float:
    return math.sqrt(float(np.dot(signal, signal)) / len(signal)) if len(signal) else 0.0


def peak(signal: Float32) -> float:
    return max(float(signal.max()), -float(signal.min())) if len(signal) else 0.0


def frame_energies(signal: Float32, hop: int) -> Float32:
    """Mean power of each hop; what is left at the end counts as one."""
    whole = len(signal) // hop * hop
    frames = signal[:whole].reshape(-1, hop)
    energies = np.einsum("ij,ij->i", frames, frames) * np.float32(1.0 / hop)
    rest = signal[whole:]
    return np.append(energies, np.float32(np.dot(rest, rest) / hop)) if len(rest) else energies


def active_level(energies: Float32) -> float:
    """RMS of the frames that are within 30 dB of the loudest: speech without its pauses. Never 0."""
    loud = energies[energies > ACTIVE * energies.max(initial=0.0)]
    return max(math.sqrt(float(loud.sum()) / len(loud)) if len(loud) else 0.0, 1e-5)


def expander(energies: Float32, below_db: float) -> tuple[Float32, Float32]:
    """Gains that take the hiss out of a recording's pauses, and labels of its speech, by its power in each hop.

    Returns (dB (hops,), labels (hops,)). The gain is 0 dB within 30 ms of frames louder than below_db against the loud
    ones, and falls by 1.5 dB a dB under that, to -30 dB.
    """
    level_db = np.float32(10.0) * np.log10(energies + np.float32(1e-10))
    level_db -= loud_level(level_db)
    around = level_db.copy()
    for shift in (1, 2, 3):
        around[shift:] = np.maximum(around[shift:], level_db[:-shift])
        around[:-shift] = np.maximum(around[:-shift], level_db[shift:])
    down_db = np.clip(np.float32(1.5) * (around - np.float32(below_db)), np.float32(-30.0), np.float32(0.0))
    return down_db, label(level_db, around)


def loud_level(level_db: Float32) -> np.float32:
    """The level that a tenth of the frames pass."""
    rank = int(0.9 * (len(level_db) - 1))
    return np.partition(level_db, rank)[rank]


def label(level_db: Float32, around: Float32) -> Float32:
    """1 where speech is, 0 where none is near, 0.5 between; dB against the loud frames, of each and of its loudest
    neighbour."""
    return np.where(level_db > LOUD_DB, 1.0, np.where(around > QUIET_DB, 0.5, 0.0)).astype(np.float32)


def turn_down(signal: Float32, down_db: Float32) -> Float32:
    """signal with the gain of each hop, which leads in a straight line (of dB) to the next one's."""
    ends = np.append(down_db, down_db[-1:]) * np.float32(np.log2(10.0) / 20.0)
    result = signal.copy()
    hops = result.reshape(len(down_db), -1)
    rows = np.flatnonzero((ends[:-1] < 0.0) | (ends[1:] < 0.0))
    first, ramp = ends[rows, None], np.arange(hops.shape[1], dtype=np.float32) / np.float32(hops.shape[1])
    hops[rows] *= np.exp2(first + (ends[rows + 1, None] - first) * ramp)
    return result


def speech_labels(clean: Float32, hop: int) -> Float32:
    """Labels of speech in clean audio: (hops,), 1, 0 or 0.5 where nobody can say."""
    level_db = np.float32(10.0) * np.log10(frame_energies(clean, hop) + np.float32(1e-10))
    level_db -= max(loud_level(level_db), np.float32(-50.0))  # digital silence, -100 dB, holds no speech
    return label(level_db, level_db)
