"""pipecat: an audio filter for a transport's input, and a voice detector that asks the filter."""

from __future__ import annotations

import numpy as np
from pipecat.audio.filters.base_audio_filter import BaseAudioFilter
from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADParams
from pipecat.frames.frames import FilterControlFrame, FilterEnableFrame, FilterUpdateSettingsFrame

from denoise_wrapper.audio import check_channels, check_rate
from denoise_wrapper.denoiser import Denoiser
from denoise_wrapper.errors import ConfigError
from denoise_wrapper.integrations.cleaner import Cleaner, Cleaning


class DenoiseFilter(Cleaning, BaseAudioFilter):
    """Cleans what a transport hears, late by a constant: as many bytes out as in.

        TransportParams(audio_in_enabled=True, audio_in_filter=DenoiseFilter(Denoiser(preset="voice")))

    denoiser: a Denoiser, or the name of a backend. channels: as the transport's audio_in_channels. enabled: False
    begins with the noisy sound. latency_s: s by which the sound is late at least, which leaves room to switch to a
    slower backend.

    A FilterEnableFrame goes over between the clean sound and the noisy one, which is as late; a
    FilterUpdateSettingsFrame changes "enabled", "backend", "preset" and "atten_lim_db". It can be pickled.
    """

    def __init__(
        self,
        denoiser: Denoiser | str = "rnnoise",
        *,
        channels: int = 1,
        enabled: bool = True,
        latency_s: float = 0.0,
    ) -> None:
        self._cleaner = Cleaner(denoiser, enabled=enabled, latency_s=latency_s)
        self._channels, self._rate, self._odd = check_channels(channels), 0, b""

    async def start(self, sample_rate: int) -> None:
        """Begin a session. sample_rate: Hz."""
        self._rate, self._odd = check_rate(sample_rate), b""
        self._cleaner.reset()

    async def stop(self) -> None:
        """End the session; what was still to come is forgotten: `flush` gives it before."""
        self._rate, self._odd = 0, b""
        self._cleaner.reset()

    async def process_frame(self, frame: FilterControlFrame) -> None:
        """Do what a control frame asks for. Raises ConfigError for settings that there are not."""
        if isinstance(frame, FilterEnableFrame):
            self._cleaner.update({"enabled": frame.enable})
        elif isinstance(frame, FilterUpdateSettingsFrame):
            self._cleaner.update(frame.settings)

    async def filter(self, audio: bytes) -> bytes:
        """Clean the next int16 samples, interleaved. Returns as many bytes: what came `latency` samples ago."""
        if not self._rate:
            raise ConfigError("the filter has not been started, so the rate of the sound is not known; await start()")
        width = 2 * self._channels
        data = self._odd + audio if self._odd else audio
        whole = len(data) // width * width
        self._odd = data[whole:]
        samples = np.frombuffer(data, np.int16, whole // 2).reshape(-1, self._channels)
        return self._cleaner.process(samples, self._rate).tobytes()

    def flush(self) -> bytes:
        """Return the last `latency` samples of a channel, to be pushed before the end; what comes then begins anew.

        A transport asks no filter for its rest. Where nothing follows an utterance, push the rest as a frame of its
        own.
        """
        return self._cleaner.flush().tobytes()


class FilterVAD(VADAnalyzer):
    """A voice detector that takes the probability of speech from a DenoiseFilter, which knows it already.

    denoise: the filter of the same transport; its backend gives a probability, as rnnoise does. params: thresholds.
    """

    def __init__(
        self, denoise: DenoiseFilter, *, sample_rate: int | None = None, params: VADParams | None = None
    ) -> None:
        super().__init__(sample_rate=sample_rate, params=params)
        self._denoise = denoise

    def num_frames_required(self) -> int:
        """Samples of 10 ms."""
        return self.sample_rate // 100

    def voice_confidence(self, buffer: bytes) -> float:
        """The probability of speech in what the filter heard last, 0 to 1; the buffer is not looked at."""
        return self._denoise.probability or 0.0
