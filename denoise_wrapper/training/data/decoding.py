"""Decoding: audio files become mono samples at one rate, one after the other in a file that is mapped into memory."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import soundfile
from numpy.typing import NDArray

from denoise_wrapper.errors import DataError
from denoise_wrapper.progress import tracked
from denoise_wrapper.training.data.packs import open_sound

Float32 = NDArray[np.float32]
Int16 = NDArray[np.int16]
T = TypeVar("T")
FULL_SCALE = 32768.0
BLOCK = 1 << 20  # samples decoded at a time
SPECTRUM = 1024  # samples of a frame whose spectrum is looked at
SPECTRA = 4000  # at most, of a file


class Samples:
    """A file of int16 samples, mapped into memory. Pickled it is its path, so that a worker maps it anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        empty = path.stat().st_size == 0
        self.array: Int16 = np.zeros(0, np.int16) if empty else np.asarray(np.memmap(path, np.int16, "r"))

    def __reduce__(self) -> tuple[type[Samples], tuple[Path]]:
        return Samples, (self.path,)

    def read(self, start: int, stop: int) -> Float32:
        """Samples start to stop, full scale +-1."""
        signal = self.array[start:stop].astype(np.float32)
        signal *= np.float32(1.0 / FULL_SCALE)
        return signal


def decode_files(folder: str, files: dict[str, Path], rate: int, target: Path) -> dict[str, dict[str, Any]]:
    """Write all files one after the other as mono int16 at rate; returns where each came to lie, but silent ones.

    folder: what to call them together. Says on stderr how many had another rate and were resampled.
    """
    index: dict[str, dict[str, Any]] = {}
    rates: Counter[int] = Counter()
    channels: Counter[int] = Counter()
    position = 0
    with target.open("wb") as stream:
        for name, path in tracked(files.items(), len(files), f"decoding {folder}"):
            length, sounding, bandwidth_hz, file_rate, count = decode(path, rate, stream)
            rates[file_rate] += 1
            channels[count] += 1
            if sounding:
                index[name] = {"start": position, "length": length, "bandwidth_hz": bandwidth_hz}
                position += length
            else:
                stream.seek(2 * position)
                stream.truncate()
    other = ", ".join(f"{count} of {hertz} Hz" for hertz, count in sorted(rates.items()) if hertz != rate)
    if other:
        print(f"{folder}: {len(files)} files, resampled to {rate} Hz: {other}", file=sys.stderr)
    several = ", ".join(f"{number} of {count} channels" for count, number in sorted(channels.items()) if count > 1)
    if several:
        print(f"{folder}: {len(files)} files, mixed to mono: {several}", file=sys.stderr)
    return index


def decode(path: Path, rate: int, target: BinaryIO) -> tuple[int, bool, float, int, int]:
    """Append a file to target, block by block: (samples, whether any is not 0, bandwidth in Hz, its rate and channels).

    Raises DataError if it can not be used.
    """
    import soxr  # here, as looking at files needs none

    try:
        with open_sound(path) as file:
            resampler = None if file.samplerate == rate else soxr.ResampleStream(file.samplerate, rate, 1, "float32")
            meter = Bandwidth(file.samplerate, file.frames)
            length, sounding, last = 0, False, False
            while not last:
                block = file.read(BLOCK, dtype="float32", always_2d=True)
                last = len(block) < BLOCK
                mono = block.mean(axis=1, dtype=np.float32)
                if not np.all(np.isfinite(mono)):
                    raise DataError(f"{path} holds samples that are not finite; repair it or take it away")
                meter.add(mono)
                if resampler is not None:
                    mono = resampler.resample_chunk(mono, last=last)
                samples = np.clip(np.rint(mono * FULL_SCALE), -32768, 32767).astype(np.int16)
                target.write(samples.tobytes())
                length, sounding = length + len(samples), sounding or bool(np.any(samples))
            return length, sounding, min(meter.measure(), rate / 2), file.samplerate, file.channels
    except soundfile.SoundFileError as error:
        raise undecodable(path, error) from error
    except OSError as error:
        if error.filename not in (path, str(path)):
            raise  # about the target, as where the disk is full
        raise undecodable(path, error) from error


def read_audio(path: Path) -> tuple[Float32, int]:
    """One short file as float32 (n, channels), and its rate in Hz. Raises DataError if it cannot be decoded."""
    try:
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise undecodable(path, error) from error
    return audio, rate


def read_mono(path: Path) -> tuple[NDArray[np.float64], int]:
    """One short file, the mean of its channels, and its rate in Hz. Raises DataError if it cannot be decoded."""
    audio, rate = read_audio(path)
    return audio.mean(axis=1, dtype=np.float64), rate


def undecodable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} cannot be decoded ({error}); repair it or take it away")


class Bandwidth:
    """Bandwidth of a recording: Hz above which its loud frames have less than floor_db against their 0.3 to 3 kHz.

    rate: Hz. frames: samples to come, about; of long recordings a part of the spectra is looked at.
    """

    def __init__(self, rate: int, frames: int, floor_db: float = -52.0) -> None:
        self.rate, self.floor_db = rate, floor_db
        self.step = max(1, frames // SPECTRUM // SPECTRA)
        self.seen = 0
        self.power: list[Float32] = []

    def add(self, audio: Float32) -> None:
        """The next samples, a whole number of frames but at the end."""
        frames = audio[: len(audio) // SPECTRUM * SPECTRUM].reshape(-1, SPECTRUM)
        chosen = frames[-self.seen % self.step :: self.step]
        self.seen += len(frames)
        if len(chosen):
            window = np.hanning(SPECTRUM).astype(np.float32)
            self.power.append(np.square(np.abs(np.fft.rfft(chosen * window, axis=1))).astype(np.float32))

    def measure(self) -> float:
        """Hz; half the rate where nothing can be said."""
        if not self.power:
            return self.rate / 2
        power = np.concatenate(self.power)
        loud = power[power.sum(axis=1) >= np.median(power.sum(axis=1))]
        level_db = 10.0 * np.log10(np.quantile(loud, 0.95, axis=0) + 1e-12)
        frequency = np.fft.rfftfreq(SPECTRUM, 1.0 / self.rate)
        middle = (frequency > 300.0) & (frequency < 3000.0)
        audible = frequency[level_db > level_db[middle].max(initial=-120.0) + self.floor_db]
        return float(max(audible[-1], 2000.0)) if len(audible) else self.rate / 2
