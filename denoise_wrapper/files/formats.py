"""Formats of audio files: what a target becomes, decided from facts about its source and its name alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from denoise_wrapper.errors import ConfigError

# Suffixes that libsndfile reads, and those that another decoder is needed for. A folder is searched for both; a file
# that is named is tried whatever its suffix.
SOUNDFILE_SUFFIXES = """
    .8svx .aif .aifc .aiff .au .bwf .caf .flac .mp3 .oga .ogg .opus .rf64 .snd .voc .w64 .wav .wave
""".split()
MEDIA_SUFFIXES = """
    .3gp .aac .ac3 .amr .avi .eac3 .m4a .m4b .mka .mkv .mov .mp2 .mp4 .mpg .ogv .spx .ts .tta .webm .wma .wv
""".split()
SUFFIXES = sorted(SOUNDFILE_SUFFIXES + MEDIA_SUFFIXES)
# How the samples of a libsndfile subtype are best read and written, so that nothing is lost or scaled; else float32.
_TYPES = {
    "PCM_S8": "int16", "PCM_U8": "int16", "PCM_16": "int16", "ULAW": "int16", "ALAW": "int16", "ALAC_16": "int16",
    "PCM_24": "int32", "PCM_32": "int32", "ALAC_20": "int32", "ALAC_24": "int32", "ALAC_32": "int32",
    "DOUBLE": "float64",
}  # fmt: skip
_SUFFIXES = {"AIF": "AIFF", "AIFC": "AIFF", "OGA": "OGG", "OPUS": "OGG", "WAVE": "WAV", "SND": "AU", "BWF": "WAV"}
_WAV_MAX = 4_000_000_000  # bytes; beyond this only RF64 can tell the length


@dataclass(frozen=True)
class Facts:
    """An audio file as it was opened.

    rate: Hz. total: frames, 0 if not known. size: bytes. format, subtype, endian: in libsndfile's words; None for a
    file that another decoder reads, but for the subtype that holds its samples without loss. bit_rate: bit/s of a lossy
    track alone, None where the size tells.
    """

    path: Path
    rate: int
    channels: int
    total: int
    size: int = 0
    format: str | None = None
    subtype: str | None = None
    endian: str | None = None
    bit_rate: int | None = None


@dataclass(frozen=True)
class Wishes:
    """What is asked of a target beyond its name; None for what the source has.

    codec: FFmpeg's name, such as aac, alac, flac, libopus. bit_rate: bit/s of the whole track. quality: 0 to 1, the
    best; the bit rate varies. subtype: libsndfile's name, such as PCM_24. track: the audio tracks that are cleaned:
    "all", a number from 1, or a language as the file has it. damaged: "stop", "skip" or "keep".
    """

    codec: str | None = None
    bit_rate: int | None = None
    quality: float | None = None
    subtype: str | None = None
    track: str = "all"
    damaged: str = "stop"

    def __post_init__(self) -> None:
        if self.damaged not in ("stop", "skip", "keep"):
            raise ConfigError(f"damaged is 'stop', 'skip' or 'keep', not {self.damaged!r}")
        if self.quality is not None and not 0 <= self.quality <= 1:
            raise ConfigError(f"quality is 0 to 1, the best, not {self.quality!r}")
        if self.bit_rate is not None and not 500 <= self.bit_rate <= 10_000_000:
            raise ConfigError(f"a bit rate is 500 to 10000000 bit/s, not {self.bit_rate!r}")


def sample_type(subtype: str | None) -> str:
    """Name the NumPy type in which samples of a libsndfile subtype lose nothing and are not scaled."""
    return _TYPES.get(subtype or "", "float32")


def format_of(path: Path) -> str | None:
    """Name the libsndfile format that a suffix means; None if there is none."""
    import soundfile

    suffix = path.suffix[1:].upper()
    name = _SUFFIXES.get(suffix, suffix)
    return name if name in soundfile.available_formats() and name != "RAW" else None


def bit_rate_options(facts: Facts, subtype: str | None) -> dict[str, Any]:
    """Settings with which a lossy file takes about as many bits as the lossy source had; none for other files.

    MP3 and Opus aim at that bit rate (a constant one would leave low-rate MP3 no room to tell its length); Vorbis is
    told a quality, whose bit rate grows about with its square.
    """
    if facts.subtype != subtype or not facts.total:
        return {}
    kbit_s = facts.size * 8e-3 * facts.rate / facts.total
    each = kbit_s / facts.channels
    if subtype == "MPEG_LAYER_III":
        most, least = (320, 32) if facts.rate >= 32000 else (160, 8)
        level = (most - kbit_s) / (most - least)
    elif subtype == "OPUS":
        level = 1 - (each - 6) / 250
    elif subtype == "VORBIS":
        level = 1 - (each / 256) ** 0.5
    else:
        return {}
    mode = {"bitrate_mode": "AVERAGE"} if subtype == "MPEG_LAYER_III" else {}
    return {"compression_level": min(max(level, 0.0), 0.95), **mode}  # 1 is refused at some rates


def choose_format(dst: Path, facts: Facts) -> tuple[str, str | None, str | None]:
    """Choose (format, subtype, endian) for dst: those of the source as far as the suffix of dst allows."""
    import soundfile

    form = format_of(dst)
    wishes: list[str] = []
    if facts.format is not None and facts.subtype is not None:
        if form is None or form == format_of(facts.path) or form == facts.format:
            return facts.format, facts.subtype, facts.endian
        plain = facts.subtype.startswith("PCM") or facts.subtype in ("FLOAT", "DOUBLE", "ULAW", "ALAW")
        wide = plain and sample_type(facts.subtype) != "int16"
        wishes = [facts.subtype, "PCM_24"] if wide else [facts.subtype] * plain
    assert form is not None
    if dst.suffix.lower() == ".opus":
        wishes = ["OPUS"]
    subtype = next((wish for wish in wishes if soundfile.check_format(form, wish)), soundfile.default_subtype(form))
    width = np.dtype(sample_type(subtype)).itemsize
    if form == "WAV" and facts.total * facts.channels * width > _WAV_MAX:
        form = "RF64"
    return form, subtype, None
