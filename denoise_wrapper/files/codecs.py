"""Tracks that FFmpeg writes: the container and the encoding of a target, decided from facts and wishes alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from denoise_wrapper.errors import FileError
from denoise_wrapper.files.formats import Facts, Wishes, format_of, vorbis_nominal_of
from denoise_wrapper.wording import count, listed


@dataclass(frozen=True)
class TrackFacts:
    """An audio track as it was opened.

    codec: FFmpeg's name of the format. rate: Hz. sample: FFmpeg's packed sample type, such as "s16". depth: bits of a
    sample, None of a lossy codec. bit_rate: bit/s, None if not known. constant: all packets have one size.
    """

    codec: str
    rate: int
    channels: int
    sample: str
    depth: int | None = None
    bit_rate: int | None = None
    constant: bool = False

    @property
    def lossy(self) -> bool:
        return self.depth is None


@dataclass(frozen=True)
class TrackPlan:
    """An audio track as it is to be encoded.

    encoder: FFmpeg's name. sample: its packed sample type. depth: bits to which integers are rounded, None for lossy
    codecs and floats. bit_rate: bit/s, None where the codec decides. options: of the encoder.
    """

    encoder: str
    sample: str
    depth: int | None = None
    bit_rate: int | None = None
    options: tuple[tuple[str, str], ...] = ()

    def describe(self) -> str:
        """Put into words, as in "aac, 128 kbit/s" or "alac, 24 bit"."""
        parts = [self.encoder]
        if self.depth is not None:
            parts.append(f"{self.depth} bit{' float' if self.sample in ('flt', 'dbl') else ''}")
        if self.bit_rate is not None:
            parts.append(f"{self.bit_rate / 1000:.3g} kbit/s")
        return ", ".join([*parts, *(f"{name} {value}" for name, value in self.options)])


# FFmpeg's muxer for a suffix, the codec there of what was lossless, and of what was lossy; None where there is none.
_MUXERS: dict[str, tuple[str, str | None, str | None]] = {
    ".m4a": ("mp4", "alac", "aac"), ".m4b": ("mp4", "alac", "aac"), ".mp4": ("mp4", "alac", "aac"),
    ".m4v": ("mp4", "alac", "aac"), ".mov": ("mov", "alac", "aac"), ".3gp": ("3gp", None, "aac"),
    ".mkv": ("matroska", "flac", "libopus"), ".mka": ("matroska", "flac", "libopus"),
    ".webm": ("webm", None, "libopus"), ".wma": ("asf", None, "wmav2"), ".asf": ("asf", None, "wmav2"),
    ".wmv": ("asf", None, "wmav2"), ".avi": ("avi", "pcm_s16le", "libmp3lame"), ".aac": ("adts", None, "aac"),
    ".ts": ("mpegts", None, "aac"), ".m2ts": ("mpegts", None, "ac3"), ".mts": ("mpegts", None, "ac3"),
    ".mpg": ("mpeg", None, "mp2"), ".mpeg": ("mpeg", None, "mp2"), ".vob": ("vob", None, "ac3"),
    ".flv": ("flv", None, "aac"), ".ac3": ("ac3", None, "ac3"), ".eac3": ("eac3", None, "eac3"),
    ".mp2": ("mp2", None, "mp2"), ".tta": ("tta", "tta", None), ".wv": ("wv", "wavpack", None),
    ".amr": ("amr", None, "libopencore_amrnb"), ".nut": ("nut", "flac", "libopus"), ".spx": ("ogg", None, None),
    ".ogv": ("ogg", "flac", "libopus"),
}  # fmt: skip
AUDIO_ONLY = {".aac", ".ac3", ".amr", ".eac3", ".m4a", ".m4b", ".mka", ".mp2", ".spx", ".tta", ".wma", ".wv"}
# The muxer that writes what a demuxer reads, where the suffix does not say.
_SAME = {
    "mov,mp4,m4a,3gp,3g2,mj2": "mp4", "matroska,webm": "matroska", "aac": "adts", "mpeg": "mpeg", "mp3": "mp3",
}  # fmt: skip
_UNWRITABLE = {
    "ape",
    "dsf",
    "iff",
    "mpc",
    "mpc8",
    "tak",
    "shn",
    "wtv",
    "loas",
    "qcp",
    "nistsphere",
    "dtshd",
    "dts",
    "mlp",
}
# Codecs that a muxer keeps when the source is in another container.
_KEEPS = {
    "mp4": {"aac", "alac", "ac3", "eac3", "flac", "mp3", "opus"},
    "mov": {"aac", "alac", "ac3", "eac3", "mp3"}, "webm": {"opus", "vorbis"},
    "matroska": {"aac", "ac3", "alac", "eac3", "flac", "mp2", "mp3", "opus", "tta", "vorbis", "wavpack"},
    "nut": {"aac", "ac3", "eac3", "flac", "mp2", "mp3", "opus"}, "asf": {"wmav1", "wmav2"},
    "avi": {"mp3", "mp2", "ac3"},
    "adts": {"aac"}, "mpegts": {"aac", "ac3", "eac3", "mp2", "opus"}, "flv": {"aac", "mp3"}, "3gp": {"aac", "amr_nb"},
    "mpeg": {"mp2", "ac3"}, "vob": {"mp2", "ac3"},
}  # fmt: skip
# Codec -> FFmpeg's encoder, where it has another name.
_ENCODERS = {
    "mp3": "libmp3lame", "opus": "libopus", "amr_nb": "libopencore_amrnb", "aac_latm": "aac", "adpcm_g722": "g722",
    "adpcm_g726": "g726", "adpcm_g726le": "g726le",
}  # fmt: skip
_LOSSY_ENCODERS = {
    "aac", "libmp3lame", "libopus", "mp2", "ac3", "eac3", "wmav1", "wmav2", "libopencore_amrnb", "g722",
    "adpcm_ima_wav", "adpcm_ima_qt", "adpcm_ms", "adpcm_yamaha", "adpcm_swf", "adpcm_adx", "pcm_mulaw", "pcm_alaw",
    "g726", "nellymoser", "vorbis", "sbc",
}  # fmt: skip
_LOSSLESS_ENCODERS = {"alac", "flac", "tta", "wavpack"}
_OPUS_RATES = {8000, 12000, 16000, 24000, 48000}
_MP3_RATES = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000}
_RATES = {
    "libopus": _OPUS_RATES, "libmp3lame": _MP3_RATES, "mp2": _MP3_RATES - {8000, 11025, 12000},
    "ac3": {32000, 44100, 48000}, "eac3": {32000, 44100, 48000}, "libopencore_amrnb": {8000}, "g722": {16000},
    "aac": {7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000},
}  # fmt: skip
_CHANNELS = {"libmp3lame": 2, "mp2": 2, "wmav1": 2, "wmav2": 2, "ac3": 6, "eac3": 6, "libopencore_amrnb": 1, "g722": 1,
             "adpcm_ima_wav": 2, "adpcm_ms": 2, "alac": 8, "flac": 8}  # fmt: skip
_KBIT_MP2 = (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
# bit/s of AMR's modes as files have them, and as the encoder is asked for them.
_AMR = {5200: 4750, 5600: 5150, 6400: 5900, 7200: 6700, 8000: 7400, 8400: 7950, 10800: 10200, 12800: 12200}
_BY_QUALITY = {"libmp3lame", "libopus", "aac", "vorbis"}  # lossy encoders that know more than a bit rate
_FIXED = ("pcm_", "adpcm", "g722")  # beginnings of the names of encoders whose rate and depth tell the bit rate
_PCM = {
    "u8": 8,
    "s8": 8,
    "s16": 16,
    "u16": 16,
    "s24": 24,
    "u24": 24,
    "s32": 32,
    "u32": 32,
    "s64": 64,
    "f32": 32,
    "f64": 64,
}


def lossless_depth(codec: str, sample: str, extradata: bytes) -> int | None:
    """Bits of a sample of a lossless codec, 32 or 64 for floats; None of a lossy codec.

    sample: the packed type it is decoded to. extradata: the codec's header, which names the depth of some.
    """
    wide = {"u8": 8, "s16": 16, "s32": 32, "s64": 64, "flt": 32, "dbl": 64}[sample]
    if codec.startswith("pcm_") and codec not in ("pcm_mulaw", "pcm_alaw"):
        return next((bits for name, bits in _PCM.items() if codec.startswith(f"pcm_{name}")), wide)
    if codec == "flac" and len(extradata) >= 14:
        return ((extradata[12] & 1) << 4 | extradata[13] >> 4) + 1
    if codec == "alac" and len(extradata) >= 18:
        return extradata[17]
    if codec == "tta" and len(extradata) >= 10:
        return extradata[8]
    if codec in ("flac", "alac", "tta", "wavpack", "ape", "tak", "truehd", "mlp", "wmalossless", "shorten"):
        return 24 if sample == "s32" else wide
    return None


def libsndfile_subtype(facts: TrackFacts) -> str | None:
    """Name the libsndfile subtype that holds a decoded track without loss; None for a lossy one."""
    if facts.depth is None:
        return None
    if facts.sample in ("flt", "dbl"):
        return "FLOAT" if facts.sample == "flt" else "DOUBLE"
    return "PCM_16" if facts.depth <= 16 else "PCM_24" if facts.depth <= 24 else "PCM_32"


def facts_of_subtype(facts: Facts) -> TrackFacts:
    """Describe a file that libsndfile reads as a track."""
    subtype = facts.subtype or ""
    depth = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 64}.get(subtype)
    if subtype.startswith("ALAC"):
        depth = int(subtype[5:])
    sample = {"FLOAT": "flt", "DOUBLE": "dbl"}.get(subtype, "s16" if depth is not None and depth <= 16 else "s32")
    codec = {"VORBIS": "vorbis", "OPUS": "opus", "MPEG_LAYER_III": "mp3"}.get(subtype, subtype.lower())
    rate = facts.bit_rate if depth is None else None
    kind = sample if depth is not None else "flt"
    return TrackFacts(codec, facts.rate, facts.channels, kind, depth, rate, facts.constant)


def same_container(dst: Path, src: Path) -> bool:
    """Tell if a target is to be in the container that came: its suffix is the source's, or it has none."""
    return dst.suffix.lower() in ("", src.suffix.lower())


def muxer_of(dst: Path, src: Path, form: str | None, codec: str = "", doctype: str | None = None) -> str | None:
    """Name FFmpeg's muxer for dst: that of the source where the suffix is the source's, else the suffix's.

    form: the demuxer that read the source, None for libsndfile. codec: of its first track. doctype: as
    `MediaSource` has it. None if dst is to be written by libsndfile. Raises FileError if nothing can write it.
    """
    suffix = dst.suffix.lower()
    if form is None:
        if suffix in _MUXERS:
            return _MUXERS[suffix][0]
        if format_of(dst) is None:
            raise FileError(f"{dst} has no suffix of a format that can be written; name it {_could()}")
        return None
    if not same_container(dst, src):
        if suffix in _MUXERS:
            return _MUXERS[suffix][0]
        if format_of(dst) is not None:
            return None
        raise FileError(f"{dst} has no suffix of a format that can be written; name it {_could()}")
    if form in _UNWRITABLE:
        raise FileError(f"{dst}: FFmpeg reads {form} and does not write it; name a target such as {_could()}")
    if form == "mp3" and codec in ("mp1", "mp2"):
        return "mp2"
    if form == "matroska,webm":
        return "webm" if doctype == "webm" else "matroska"
    if form.startswith("mov,"):
        brand = (doctype or "")[:2]
        of_brand = "mov" if brand == "qt" else "3gp" if brand == "3g" else "mp4"
        return _MUXERS[suffix][0] if suffix in (".m4a", ".m4b", ".mov", ".3gp") else of_brand
    return _SAME.get(form, form)


def plan_track(muxer: str, facts: TrackFacts, wishes: Wishes, same: bool, dst: Path) -> TrackPlan:
    """Decide how a cleaned track is encoded.

    muxer: FFmpeg's name of the container. same: whether it is the source's, so that the codec stays too. dst: for the
    message. Raises FileError if the codec cannot be encoded, or holds no such rate or number of channels.
    """
    encoder = wishes.codec or _encoder_of(muxer, facts, same, dst, wishes.lossy)
    encoder = _ENCODERS.get(encoder, encoder)
    if encoder not in _LOSSY_ENCODERS | _LOSSLESS_ENCODERS and not encoder.startswith("pcm_"):
        raise FileError(
            f"{dst}: FFmpeg decodes {encoder} and does not encode it, or not well; --codec chooses another, such as "
            f"opus or flac, where the container can hold it; else name a target such as {_could()}"
        )
    cannot = f"{dst}: {encoder} cannot hold {count(facts.channels, 'channel')} of {facts.rate} Hz"
    if encoder in _RATES and facts.rate not in _RATES[encoder]:
        rates = listed(str(rate) for rate in sorted(_RATES[encoder]))
        raise FileError(f"{cannot}, only {rates} Hz; name a target {_could()}, or --codec another")
    if facts.channels > _CHANNELS.get(encoder, 8):
        raise FileError(f"{cannot}, only {_CHANNELS.get(encoder, 8)}; name a target {_could()}, or --codec another")
    _check_wishes(encoder, wishes, dst)
    if encoder in _LOSSY_ENCODERS:
        return _lossy(encoder, facts, wishes)
    return _lossless(encoder, facts, wishes)


def _check_wishes(encoder: str, wishes: Wishes, dst: Path) -> None:
    """Refuse what an encoder has not, which would be passed over without a word."""
    lossy = encoder in _LOSSY_ENCODERS
    rated = lossy and not encoder.startswith(_FIXED)
    if (wishes.bit_rate is not None and not rated) or (wishes.quality is not None and encoder not in _BY_QUALITY):
        asked = "bit rate" if wishes.quality is None else "quality"
        raise FileError(f"{dst} is to be {encoder}, which has no {asked}; --codec chooses another, such as aac or opus")
    if wishes.subtype is None:
        return
    depths = {} if lossy or encoder.startswith("pcm_") else {"PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
    if encoder in ("alac", "tta"):
        depths.pop("PCM_32", None)
    if wishes.subtype.upper() not in depths:
        may = f"it may be {listed(depths)}" if depths else "the name of its codec says all"
        raise FileError(f"{dst} is to be {encoder}, which has no subtype {wishes.subtype}; {may}")


def _could() -> str:
    return ".flac, .wav or .mka"


def _encoder_of(muxer: str, facts: TrackFacts, same: bool, dst: Path, asked_lossy: bool) -> str:
    """The codec of a target for which none is named. asked_lossy: whether what only lossy ones have is asked for."""
    if asked_lossy and not facts.lossy:
        lossy = next((lossy for name, _, lossy in _MUXERS.values() if name == muxer), None)
        return lossy or facts.codec
    if same or facts.codec in _KEEPS.get(muxer, ()):
        return facts.codec
    lossless, lossy = next(codecs for name, *codecs in _MUXERS.values() if name == muxer)
    encoder = lossy if facts.lossy or lossless is None else lossless
    if encoder is None:
        raise FileError(f"{dst} would only grow by {lossless} from lossy {facts.codec}; --codec {lossless} does so")
    return encoder


def _lossy(encoder: str, facts: TrackFacts, wishes: Wishes) -> TrackPlan:
    sample = "s16" if encoder.startswith(("pcm_", "adpcm", "g72", "libopencore", "mp2")) else "flt"
    if wishes.quality is not None and encoder == "vorbis":
        return TrackPlan(encoder, sample, bit_rate=vorbis_nominal_of(1 - wishes.quality, facts.rate, facts.channels))
    if wishes.quality is not None:
        if encoder == "libmp3lame":
            return TrackPlan(
                encoder, sample, options=(("compression_level", "2"), ("global_quality", _lame(wishes.quality)))
            )
        return TrackPlan(encoder, sample, bit_rate=round(facts.channels * (16000 + 112000 * wishes.quality)))
    rate = wishes.bit_rate or (facts.bit_rate if facts.lossy else None)
    options: tuple[tuple[str, str], ...] = ()
    if rate is None:
        rate = {"libmp3lame": 80000, "libopus": 56000, "ac3": 96000, "eac3": 96000, "mp2": 96000}.get(encoder, 72000)
        rate *= facts.channels
    if encoder == "libmp3lame":
        options = () if facts.constant or facts.codec != "mp3" else (("abr", "1"),)
        rate = _nearest(rate, _mp3_rates(facts.rate)) if not options else rate
    elif encoder == "libopus":
        constant = facts.constant and facts.codec == "opus"
        options = (("vbr", "off" if constant else "constrained"),)
        rate = min(max(rate, 6000), 256000 * facts.channels)
    elif encoder == "mp2":
        rate = _nearest(rate, [1000 * each for each in _KBIT_MP2] if facts.rate >= 32000 else _mp3_rates(facts.rate))
    elif encoder == "libopencore_amrnb":
        rate = _AMR[_nearest(rate, _AMR)]
    elif encoder.startswith(_FIXED):
        rate = None
    return TrackPlan(encoder, sample, bit_rate=rate, options=options)


def _lossless(encoder: str, facts: TrackFacts, wishes: Wishes) -> TrackPlan:
    asked = {"PCM_16": 16, "PCM_24": 24, "PCM_32": 32}.get((wishes.subtype or "").upper())
    depth = asked or facts.depth or 16
    if encoder.startswith("pcm_"):
        bits = next((bits for name, bits in _PCM.items() if encoder.startswith(f"pcm_{name}")), 16)
        if encoder.startswith("pcm_f"):
            return TrackPlan(encoder, "flt" if bits == 32 else "dbl", bits)
        if bits == 64:
            return TrackPlan(encoder, "dbl", bits)
        return TrackPlan(encoder, "u8" if bits == 8 else "s16" if bits == 16 else "s32", bits)
    if facts.sample in ("flt", "dbl") and asked is None:
        if encoder == "wavpack":
            return TrackPlan(encoder, "flt", 32)
        depth = 24
    if encoder == "tta" and depth <= 8:
        return TrackPlan(encoder, "u8", 8)
    if depth <= 16:
        return TrackPlan(encoder, "s16", 16)
    most = 24 if encoder in ("alac", "tta") else 32
    depth = 24 if depth <= 24 else min(depth, most)
    options = [("bits_per_raw_sample", str(depth))]
    if encoder == "flac" and depth == 32:
        options.append(("strict", "experimental"))
    return TrackPlan(encoder, "s32", depth, options=tuple(options))


def _lame(quality: float) -> str:
    return str(round(118 * 9.9 * (1 - quality)))


def _mp3_rates(rate: int) -> list[int]:
    """Bit rates in bit/s that an MP3 of so many Hz may have."""
    if rate >= 32000:
        kbit = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]
    else:
        kbit = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160]
    return [1000 * each for each in kbit]


def _nearest(rate: float, rates: Iterable[int]) -> int:
    return min(rates, key=lambda each: abs(each - rate))
