"""LiveKit: a FrameProcessor for `AudioInputOptions(noise_cancellation=...)` of an agent, and for any AudioStream."""

from __future__ import annotations

import numpy as np
from livekit import rtc

from denoise_wrapper.denoiser import Denoiser
from denoise_wrapper.integrations.cleaner import Cleaner, Cleaning

PROBABILITY = "denoise_wrapper.speech_probability"  # where a frame's userdata has it


class Denoise(Cleaning, rtc.FrameProcessor[rtc.AudioFrame]):
    """Cleans the frames of a track, late by a constant.

        room_options = RoomOptions(audio_input=AudioInputOptions(noise_cancellation=Denoise(Denoiser(preset="voice"))))

    denoiser: a Denoiser, or the name of a backend. enabled: False begins with the noisy sound. latency_s: s by which
    frames are late at least, which leaves room to switch to a slower backend.

    One serves one track at a time; another track begins anew. Each cleaned frame has the probability of speech as
    `userdata[PROBABILITY]`, if the backend gives one. It can be pickled.
    """

    def __init__(self, denoiser: Denoiser | str = "rnnoise", *, enabled: bool = True, latency_s: float = 0.0) -> None:
        self._cleaner = Cleaner(denoiser, enabled=enabled, latency_s=latency_s)

    @property
    def enabled(self) -> bool:
        """Always True. Setting it to False passes the noisy sound, as late as the clean one, and True cleans again.

        A stream hands no frame to a processor that says False: the sound would jump ahead by the latency. `cleans`
        tells which of the two is heard.
        """
        return True

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._cleaner.enabled = bool(value)

    def flush(self) -> rtc.AudioFrame | None:
        """Return the rest of a track that has ended, as a frame; None if there is none. The next begins anew."""
        form = self._cleaner.form
        if form is None:
            return None
        rest = self._cleaner.flush()
        return rtc.AudioFrame(rest.tobytes(), form.rate, form.channels, len(rest))

    def _process(self, frame: rtc.AudioFrame) -> rtc.AudioFrame:
        samples = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
        samples = samples[: frame.samples_per_channel]  # a frame may have more bytes than it says
        cleaned = self._cleaner.process(samples, frame.sample_rate)
        told = {} if self.probability is None else {PROBABILITY: self.probability}
        userdata = {**frame.userdata, **told}
        return rtc.AudioFrame(cleaned.tobytes(), frame.sample_rate, frame.num_channels, len(cleaned), userdata=userdata)

    def _on_stream_info_updated(self, **_: str) -> None:
        self._cleaner.reset()

    def _on_stream_info_cleared(self) -> None:
        self._cleaner.reset()

    def _close(self) -> None:
        self._cleaner.reset()
