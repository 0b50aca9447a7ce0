"""Mixing: clip number i of a seed is always the same pair of noisy and clean audio, whoever asks for it and when.

What a clip goes through: segments of a voice with pauses between them, speed, hiss of the recording taken out of the
target, a random filter, a room; noises likewise; the levels; a low-pass on the mix; clipping, digital silence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.signal
import soxr
from numpy.typing import NDArray

from denoise_wrapper.errors import DataError
from denoise_wrapper.training.config import MixConfig
from denoise_wrapper.training.data import Corpus, Recording, Source
from denoise_wrapper.training.noises import formula_noise
from denoise_wrapper.training.rooms import convolve, early_part, simulate_room

Float32 = NDArray[np.float32]
HOPS_PER_SECOND = 100  # the voice labels are one per 10 ms
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
        rng = np.random.default_rng([self.seed, index])
        config = self.config
        kind = rng.uniform()
        noise_only = kind < config.noise_only_share
        speech_only = not noise_only and kind < config.noise_only_share + config.speech_only_share
        raw, clean, voice, bandwidth_hz = self.speech(rng)
        raw, clean = self.colour_speech(rng, raw, clean)
        limited = rng.uniform() < config.band_limit_share
        limit_hz = float(rng.choice(config.band_limits_hz)) if limited else self.rate / 2
        noise = self.noise(rng, min(bandwidth_hz, limit_hz))
        raw, clean, noise = self.set_levels(rng, raw, clean, noise)
        if noise_only:
            raw, clean, voice = np.zeros_like(raw), np.zeros_like(clean), np.zeros_like(voice)
        noisy = raw if speech_only else raw + noise
        if limit_hz < self.rate / 2:
            noisy, clean = (low_pass(signal, limit_hz, self.rate) for signal in (noisy, clean))
        noisy, clean = self.damage(rng, noisy, clean)
        known_hz = self.rate / 2 if limit_hz <= bandwidth_hz * 1.05 else bandwidth_hz
        return Mix(np.ascontiguousarray(noisy), np.ascontiguousarray(clean), voice, known_hz)

    def speech(self, rng: np.random.Generator) -> tuple[Float32, Float32, Float32, float]:
        """Segments of a voice or two: (as recorded, without the recording's hiss, voice labels, bandwidth)."""
        raw, clean = np.zeros(self.length, np.float32), np.zeros(self.length, np.float32)
        voice = np.zeros(self.length * HOPS_PER_SECOND // self.rate, np.float32)
        change = rng.uniform(0.2, 0.8) * self.length if rng.uniform() < self.config.two_voices_share else self.length
        source, speed = self.pick_voice(rng)
        bandwidth_hz = self.rate / 2
        hop = self.rate // HOPS_PER_SECOND
        position = int(rng.uniform(0.0, min(1.2, 0.12 * self.config.clip_s)) * HOPS_PER_SECOND) * hop
        changed = False
        while position < self.length:
            if position >= change and not changed:
                (source, speed), changed = self.pick_voice(rng), True
            recording = source.recordings[rng.integers(len(source.recordings))]
            segment = self.read_segment(rng, recording, speed)
            gain_db, labels = expander(segment, hop, self.config.expand_below_db)
            stop = min(position + len(segment), self.length)
            segment = segment[: stop - position] * np.float32(10.0 ** (rng.normal(0.0, 2.0) / 20.0))
            raw[position:stop] = segment
            clean[position:stop] = segment * gain_db[: len(segment)]
            first = position // hop
            voice[first : first + len(labels)] = labels[: len(voice) - first]
            bandwidth_hz = min(bandwidth_hz, recording.bandwidth_hz * speed)
            position += -(-len(segment) // hop) * hop + int(self.pause(rng) * HOPS_PER_SECOND) * hop
        return raw, clean, voice, bandwidth_hz

    def pick_voice(self, rng: np.random.Generator) -> tuple[Source, float]:
        source = self.corpus.voices[rng.choice(len(self.corpus.voices), p=self.voice_odds)]
        fast = rng.uniform() < self.config.speed_share
        return source, float(rng.uniform(*self.config.speed)) if fast else 1.0

    def read_segment(self, rng: np.random.Generator, recording: Recording, speed: float) -> Float32:
        """A recording, or part of a long one, at the given speed and an active level of 1."""
        most = min(recording.length, self.length)
        offset = int(rng.integers(0, recording.length - most + 1))
        segment = recording.read(offset, most)
        if speed != 1.0:
            segment = np.asarray(soxr.resample(segment, self.rate * speed, self.rate, "LQ"), np.float32)
        return segment / active_level(segment, self.rate // HOPS_PER_SECOND)

    def pause(self, rng: np.random.Generator) -> float:
        """Seconds between two segments."""
        if rng.uniform() < self.config.long_gap_share:
            return float(rng.uniform(1.0, 3.0))
        low, high = np.log(self.config.gap_s)
        return float(np.exp(rng.uniform(low, high)))

    def colour_speech(self, rng: np.random.Generator, raw: Float32, clean: Float32) -> tuple[Float32, Float32]:
        """The same random filter on both; a room on both, of which clean gets the early part."""
        if rng.uniform() < self.config.filter_share:
            sections = random_filter(rng, self.rate, self.config.speech_peaks)
            raw, clean = (scipy.signal.sosfilt(sections, signal).astype(np.float32) for signal in (raw, clean))
        if rng.uniform() < self.config.room_share:
            response = self.room(rng)
            raw = convolve(raw, response)
            clean = convolve(clean, early_part(response, self.rate, self.config.early_ms))
        return raw, clean

    def room(self, rng: np.random.Generator) -> Float32:
        measured = rng.uniform() < self.config.measured_room_share and len(self.corpus.rooms) > 0
        return self.corpus.rooms[rng.integers(len(self.corpus.rooms))] if measured else simulate_room(rng, self.rate)

    def noise(self, rng: np.random.Generator, bandwidth_hz: float) -> Float32:
        """What is laid over speech that reaches up to bandwidth_hz: float32 (n,), any level."""
        noise, noise_hz = self.one_noise(rng)
        second = rng.uniform() < self.config.second_noise_share
        if noise_hz < 0.9 * bandwidth_hz and rng.uniform() < 0.8:  # or the network learns that noise ends early
            noise = noise + self.one_noise(rng, reaching=bandwidth_hz)[0] * gain(rng.uniform(-15.0, 0.0))
        elif second:
            noise = noise + self.one_noise(rng)[0] * gain(rng.uniform(-12.0, 6.0))
        if rng.uniform() < self.config.filter_share:
            sections = random_filter(rng, self.rate, self.config.noise_peaks)
            noise = scipy.signal.sosfilt(sections, noise).astype(np.float32)
        if rng.uniform() < self.config.room_share / 3:
            noise = convolve(noise, self.room(rng))
        return np.asarray(noise, np.float32)

    def one_noise(self, rng: np.random.Generator, reaching: float = 0.0) -> tuple[Float32, float]:
        """A noise of mean power about 1 and its bandwidth; reaching: Hz that it should reach if it can."""
        kind = rng.uniform()
        if kind < self.config.babble_share and not reaching:
            return self.babble(rng), self.rate / 2
        if kind < self.config.babble_share + self.config.formula_share:
            return formula_noise(rng, self.length, self.rate), self.rate / 2
        for _ in range(8):
            source = self.corpus.noises[rng.choice(len(self.corpus.noises), p=self.noise_odds)]
            recording = source.recordings[rng.integers(len(source.recordings))]
            if recording.bandwidth_hz >= 0.9 * reaching:
                break
        fast = rng.uniform() < self.config.noise_speed_share
        speed = float(rng.uniform(*self.config.noise_speed)) if fast else 1.0
        offset, length = int(rng.integers(recording.length)), math.ceil(self.length * speed) + 1
        noise = recording.read(offset, length)
        while len(noise) < length:  # on from the start, around again if it is short
            noise = np.concatenate([noise, recording.read(0, length - len(noise))])
        if fast:
            noise = np.asarray(soxr.resample(noise, self.rate * speed, self.rate, "LQ"), np.float32)
        noise = fit(noise, self.length)
        if rng.uniform() < self.config.swell_share:
            noise = noise * self.swell(rng)
        return noise / max(rms(noise), 1e-5), recording.bandwidth_hz * speed

    def swell(self, rng: np.random.Generator) -> Float32:
        """A level that drifts by some 6 dB, a new one every second or so."""
        knots = rng.normal(0.0, 6.0, max(2, self.length // self.rate + 1))
        points = np.linspace(0.0, self.length, len(knots))
        steps = np.arange(0, self.length, 480)
        level = 10.0 ** (np.interp(steps, points, knots) / 20.0)
        return np.repeat(level, 480)[: self.length].astype(np.float32)

    def babble(self, rng: np.random.Generator) -> Float32:
        """Four to eight voices at once, mean power about 1."""
        total = np.zeros(self.length, np.float32)
        for _ in range(int(rng.integers(4, 9))):
            source = self.corpus.voices[rng.choice(len(self.corpus.voices), p=self.voice_odds)]
            position = -int(rng.uniform(0.0, 2.0) * self.rate)
            while position < self.length:
                recording = source.recordings[rng.integers(len(source.recordings))]
                segment = self.read_segment(rng, recording, 1.0) * gain(rng.uniform(-6.0, 0.0))
                start, stop = max(position, 0), min(position + len(segment), self.length)
                if stop > start:
                    total[start:stop] += segment[start - position : stop - position]
                position += len(segment) + int(rng.uniform(0.0, 0.3) * self.rate)
        return total / max(rms(total), 1e-5)

    def set_levels(
        self, rng: np.random.Generator, raw: Float32, clean: Float32, noise: Float32
    ) -> tuple[Float32, Float32, Float32]:
        """Speech to its level, noise to the ratio; all turned down where the sum would pass full scale."""
        speech_gain = gain(rng.uniform(*self.config.speech_db)) / active_level(raw, self.rate // HOPS_PER_SECOND)
        noise_gain = speech_gain * rms(raw) * gain(-rng.uniform(*self.config.snr_db)) / max(rms(noise), 1e-6)
        peak = max(float(np.max(np.abs(raw * speech_gain + noise * noise_gain))), 1e-6)
        scale = min(1.0, 0.99 / peak)
        speech_gain, noise_gain = np.float32(speech_gain * scale), np.float32(noise_gain * scale)
        return raw * speech_gain, clean * speech_gain, noise * noise_gain

    def damage(self, rng: np.random.Generator, noisy: Float32, clean: Float32) -> tuple[Float32, Float32]:
        """Clipped peaks, digital silence, the steps of 16 bits."""
        if rng.uniform() < self.config.silence_share:
            start = int(rng.integers(self.length))
            stop = start + int(rng.uniform(0.1, 2.0) * self.rate)
            noisy, clean = noisy.copy(), clean.copy()
            noisy[start:stop] = clean[start:stop] = 0.0
        if rng.uniform() < self.config.clipped_share:
            limit = np.float32(np.max(np.abs(noisy)) * rng.uniform(0.2, 0.8))
            noisy = np.clip(noisy, -limit, limit)
        if rng.uniform() < 0.5:
            noisy = np.rint(noisy * np.float32(32768.0)) / np.float32(32768.0)
        return np.clip(noisy, -1.0, 1.0).astype(np.float32), clean.astype(np.float32)


def odds(sources: tuple[Source, ...], power: float) -> NDArray[np.float64]:
    """How often each source is drawn: by its length, but less than in proportion."""
    weight = np.array([source.length for source in sources], np.float64) ** power
    return weight / weight.sum()


def fit(signal: Float32, length: int) -> Float32:
    """The first length samples, zeros after the last if there are less."""
    return np.pad(signal[:length], (0, max(0, length - len(signal))))


def gain(level_db: float) -> np.float32:
    return np.float32(10.0 ** (level_db / 20.0))


def rms(signal: Float32) -> float:
    return float(np.sqrt(np.mean(np.square(signal)))) if len(signal) else 0.0


def frame_energies(signal: Float32, hop: int) -> NDArray[np.float32]:
    """Mean power of each hop; what is left at the end counts as one."""
    frames = np.zeros((-(-len(signal) // hop), hop), np.float32)
    frames.reshape(-1)[: len(signal)] = signal
    return np.mean(np.square(frames), axis=1)


def active_level(signal: Float32, hop: int) -> float:
    """RMS of the frames that are within 30 dB of the loudest: speech without its pauses. Never 0."""
    energies = frame_energies(signal, hop)
    loud = energies[energies > 1e-3 * energies.max(initial=0.0)]
    return max(float(np.sqrt(loud.mean())) if len(loud) else 0.0, 1e-5)


def expander(segment: Float32, hop: int, below_db: float) -> tuple[Float32, Float32]:
    """What takes the hiss out of a recording's pauses, and where its speech is.

    Returns (gain (n,), labels (hops,)). The gain is 1 within 30 ms of frames louder than below_db against the loud
    ones, and falls by 1.5 dB a dB under that, to -30 dB.
    """
    energies = frame_energies(segment, hop)
    level_db = 10.0 * np.log10(energies + 1e-10)
    level_db -= np.quantile(level_db, 0.9)
    around = level_db.copy()
    for shift in (1, 2, 3):
        around[shift:] = np.maximum(around[shift:], level_db[:-shift])
        around[:-shift] = np.maximum(around[:-shift], level_db[shift:])
    gain_db = np.clip(1.5 * (around - below_db), -30.0, 0.0)
    ends = np.append(gain_db, gain_db[-1])
    ramp = np.arange(hop, dtype=np.float32) / np.float32(hop)
    curve = ends[:-1, None] + (ends[1:] - ends[:-1])[:, None] * ramp
    labels = np.where(level_db > LOUD_DB, 1.0, np.where(around > QUIET_DB, 0.5, 0.0))
    return (10.0 ** (curve.reshape(-1)[: len(segment)] / 20.0)).astype(np.float32), labels.astype(np.float32)


def speech_labels(clean: Float32, hop: int) -> Float32:
    """Where speech is in clean audio: (hops,), 1, 0 or 0.5 where nobody can say."""
    level_db = 10.0 * np.log10(frame_energies(clean, hop) + 1e-10)
    level_db -= max(float(np.quantile(level_db, 0.9)), -70.0)  # of digital silence nothing is speech
    return np.where(level_db > LOUD_DB, 1.0, np.where(level_db > QUIET_DB, 0.5, 0.0)).astype(np.float32)


def random_filter(rng: np.random.Generator, rate: int, most_peaks: int) -> NDArray[np.float64]:
    """A random spectrum: a second-order section over the whole band, and peaks or dips of up to 9 dB."""
    taps = rng.uniform(-0.375, 0.375, 4)
    sections = [[1.0, taps[0], taps[1], 1.0, taps[2], taps[3]]]
    for _ in range(int(rng.integers(0, most_peaks + 1))):
        angle = 2.0 * np.pi * np.exp(rng.uniform(np.log(100.0), np.log(6000.0))) / rate
        amplitude, alpha = 10.0 ** (rng.uniform(-9.0, 9.0) / 40.0), np.sin(angle) / (2.0 * rng.uniform(0.4, 2.0))
        middle = -2.0 * np.cos(angle)
        rows = np.array([1 + alpha * amplitude, middle, 1 - alpha * amplitude,
                         1 + alpha / amplitude, middle, 1 - alpha / amplitude])  # fmt: skip
        sections.append(list(rows / rows[3]))
    return np.array(sections)


def low_pass(signal: Float32, limit_hz: float, rate: int) -> Float32:
    """A steep low-pass, 80 dB down from 4 % above limit_hz, as a narrower recording or codec leaves it."""
    if limit_hz >= 0.49 * rate:
        return signal
    sections = scipy.signal.ellip(10, 0.1, 80.0, limit_hz, fs=rate, output="sos")
    return scipy.signal.sosfilt(sections, signal).astype(np.float32)
