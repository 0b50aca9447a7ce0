"""aiortc: an audio track around another one, clean."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame

from denoise_wrapper.audio import Array
from denoise_wrapper.denoiser import Denoiser
from denoise_wrapper.errors import AudioError
from denoise_wrapper.integrations.cleaner import Cleaner, Cleaning

FORMATS = ("s16", "s32", "flt", "dbl", "s16p", "s32p", "fltp", "dblp")  # FFmpeg's names of the samples' types


class CleanTrack(Cleaning, MediaStreamTrack):
    """A track that is another one without its noise, late by a constant.

        peer.addTrack(CleanTrack(microphone.audio))                    # what is sent
        recorder.addTrack(CleanTrack(track, Denoiser(preset="voice")))  # what was received

    source: an audio track, which nobody else reads. denoiser: a Denoiser, or the name of a backend. enabled: False
    passes the noisy sound, as late as the clean one; set it at any time. latency_s: s by which it is late at least,
    which leaves room to switch to a slower backend.

    Frames keep their rate, layout, format and time stamps. When the source ends, the rest comes, in frames as long as
    the last one, the very last filled up with silence.
    """

    kind = "audio"

    def __init__(
        self,
        source: MediaStreamTrack,
        denoiser: Denoiser | str = "rnnoise",
        *,
        enabled: bool = True,
        latency_s: float = 0.0,
    ) -> None:
        super().__init__()
        if source.kind != "audio":
            raise AudioError(f"the track is one of {source.kind}, and only audio can be cleaned")
        self._source, self._ended = source, False
        self._last: AudioFrame | None = None
        self._rest: list[AudioFrame] = []
        self._cleaner = Cleaner(denoiser, enabled=enabled, latency_s=latency_s)

    @property
    def enabled(self) -> bool:
        """Whether the sound is cleaned, not passed as it is."""
        return self.cleans

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._cleaner.enabled = bool(value)

    async def recv(self) -> AudioFrame:
        """Receive the next frame. Raises MediaStreamError after the last, and AudioError for what is no audio."""
        if self.readyState != "live":
            raise MediaStreamError
        if not self._ended:
            try:
                frame = await self._source.recv()
            except MediaStreamError:
                self._ended, self._rest = True, self._flushed()
            else:
                return self._cleaned(frame)
        if not self._rest:
            super().stop()
            raise MediaStreamError
        return self._rest.pop(0)

    def stop(self) -> None:
        """End this track and its source."""
        super().stop()
        self._source.stop()

    def _cleaned(self, frame: Any) -> AudioFrame:
        if not isinstance(frame, AudioFrame) or frame.format.name not in FORMATS:
            kind = frame.format.name if isinstance(frame, AudioFrame) else type(frame).__name__
            raise AudioError(f"a frame holds samples of {', '.join(FORMATS[:4])}, packed or in planes, not {kind}")
        channels = len(frame.layout.channels)
        cleaned = self._cleaner.process(frame.to_ndarray().T.reshape(-1, channels), frame.sample_rate)
        self._last = frame
        return _frame(cleaned, frame, frame.pts)

    def _flushed(self) -> list[AudioFrame]:
        """The rest, in frames like the last one."""
        last = self._last
        if last is None:
            return []
        rest, size = self._cleaner.flush(), max(1, last.samples)
        rest = np.concatenate([rest, np.zeros((-len(rest) % size, rest.shape[1]), rest.dtype)])
        base = last.time_base or Fraction(1, last.sample_rate)
        frames = []
        for number, start in enumerate(range(0, len(rest), size), start=1):
            step = Fraction(number * size, last.sample_rate) / Fraction(base.numerator, base.denominator)
            frames.append(_frame(rest[start : start + size], last, None if last.pts is None else last.pts + int(step)))
        return frames


def _frame(samples: Array, like: AudioFrame, pts: int | None) -> AudioFrame:
    """A frame of samples, (frames, channels), of another one's form."""
    rows = samples.T if like.format.is_planar else samples.reshape(1, -1)
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(rows), format=like.format.name, layout=like.layout.name)
    frame.sample_rate, frame.pts, frame.time_base = like.sample_rate, pts, like.time_base
    return frame
