"""Mixtures as files, in the layout of the DNS Challenge: to listen to, to train other programs with, to score."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from denoise_wrapper.atomic import scratch
from denoise_wrapper.errors import ConfigError, ExistingFileError
from denoise_wrapper.progress import tracked
from denoise_wrapper.training.config import MixConfig, Range
from denoise_wrapper.training.data.corpus import Corpus, read_rooms, read_sources
from denoise_wrapper.training.mix.filters import run_room
from denoise_wrapper.training.mix.mixing import Mixer, draw, fit, peak, rms

Float32 = NDArray[np.float32]
PAUSE_S = 0.2  # between recordings of a voice
PARTS = ("clean", "noise", "noisy")
HIGHEST = 0.99  # a mixture that would pass it is turned down, and so is its level


@dataclass(frozen=True)
class Mixture:
    """A clip: noisy = clean + noise, float32 (n,). voice: who speaks. level_db: dBFS, of noisy."""

    noisy: Float32
    clean: Float32
    noise: Float32
    voice: str
    snr_db: int
    level_db: int

    def names(self, number: int) -> dict[str, str]:
        """The names of its three files."""
        voice = re.sub(r"[^\w.-]+", "-", self.voice).strip("-.") or "voice"
        noisy = f"{voice}_snr{self.snr_db}_tl{self.level_db}_fileid_{number}.wav"
        return {"clean": f"clean_fileid_{number}.wav", "noise": f"noise_fileid_{number}.wav", "noisy": noisy}


@dataclass(frozen=True)
class MixtureSettings:
    """How clips are mixed. Ranges are drawn from uniformly, in whole dB."""

    seconds: float = 10.0  # a clip
    rate: int = 48000  # Hz
    snr_db: Range = (0.0, 20.0)  # ratio of the mean powers of speech and noise
    level_db: Range = (-35.0, -15.0)  # dBFS, RMS of the mixture
    room_share: float = 0.0  # of the clips, whose speech is put into a room; it counts as clean there
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0.1 <= self.seconds <= 3600.0:
            raise ConfigError(f"a clip lasts 0.1 to 3600 seconds, not {self.seconds:g}")
        if not 8000 <= self.rate <= 192000 or self.rate % 100:
            raise ConfigError(f"the rate is 8000 to 192000 Hz, a multiple of 100, not {self.rate}")
        for name, words in (("snr_db", "the ratio"), ("level_db", "the level")):
            low, high = getattr(self, name)
            if not -100.0 <= low <= high <= 100.0:
                raise ConfigError(f"{words} is from a lowest to a highest value in dB, not {low:g} to {high:g}")
        if not 0.0 <= self.room_share <= 1.0:
            raise ConfigError(f"the share of clips in rooms is 0 to 1, not {self.room_share:g}")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"the seed is a whole number from 0 to 2^63 - 1, not {self.seed}")


def write_mixtures(
    speech: Sequence[Path],
    noise: Sequence[Path],
    rooms: Sequence[Path],
    target: Path,
    clips: int,
    settings: MixtureSettings,
) -> float:
    """Write clips into target/clean, target/noise and target/noisy, 16-bit WAV; returns their hours.

    speech, noise: folders, tables or single files. rooms: folders of impulse responses; without any, those of
    room_share are simulated. The same folders and settings give the same files.
    Raises ConfigError, DataError for audio that cannot be used, FileError if target exists or cannot be written.
    """
    if clips < 1:
        raise ConfigError(f"the number of clips is 1 or more, not {clips}")
    if target.exists():
        raise ExistingFileError(f"{target} exists; name a folder that does not")
    with scratch(target) as folder:
        voices = read_sources(tuple(speech), settings.rate, folder, "speech")
        noises = read_sources(tuple(noise), settings.rate, folder, "noise")
        responses = tuple(response for path in rooms for response in read_rooms(path, settings.rate))
        maker = Maker(Corpus(settings.rate, voices, noises, responses), settings)
        whole = folder / "mixtures"
        for part in PARTS:
            (whole / part).mkdir(parents=True)
        for number in tracked(range(clips), clips, f"mixing into {target.name}"):
            mixture = maker.mixture(number)
            for part, name in mixture.names(number).items():
                soundfile.write(whole / part / name, getattr(mixture, part), settings.rate, "PCM_16")
        whole.rename(target)
    return clips * settings.seconds / 3600.0


class Maker:
    """Makes mixtures by their numbers: each is the same whichever were made before it."""

    def __init__(self, corpus: Corpus, settings: MixtureSettings) -> None:
        shares = {item.name: 0.0 for item in fields(MixConfig) if item.name.endswith("_share")}
        shares["measured_room_share"] = 1.0
        self.settings = settings
        self.mixer = Mixer(corpus, MixConfig(clip_s=settings.seconds, **shares), settings.seed)  # type: ignore[arg-type]

    def mixture(self, number: int) -> Mixture:
        """Clip number number."""
        settings, mixer = self.settings, self.mixer
        rng = np.random.default_rng([settings.seed, number])
        clean, voice = self.speech(rng)
        if rng.uniform() < settings.room_share:
            clean = run_room(clean, mixer.room(rng))
        noise = mixer.one_noise(rng)[0]
        snr_db, level_db = (int(np.rint(rng.uniform(*span))) for span in (settings.snr_db, settings.level_db))
        noise *= np.float32(rms(clean) / max(rms(noise), 1e-9) * 10.0 ** (-snr_db / 20.0))
        noisy = clean + noise
        scale = 10.0 ** (level_db / 20.0) / max(rms(noisy), 1e-9)
        highest = scale * max(peak(noisy), peak(clean), peak(noise))
        if highest > HIGHEST:
            scale *= HIGHEST / highest
            level_db = int(np.rint(20.0 * np.log10(scale * rms(noisy))))
        clean, noise = (part * np.float32(scale) for part in (clean, noise))
        return Mixture(clean + noise, clean, noise, voice, snr_db, level_db)

    def speech(self, rng: np.random.Generator) -> tuple[Float32, str]:
        """Recordings of one voice, one after the other, and its name."""
        mixer = self.mixer
        source = mixer.corpus.voices[draw(rng, mixer.voice_odds)]
        pieces: list[Float32] = []
        length, pause = 0, np.zeros(round(PAUSE_S * mixer.rate), np.float32)
        while length < mixer.length:
            recording = source.recordings[rng.integers(len(source.recordings))]
            pieces += [mixer.read_segment(rng, recording, mixer.length - length)[0], pause]
            length += len(pieces[-2]) + len(pause)
        return fit(np.concatenate(pieces), mixer.length), source.name
