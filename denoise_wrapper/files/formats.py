"""Formats of audio files: what a target becomes, decided from facts about its source and its name alone."""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from denoise_wrapper.errors import ConfigError
from denoise_wrapper.wording import listed

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
# Names of codecs, as FFmpeg's and people's, that libsndfile has as a subtype.
_CODECS = {
    "mp3": "MPEG_LAYER_III", "libmp3lame": "MPEG_LAYER_III", "vorbis": "VORBIS", "libvorbis": "VORBIS", "opus": "OPUS",
    "libopus": "OPUS", "pcm_mulaw": "ULAW", "pcm_alaw": "ALAW", "adpcm_ms": "MS_ADPCM", "adpcm_ima_wav": "IMA_ADPCM",
    "gsm": "GSM610",
}  # fmt: skip
_CODED = {"FLAC", "OGG", "MP3"}  # formats that hold one kind of codec
_LOSSY = {"MPEG_LAYER_III", "VORBIS", "OPUS"}
_SETUP = 1500  # bytes of Vorbis's tables that tell one quality from another
_WAV_MAX = 4_000_000_000  # bytes; beyond this only RF64 can tell the length


@dataclass(frozen=True)
class Facts:
    """An audio file as it was opened.

    rate: Hz. total: frames, 0 if not known. size: bytes. format, subtype, endian: in libsndfile's words; None for a
    file that another decoder reads, but for the subtype that holds its samples without loss. bit_rate: bit/s of a lossy
    track alone, None where the size tells. constant: all frames of an MP3 have one bit rate. level: libsndfile's
    compression level, 0 to 1, of the quality at which an MP3 was made, None if that is not known. setup: the first
    bytes of the header of Vorbis that holds its tables, where the others name no bit rate.
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
    constant: bool = False
    level: float | None = None
    setup: bytes = b""


class WishWords(TypedDict, total=False):
    """The fields of `Wishes` as arguments of a call."""

    codec: str | None
    bit_rate: int | None
    quality: float | None
    subtype: str | None
    track: str
    damaged: str


@dataclass(frozen=True)
class Wishes:
    """What is asked of a target beyond its name; None for what the source has.

    codec: FFmpeg's name, such as aac, alac, flac, opus. bit_rate: bit/s of the whole track. quality: 0 to 1, the
    best; the bit rate varies. subtype: libsndfile's name, such as PCM_24. track: the audio tracks that are cleaned:
    "all", a number from 1, or a language as the file has it; the others go through. damaged: "stop" refuses what is
    damaged, "skip" leaves out what is gone, "keep" puts silence there.
    Raises ConfigError for what is out of range.
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
        if self.bit_rate is not None and self.quality is not None:
            raise ConfigError(
                "a bit rate is asked for and a quality, of which each decides the other; give one of them"
            )

    @property
    def lossy(self) -> bool:
        """Tell if what only a lossy codec has is asked for."""
        return self.bit_rate is not None or self.quality is not None


def sample_type(subtype: str | None) -> str:
    """Name the NumPy type in which samples of a libsndfile subtype lose nothing and are not scaled."""
    return _TYPES.get(subtype or "", "float32")


def format_of(path: Path) -> str | None:
    """Name the libsndfile format that a suffix means; None if there is none."""
    suffix = path.suffix[1:].upper()
    name = _SUFFIXES.get(suffix, suffix)
    return name if name in _known_formats() and name != "RAW" else None


@functools.cache  # libsndfile is asked some fifty times for it
def _known_formats() -> frozenset[str]:
    import soundfile

    return frozenset(soundfile.available_formats())


def bit_rate_options(facts: Facts, subtype: str | None, wishes: Wishes) -> dict[str, Any]:
    """Settings with which a lossy file takes as many bits as are asked for, or as the lossy source had.

    None for other files. MP3 has the mode of the source, constant, an average or the quality that its header tells, and
    Opus aims at a bit rate; of Vorbis the quality is chosen at which its encoder names the same nominal bit rate.
    """
    if subtype not in ("MPEG_LAYER_III", "OPUS", "VORBIS"):
        return {}
    if wishes.quality is not None:
        mode = {"bitrate_mode": "VARIABLE"} if subtype == "MPEG_LAYER_III" else {}
        return {"compression_level": min(max(1 - wishes.quality, 0.0), 0.95), **mode}
    rate = wishes.bit_rate
    if rate is None:
        if facts.subtype != subtype or not facts.total:
            return {}
        if subtype == "MPEG_LAYER_III" and facts.level is not None:
            return {"compression_level": min(facts.level, 0.95), "bitrate_mode": "VARIABLE"}
        rate = facts.bit_rate or round(8 * facts.size * facts.rate / facts.total)
    if subtype == "MPEG_LAYER_III":
        most, least = (320, 32) if facts.rate >= 32000 else (160, 8) if facts.rate >= 16000 else (64, 8)
        level = (most - rate / 1000) / (most - least)
        constant = facts.constant or wishes.bit_rate is not None
        return {
            "compression_level": min(max(level, 0.0), 0.999 if constant else 0.95),
            "bitrate_mode": "CONSTANT" if constant else "AVERAGE",
        }
    if subtype == "OPUS":
        level = 1 - (rate / 1000 / facts.channels - 6) / 250
    else:
        known = _vorbis_setups(facts.rate, facts.channels).get(facts.setup) if facts.setup else None
        level = known if known is not None else vorbis_level(rate, facts.rate, facts.channels)
    return {"compression_level": min(max(level, 0.0), 1.0 if subtype == "VORBIS" else 0.95)}


@functools.lru_cache(maxsize=16)
def _vorbis_setups(rate: int, channels: int) -> dict[bytes, float]:
    """The compression levels of Vorbis's qualities, 10 to 0, by the tables that each has in its header."""
    levels = {}
    for tenths in range(11):
        setup = vorbis_setup(_empty_vorbis(tenths / 10, rate, channels))
        levels[setup] = tenths / 10
    return levels


def vorbis_setup(data: bytes) -> bytes:
    """The beginning of the header with tables, in some bytes of a file of Vorbis; empty if it is not there."""
    at = data.find(b"\x05vorbis")
    return data[at : at + _SETUP] if at >= 0 else b""


@functools.lru_cache(maxsize=64)
def vorbis_level(nominal: int, rate: int, channels: int) -> float:
    """Find the compression level, 0 to 1, at which the encoder of Vorbis names a nominal bit rate in bit/s.

    rate: Hz. The nearest one, where the encoder has none that low or high.
    """
    low, high = 0.0, 1.0  # the best and the worst
    for _ in range(16):
        middle = (low + high) / 2
        named = vorbis_nominal_of(middle, rate, channels)
        if named is None:
            return 0.5
        if named == nominal:
            return middle
        low, high = (middle, high) if named > nominal else (low, middle)
    return (low + high) / 2


def vorbis_nominal_of(level: float, rate: int, channels: int) -> int | None:
    """Bit rate that Vorbis of a compression level, 0 to 1, names in its header; None if there can be none."""
    return vorbis_nominal(_empty_vorbis(level, rate, channels))


def _empty_vorbis(level: float, rate: int, channels: int) -> bytes:
    """A Vorbis file of that level without sound; empty if there can be none."""
    import soundfile

    file = io.BytesIO()
    try:
        with soundfile.SoundFile(file, "w", rate, channels, "VORBIS", format="OGG", compression_level=level):
            pass
    except (soundfile.LibsndfileError, ValueError):
        return b""
    return file.getvalue()


def vorbis_nominal(data: bytes) -> int | None:
    """The nominal bit rate in bit/s that a header of Vorbis in some bytes names; None if there is none."""
    at = data.find(b"\x01vorbis")
    nominal = int.from_bytes(data[at + 20 : at + 24], "little", signed=True) if at >= 0 else 0
    return nominal if nominal > 0 else None


def choose_format(dst: Path, facts: Facts, wishes: Wishes) -> tuple[str, str | None, str | None]:
    """Choose (format, subtype, endian) for dst: those asked for, else the source's as far as the suffix allows.

    Raises ConfigError if what is asked for cannot be had in the format.
    """
    import soundfile

    form = format_of(dst)
    asked = _asked_subtype(dst, form if form is not None else facts.format, wishes)
    liked: list[str] = []
    if facts.format is not None and facts.subtype is not None:
        if form is None or form == format_of(facts.path) or form == facts.format:
            if asked is None:
                _check_lossy(dst, facts.subtype, wishes)
                return facts.format, facts.subtype, facts.endian
            form = facts.format
        plain = facts.subtype.startswith("PCM") or facts.subtype in ("FLOAT", "DOUBLE", "ULAW", "ALAW")
        wide = plain and sample_type(facts.subtype) != "int16"
        liked = [facts.subtype, "PCM_24"] if wide else [facts.subtype] * plain
    elif facts.subtype is not None:
        liked = [facts.subtype, "PCM_24"]
    assert form is not None
    if asked is not None:
        if not soundfile.check_format(form, asked):
            raise ConfigError(f"{dst}: {form} holds {listed(sorted(soundfile.available_subtypes(form)))}, not {asked}")
        liked = [asked]
    elif dst.suffix.lower() == ".opus":
        liked = ["OPUS"]
    subtype = next((each for each in liked if soundfile.check_format(form, each)), soundfile.default_subtype(form))
    _check_lossy(dst, subtype, wishes)
    width = np.dtype(sample_type(subtype)).itemsize
    if form == "WAV" and facts.total * facts.channels * width > _WAV_MAX:
        form = "RF64"
    return form, subtype, None


def _check_lossy(dst: Path, subtype: str | None, wishes: Wishes) -> None:
    """Refuse a bit rate or a quality where there is none."""
    if wishes.lossy and subtype not in _LOSSY:
        asked = "bit rate" if wishes.quality is None else "quality"
        raise ConfigError(f"{dst} is to be {subtype}, which has no {asked}; name a target .m4a, .mp3, .ogg or .opus")


def _asked_subtype(dst: Path, form: str | None, wishes: Wishes) -> str | None:
    """Name the libsndfile subtype that is asked for. Raises ConfigError if the codec is none of the format's."""
    if wishes.codec is None:
        return None if wishes.subtype is None else wishes.subtype.upper()
    if (wishes.codec == "flac" and form == "FLAC") or (wishes.codec == "pcm" and form not in _CODED):
        return None if wishes.subtype is None else wishes.subtype.upper()
    if wishes.codec not in _CODECS:
        may = ["mp3"] if form == "MP3" else ["vorbis", "opus", "flac"] if form == "OGG" else ["flac"]
        may = may if form in _CODED else ["pcm", *(name for name in _CODECS if "_" in name)]
        raise ConfigError(f"{dst} cannot hold {wishes.codec}; it may be {listed(may)}")
    return _CODECS[wishes.codec]
