"""What every framework needs of a stream: a form that may change on the way, a bypass in time, a tail that is kept."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from denoise_wrapper.audio import Array, from_float, to_float
from denoise_wrapper.backends import resolve_backend
from denoise_wrapper.denoiser import Denoiser
from denoise_wrapper.errors import ConfigError
from denoise_wrapper.presets import strength
from denoise_wrapper.stream.lane import least_latency
from denoise_wrapper.stream.resample import resample
from denoise_wrapper.stream.stream import Stream

FADE_S = 0.02  # from clean to noisy and back
SETTINGS = ("enabled", "backend", "preset", "atten_lim_db")


class Form(NamedTuple):
    """Of a track. rate: Hz."""

    rate: int
    channels: int
    dtype: np.dtype[Any]


class Cleaner:
    """One track, cleaned block by block: as many frames out as in, late by a constant.

    denoiser: its backend and settings clean; or the name of a backend. It may serve many tracks.
    enabled: False passes the noisy sound, sample by sample, as late as the clean one; set it at any time, and one fades
    into the other in 20 ms.
    latency_s: by which the track is late at least, in s; 0 for the least that the backend needs, more to be able to
    switch to a slower one later.
    form: of the block that came last; None before the first.
    probability: of speech in the hops last heard, 0 to 1; None before the first, and from a backend that tells none.

    For one thread at a time. A pickle of it holds what was asked for, and nothing of the track. Raises what Denoiser
    and Stream raise.
    """

    def __init__(self, denoiser: Denoiser | str = "rnnoise", *, enabled: bool = True, latency_s: float = 0.0) -> None:
        denoiser = Denoiser(denoiser) if isinstance(denoiser, str) else denoiser
        if not 0.0 <= latency_s <= 60.0:
            raise ConfigError(f"latency_s is 0 to 60 seconds, not {latency_s!r}")
        self._backend, self._settings = denoiser.backend, denoiser.settings
        self._least_s, self.enabled = float(latency_s), bool(enabled)
        Stream(self._backend, settings=self._settings)  # refuses settings that no stream can have
        self.reset()

    def reset(self) -> None:
        """Forget the track, but neither strength nor backend."""
        self.form: Form | None = None
        self._stream: Stream | None = None
        self._past = self._ahead = np.zeros((0, 1), np.float32)  # noisy frames to come, clean ones of an older form
        self._share = float(self.enabled)
        self.probability: float | None = None

    @property
    def backend(self) -> str:
        """The name of the backend last asked for."""
        return self._backend.name

    @property
    def latency(self) -> int:
        """Frames by which the output is late; 0 before the first block, which says at what rate."""
        return 0 if self._stream is None else self._stream.latency

    def process(self, samples: Array, rate: int) -> Array:
        """Clean the next block.

        samples: (frames,) if mono, or (frames, channels); int16, int32, float32 or float64. rate: Hz.
        Returns an array of the same shape and type: what came `latency` frames ago.
        Rate, channels and type may be others than before: what is still to come of the old form then comes in the new
        one, and the track gets no sooner; later, if the backend needs more time at the new rate.
        """
        frames = samples if samples.ndim == 2 else samples[:, None]
        form = Form(rate, frames.shape[1], frames.dtype)
        stream = self._stream
        if stream is None or form != self.form:
            stream = self._open(form)
        clean = stream.process(samples).reshape(frames.shape)
        if stream.backend.has_vad and len(stream.vad):
            self.probability = float(stream.vad.max())
        past = np.concatenate([self._past, frames])
        noisy, self._past = past[: len(frames)], past[len(frames) :]
        return self._mixed(noisy, self._continued(clean)).reshape(samples.shape)

    def flush(self) -> Array:
        """Return the last `latency` frames, (frames, channels), in the last block's form; the track is then as new."""
        stream, form = self._stream, self.form
        if stream is None or form is None:
            return np.zeros((0, 1), np.int16)
        rest = self._mixed(self._past, self._continued(stream.flush().reshape(-1, form.channels)))
        self.reset()
        return rest

    def update(self, settings: Mapping[str, Any]) -> None:
        """Change settings while the track goes on, without a click or a jump in time.

        settings: any of "enabled", a bool; "backend", a name or a Backend; and "preset" or "atten_lim_db", as Denoiser
        has them. Strength and backend are heard the latency and 0.2 s later. Raises ConfigError for others, and for a
        backend that the latency is too short for; then nothing is changed.
        """
        unknown = sorted(map(repr, set(settings) - set(SETTINGS)))
        if unknown:
            raise ConfigError(f"settings are {', '.join(SETTINGS)}, not {', '.join(unknown)}")
        backend, wanted = self._backend, self._settings
        if "backend" in settings:
            backend = resolve_backend(settings["backend"])
        if "preset" in settings or "atten_lim_db" in settings:
            limit, _ = strength(settings.get("preset"), settings.get("atten_lim_db"), None)
            wanted = dataclasses.replace(wanted, atten_lim_db=limit)
        if self._stream is not None:
            if backend is not self._backend:
                self._stream.switch(backend)
            if wanted != self._settings:
                self._stream.limit(wanted.atten_lim_db)
        self._backend, self._settings = backend, wanted
        self.enabled = bool(settings.get("enabled", self.enabled))

    def _open(self, form: Form) -> Stream:
        """Begin a stream of another form, with what the one before still had to say."""
        rate, channels, dtype = form
        least_s, past, ahead = self._least_s, self._past[:0], self._ahead[:0]
        if self._stream is not None and self.form is not None:
            old_rate, old_channels, _ = self.form
            least_s = max(least_s, self._stream.latency_seconds)
            tail = self._continued(self._stream.flush().reshape(-1, old_channels))
            past, ahead = (_reformed(each, old_rate, form) for each in (self._past, tail))
        needed = least_latency(self._settings.backend_for(self._backend, channels), rate)
        latency = max(needed, math.ceil(round(least_s * rate, 6)), len(ahead))
        self._stream = Stream(self._backend, rate, channels, self._settings, latency)
        self.form, self._ahead = form, ahead
        self._past = np.zeros((latency, channels), dtype)
        self._past[: len(past)] = past if len(past) else 0
        self._ramp = 1.0 / max(1, round(FADE_S * rate))
        return self._stream

    def _continued(self, clean: Array) -> Array:
        """What the stream of an older form had left stands where the new one has its silence."""
        count = min(len(self._ahead), len(clean))
        if count:
            clean[:count], self._ahead = self._ahead[:count], self._ahead[count:]
        return clean

    def _mixed(self, noisy: Array, clean: Array) -> Array:
        """Go over from one to the other, as `enabled` has it."""
        wanted = float(self.enabled)
        if self._share == wanted:
            return clean if self.enabled else noisy
        steps = np.arange(1, len(clean) + 1, dtype=np.float32)[:, None] * self._ramp
        share = np.clip(self._share + (steps if wanted > self._share else -steps), 0.0, 1.0).astype(np.float32)
        if len(share):
            self._share = float(share[-1, 0])
        mixed = share * to_float(clean) + (1.0 - share) * to_float(noisy, self._settings.non_finite)
        return from_float(mixed.astype(np.float32), clean.dtype)

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in ("_backend", "_settings", "_least_s", "enabled")}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.__dict__.update(saved)
        self.reset()


class Cleaning:
    """What the door of a framework says of its cleaner, and passes on to it."""

    _cleaner: Cleaner

    @property
    def cleans(self) -> bool:
        """True if the clean sound is asked for, False for the noisy one."""
        return self._cleaner.enabled

    @property
    def probability(self) -> float | None:
        """Of speech in what came last, 0 to 1; None if it is not known."""
        return self._cleaner.probability

    @property
    def latency(self) -> int:
        """Samples of a channel by which the sound is late; 0 before the first ones."""
        return self._cleaner.latency

    def update(self, **settings: Any) -> None:
        """Change enabled, backend, preset or atten_lim_db while the sound goes on: see `Cleaner.update`."""
        self._cleaner.update(settings)


def _reformed(frames: Array, old_rate: int, form: Form) -> Array:
    """Bring frames to another rate, number of channels (the mean, or copies of it) and type."""
    rate, channels, dtype = form
    samples = to_float(frames)
    if samples.shape[1] != channels:
        samples = np.repeat(samples.mean(axis=1, keepdims=True), channels, axis=1)
    if rate != old_rate and len(samples):
        samples = resample(np.ascontiguousarray(samples), old_rate, rate)
    return from_float(np.ascontiguousarray(samples, np.float32), dtype)
