"""The matrix of formats: files of every container, codec and oddity, made of a formula, cleaned, and compared.

The comparison is made by others: ffprobe and ffmpeg say rate, channels, speakers, codec, samples and bit rate of both
files, mutagen their tags and pictures, and the chunks are listed here once more, by a few lines of their own.
"""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mutagen
import numpy as np
import odd_files
import soundfile
from fakes import FakeBackend
from numpy.typing import NDArray

from denoise_wrapper import Denoiser, FileError

PLAIN = Denoiser(FakeBackend("plain", gain=1.0))
SECONDS = 1.3
ASPECTS = (
    "frames", "in time", "rate", "channels", "speakers", "samples", "bit rate", "tags", "pictures", "chunks",
    "other streams",
)  # fmt: skip
YES, NO, NONE, REFUSED = "yes", "no", "", "refused"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
LOSSY = ("vorbis", "opus", "mp3", "mp2", "aac", "ac3", "wmav2", "speex", "amr_nb", "eac3")
_OWN_CHUNKS = (b"fmt ", b"data", b"fact", b"PEAK", b"ds64", b"COMM", b"SSND", b"FVER", b"id3 ", b"ID3 ", b"FLLR")


@dataclass(frozen=True)
class Row:
    """A file of the matrix.

    container, codec: as the table has them. oddity: what is odd about it. make: writes the file, (folder) -> path.
    suffix: that of the target, None for the source's.
    """

    container: str
    codec: str
    oddity: str
    make: Callable[[Path], Path] = field(compare=False)
    suffix: str | None = None

    @property
    def name(self) -> str:
        """A name for tests: container, codec and oddity."""
        return f"{self.container}-{self.codec}-{self.oddity}".replace(" ", "_")


def tone(rate: int, channels: int) -> NDArray[np.float32]:
    return odd_files.tone(round(SECONDS * rate), channels, rate)


def written(name: str, rate: int, channels: int, **form: Any) -> Callable[[Path], Path]:
    """A maker of a plain file by libsndfile."""

    def make(folder: Path) -> Path:
        soundfile.write(folder / name, tone(rate, channels), rate, **form)
        return folder / name

    return make


def changed(make: Callable[[Path], Path], change: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    """A maker of a file whose bytes are changed afterwards."""

    def again(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(change(path.read_bytes()))
        return path

    return again


def tagged(make: Callable[[Path], Path], picture: bool) -> Callable[[Path], Path]:
    """A maker of a file with tags in several scripts, several values, and perhaps a cover; written by mutagen."""

    def again(folder: Path) -> Path:
        path = make(folder)
        file = mutagen.File(path)
        if file.tags is None:
            file.add_tags()
        if isinstance(file.tags, mutagen.id3.ID3):
            add = file.tags.add
            add(mutagen.id3.TIT2(encoding=1, text=["Прогноз", "日本語"]))
            add(mutagen.id3.TPE2(encoding=3, text=["Αθήνα"]))
            add(mutagen.id3.TPOS(encoding=0, text=["1/2"]))
            add(mutagen.id3.TXXX(encoding=3, desc="MINE", text=["é", "ü"]))
            if picture:
                add(mutagen.id3.APIC(encoding=3, mime="image/png", type=3, desc="c", data=PNG))
        else:
            texts = {"title": ["Прогноз", "日本語"], "albumartist": ["Αθήνα"], "discnumber": ["1"], "mine": ["é", "ü"]}
            for name, values in texts.items():
                file[name] = values
            if picture:
                block = mutagen.flac.Picture()
                block.data, block.mime, block.type = PNG, "image/png", 3
                if hasattr(file, "add_picture"):
                    file.add_picture(block)
                else:
                    import base64

                    file["metadata_block_picture"] = [base64.b64encode(block.write()).decode()]
        file.save()
        return path

    return again


def with_mask(mask: int) -> Callable[[bytes], bytes]:
    """Change the mask of channels of an extensible WAV file."""

    def change(content: bytes) -> bytes:
        at = content.index(b"fmt ") + 28
        return content[:at] + struct.pack("<I", mask) + content[at + 4 :]

    return change


def with_sizes(in_data: int, in_riff: int) -> Callable[[bytes], bytes]:
    """Change the sizes in a WAV file's header."""

    def change(content: bytes) -> bytes:
        at = content.index(b"data") + 4
        return content[:4] + struct.pack("<I", in_riff) + content[8:at] + struct.pack("<I", in_data) + content[at + 4 :]

    return change


def with_chunks(content: bytes) -> bytes:
    """Put a chunk in front of the sound of a WAV or AIFF file, and some behind."""
    order = ">" if content[:4] == b"FORM" else "<"
    names = (b"MARK", b"ANNO", b"INST") if order == ">" else (b"iXML", b"cue ", b"smpl", b"ours")
    first, *rest = (odd_files.chunk(name, name * 9, order) for name in names)
    if order == "<":
        rest.append(odd_files.info_list(INAM="Прогноз".encode()))
    content = content[:12] + first + content[12:] + b"\0" * (len(content) % 2) + b"".join(rest)
    return content[:4] + struct.pack(f"{order}I", len(content) - 8) + content[8:]


def in_two_chunks(content: bytes) -> bytes:
    """Cut a WAV file's sound into two chunks."""
    at = content.index(b"data")
    sound = content[at + 8 :]
    half = len(sound) // 2 // 12 * 12
    return odd_files.riff(
        content[12:at], odd_files.chunk(b"data", sound[:half]), odd_files.chunk(b"data", sound[half:])
    )


def libsndfile_rows() -> Iterator[Row]:
    """All that libsndfile writes: container x codec x channels and rate, then the oddities."""
    depths = ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
    shapes = ((48000, 1), (44100, 2), (8000, 1))
    for suffix, container, more in (
        ("wav", "WAV", ("PCM_U8", "IMA_ADPCM", "MS_ADPCM", "GSM610")), ("aiff", "AIFF", ("PCM_S8",)),
        ("au", "AU", ("PCM_S8",)),
        ("caf", "CAF", ("PCM_S8", "ALAC_16", "ALAC_24")), ("w64", "W64", ("PCM_U8",)), ("rf64", "RF64", ("PCM_U8",)),
    ):  # fmt: skip
        for number, subtype in enumerate((*more, *depths)):
            rate, channels = shapes[0 if subtype == "GSM610" else number % 3]
            shape = f"{rate} Hz, {channels} ch"
            yield Row(container, subtype, shape, written(f"a.{suffix}", rate, channels, subtype=subtype))
    for subtype in ("PCM_S8", "PCM_16", "PCM_24"):
        for rate, channels in (*shapes, (96000, 6), (32000, 8)):
            yield Row("FLAC", subtype, f"{rate} Hz, {channels} ch", written("a.flac", rate, channels, subtype=subtype))
    for rate, channels in (*shapes, (22050, 1), (96000, 2), (48000, 6)):
        yield Row("Ogg", "VORBIS", f"{rate} Hz, {channels} ch", written("a.ogg", rate, channels))
    opus = {"format": "OGG", "subtype": "OPUS"}
    for rate, channels in ((48000, 1), (48000, 2), (24000, 1), (16000, 2), (8000, 1), (48000, 6)):
        yield Row("Ogg", "OPUS", f"{rate} Hz, {channels} ch", written("a.opus", rate, channels, **opus))
    for rate, channels in (*shapes, (22050, 2), (16000, 1), (32000, 1), (11025, 1)):
        for mode in ("CONSTANT", "VARIABLE"):
            odd = f"{rate} Hz, {channels} ch, {mode.lower()}"
            maker = written("a.mp3", rate, channels, bitrate_mode=mode, compression_level=0.5)
            yield Row("MP3", "MPEG_LAYER_III", odd, maker)
    yield from _odd_rows(opus)


def _odd_rows(opus: dict[str, str]) -> Iterator[Row]:
    for mask, channels in ((0x60F, 6), (0x3F, 6), (0xB, 3), (0x107, 4), (0x600, 2), (0x63F, 8)):
        wavex = written("a.wav", 48000, channels, format="WAVEX", subtype="PCM_24")
        yield Row("WAV", "PCM_24", f"mask {mask:#x}", changed(wavex, with_mask(mask)))
        yield Row("WAV to FLAC", "PCM_24", f"mask {mask:#x}", changed(wavex, with_mask(mask)), "flac")
    yield Row("WAV", "PCM_16", "big endian", written("a.wav", 48000, 2, subtype="PCM_16", endian="BIG"))
    wav = written("a.wav", 48000, 2, subtype="PCM_16")
    for in_data in (0, 0x7FFFF000, 0xFFFFFFFF):
        for in_riff in (0, 0xFFFFFFFF):
            yield Row("WAV", "PCM_16", f"sizes {in_data:#x} {in_riff:#x}", changed(wav, with_sizes(in_data, in_riff)))
    yield Row("WAV", "PCM_16", "two data chunks", changed(wav, in_two_chunks))
    yield Row("WAV", "PCM_16", "chunks", changed(wav, with_chunks))
    aiff = written("a.aiff", 48000, 2, subtype="PCM_16")
    yield Row("AIFF", "PCM_16", "chunks", changed(aiff, with_chunks))
    flac = written("a.flac", 48000, 2, subtype="PCM_16")
    yield Row("FLAC", "PCM_16", "length unknown", changed(flac, odd_files.of_unknown_length))
    yield Row("FLAC", "PCM_16", "junk in front", changed(flac, lambda content: b"ID3\x03\0\0\0\0\0\x05hello" + content))
    mp3, ogg = written("a.mp3", 48000, 2), written("a.ogg", 48000, 2)
    opus_file = written("a.opus", 48000, 2, **opus)
    yield Row("MP3", "MPEG_LAYER_III", "zeros behind", changed(mp3, lambda content: content + bytes(30_000)))
    for container, codec, maker in (
        ("WAV", "PCM_16", wav), ("AIFF", "PCM_16", aiff), ("FLAC", "PCM_16", flac),
        ("Ogg", "VORBIS", ogg), ("Ogg", "OPUS", opus_file), ("MP3", "MPEG_LAYER_III", mp3),
    ):  # fmt: skip
        yield Row(container, codec, "tags", tagged(maker, picture=False))
        yield Row(container, codec, "tags and a cover", tagged(maker, picture=True))


def encoded(name: str, rate: int, channels: int, *options: str) -> Callable[[Path], Path]:
    """A maker of a file by the program ffmpeg, with a title. options: of its encoder and container."""

    def make(folder: Path) -> Path:
        soundfile.write(folder / "source.wav", tone(rate, channels), rate, subtype="FLOAT")
        inputs = ["-i", str(folder / "source.wav")]
        command = ["ffmpeg", "-v", "error", "-y", *inputs, "-metadata", "title=Прогноз", *options, str(folder / name)]
        subprocess.run(command, check=True, capture_output=True)
        return folder / name

    return make


def with_film(name: str, codec: str, *options: str) -> Callable[[Path], Path]:
    """A maker of a film: a picture that moves, two audio tracks in two languages, the second late by half a second."""

    def make(folder: Path) -> Path:
        for number in (1, 2):
            soundfile.write(folder / f"{number}.wav", tone(48000, number), 48000)
        film = ["-f", "lavfi", "-i", f"testsrc=d={SECONDS}:s=64x48:r=10"]
        sound = ["-i", str(folder / "1.wav"), "-itsoffset", "0.5", "-i", str(folder / "2.wav")]
        maps = ["-map", "0:v", "-map", "1:a", "-map", "2:a", "-c:a", codec]
        words = ["-metadata:s:a:0", "language=deu", "-metadata:s:a:1", "language=rus", "-metadata", "title=Прогноз"]
        command = ["ffmpeg", "-v", "error", "-y", *film, *sound, *maps, *words, *options, str(folder / name)]
        subprocess.run(command, check=True, capture_output=True)
        return folder / name

    return make


# Container, suffix, and the codecs in it by ffmpeg's names of their encoders, with the options that these need.
_MEDIA = (
    ("M4A", "m4a", (("aac",), ("alac",))), ("MP4", "mp4", (("aac",), ("ac3",), ("libmp3lame",))),
    ("QuickTime", "mov", (("aac",), ("alac",), ("pcm_s16le",), ("pcm_s24le",))),
    ("Matroska", "mka", (
        ("aac",), ("ac3",), ("flac",), ("libmp3lame",), ("libopus",), ("libvorbis",), ("mp2",), ("pcm_s16le",),
        ("pcm_s24le",), ("pcm_f32le",), ("wavpack",), ("tta",), ("alac",),
    )),
    ("WebM", "webm", (("libopus",), ("libvorbis",))), ("AVI", "avi", (("pcm_s16le",), ("libmp3lame",), ("ac3",))),
    ("ASF", "wma", (("wmav2",),)), ("ADTS", "aac", (("aac",),)), ("AC-3", "ac3", (("ac3",),)),
    ("E-AC-3", "eac3", (("eac3",),)), ("MP2", "mp2", (("mp2",),)), ("TTA", "tta", (("tta",),)),
    ("WavPack", "wv", (("wavpack",),)), ("Ogg", "oga", (("flac",),)), ("MPEG-TS", "ts", (("aac",), ("mp2",), ("ac3",))),
    ("FLV", "flv", (("aac",),)), ("NUT", "nut", (("pcm_s16le",), ("flac",))),
    ("WAV", "wav", (("adpcm_ima_wav",), ("ac3", "-ar", "48000"), ("pcm_s32le",))),
)  # fmt: skip


def media_rows() -> Iterator[Row]:
    """What FFmpeg reads and writes: container x codec, then films with more than one track."""
    for container, suffix, codecs in _MEDIA:
        for number, (codec, *options) in enumerate(codecs):
            rate, channels = ((48000, 1), (44100, 2))[number % 2 if codec != "libopus" else 0]
            maker = encoded(f"a.{suffix}", rate, channels, "-c:a", codec, *options)
            yield Row(container, codec, f"{rate} Hz, {channels} ch", maker)
    for container, suffix, codec in (
        ("MP4", "mp4", "aac"), ("Matroska", "mkv", "aac"), ("Matroska", "mkv", "flac"), ("Matroska", "mkv", "libopus"),
        ("QuickTime", "mov", "pcm_s16le"), ("MPEG-TS", "ts", "aac"), ("AVI", "avi", "libmp3lame"),
    ):  # fmt: skip
        yield Row(container, codec, "film with two tracks", with_film(f"a.{suffix}", codec))


# Every row. Who writes further containers adds a function that yields theirs.
MAKERS: list[Callable[[], Iterator[Row]]] = [libsndfile_rows, media_rows]


def all_rows() -> list[Row]:
    """All rows of the matrix, in the order of the table."""
    return [row for makers in MAKERS for row in makers()]


# ---- comparing ----


@dataclass(frozen=True)
class Seen:
    """A file as others see it: ffprobe's words, and the sound as ffmpeg decodes it, float32 (frames, channels)."""

    words: dict[str, Any]
    bits: int
    sound: NDArray[np.float32]
    tags: dict[str, Any]
    pictures: list[bytes]
    chunks: dict[bytes, bytes]
    streams: list[tuple[Any, ...]]


def see(path: Path) -> Seen:
    """Look at a file with ffprobe, ffmpeg and mutagen."""
    probe = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-show_entries", "packet=size,stream_index"]
    told = json.loads(subprocess.run([*probe, "-of", "json", str(path)], capture_output=True, check=True).stdout)
    words = next(each for each in told["streams"] if each["codec_type"] == "audio")
    packets = [each for each in told.get("packets", []) if each["stream_index"] == words["index"]]
    size = sum(int(packet["size"]) for packet in packets)
    decode = ["ffmpeg", "-v", "quiet", "-i", str(path), "-map", "0:a:0", "-f", "f32le", "-"]
    raw = subprocess.run(decode, capture_output=True, check=True).stdout
    sound = np.frombuffer(raw, "<f4").reshape(-1, int(words["channels"]))
    streams = [
        (
            each["codec_type"],
            each.get("codec_name"),
            each.get("tags", {}).get("language"),
            each["disposition"]["default"],
        )
        for each in told["streams"]
    ]
    title = told["format"].get("tags", {}).get("title") or words.get("tags", {}).get("title")
    return Seen(words, 8 * size, sound, *_tags(_open(path), title), _chunks(path.read_bytes()), streams)


def _open(path: Path) -> Any:
    try:
        return mutagen.File(path)
    except mutagen.MutagenError:  # RF64
        return None


def _tags(file: Any, title: str | None) -> tuple[dict[str, Any], list[bytes]]:
    if file is None or file.tags is None or not isinstance(file.tags, mutagen.id3.ID3 | mutagen._vorbis.VCommentDict):
        return {"title": title} if title else {}, []
    if isinstance(file.tags, mutagen.id3.ID3):
        frames = file.tags.values()
        texts = {each.HashKey: [str(text) for text in each.text] for each in frames if hasattr(each, "text")}
        return texts, [each.data for each in frames if each.FrameID == "APIC"]
    texts = (
        {key.lower(): list(value) for key, value in file.tags.as_dict().items()}
        if hasattr(file.tags, "as_dict")
        else {}
    )
    pictures = [each.data for each in getattr(file, "pictures", [])]
    pictures += [value.encode() for value in texts.pop("metadata_block_picture", [])]
    texts.pop("encoder", None)
    return texts, pictures


def _chunks(content: bytes) -> dict[bytes, bytes]:
    if content[:4] not in (b"RIFF", b"RF64", b"FORM"):
        return {}
    order, at, found = ">" if content[:4] == b"FORM" else "<", 12, dict[bytes, bytes]()
    while at + 8 <= len(content):
        name, size = content[at : at + 4], struct.unpack(f"{order}I", content[at + 4 : at + 8])[0]
        if name not in _OWN_CHUNKS:
            found[name] = content[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return found


def judge(row: Row, folder: Path) -> dict[str, str]:
    """Make a row's file, clean it with a backend that changes nothing, and compare the two, aspect by aspect.

    Returns YES, NO or NONE (not there) for each of ASPECTS, or {"refused": why}.
    """
    source = row.make(folder)
    suffix = source.suffix if row.suffix is None else f".{row.suffix}"
    try:
        target = PLAIN.filter_file(source, folder / f"cleaned{suffix}")
    except FileError as error:
        return {REFUSED: str(error)}
    before, after = see(source), see(target)
    lossy = before.words["codec_name"] in LOSSY
    verdict = {
        "frames": _length(before, after),
        "in time": YES if abs(_late(before.sound, after.sound)) <= 1 else NO,
        "rate": _equal(before.words["sample_rate"], after.words["sample_rate"]),
        "channels": _equal(before.words["channels"], after.words["channels"]),
        "speakers": _equal(before.words.get("channel_layout"), after.words.get("channel_layout")),
        "samples": _equal(*(_samples(each.words, row) for each in (before, after))),
        "bit rate": _near(before, after) if lossy else NONE,
        "tags": _equal(before.tags, after.tags) if before.tags and row.suffix is None else NONE,
        "pictures": _equal(before.pictures, after.pictures) if before.pictures else NONE,
        "chunks": YES if before.chunks.items() <= after.chunks.items() else NO,
        "other streams": _equal(before.streams, after.streams) if len(before.streams) > 1 else NONE,
    }
    if "zeros" in row.oddity:
        verdict["bit rate"] = NONE  # ffprobe takes them for packets
    if len(before.streams) > 1 and not before.pictures:
        verdict["pictures"] = NONE
    if not before.chunks or "chunk" not in row.oddity or "data" in row.oddity:
        verdict["chunks"] = NONE
    return verdict


def _equal(before: object, after: object) -> str:
    return YES if before == after else NO


def _samples(words: dict[str, Any], row: Row) -> tuple[Any, ...]:
    names = ("bits_per_raw_sample",) if row.suffix else ("codec_name", "sample_fmt", "bits_per_raw_sample")
    return tuple(words.get(name) for name in names)


def _length(before: Seen, after: Seen) -> str:
    """Compare lengths: with the frames put into the source, or where its codec pads them, as ffmpeg reads it."""
    wanted = round(SECONDS * int(before.words["sample_rate"]))
    return YES if len(after.sound) in (wanted, len(before.sound)) else NO


def _late(before: NDArray[np.float32], after: NDArray[np.float32]) -> int:
    """Samples by which the second is late, by cross-correlation."""
    one, two = (each[:, 0].astype(np.float64) for each in (before, after))
    size = 1 << (len(one) + len(two)).bit_length()
    product = np.fft.irfft(np.conj(np.fft.rfft(one, size)) * np.fft.rfft(two, size), size)
    late = int(np.argmax(product))
    return late if late < size // 2 else late - size


def _near(before: Seen, after: Seen) -> str:
    named = [int(each.words.get("bit_rate", 0)) for each in (before, after)]
    if before.words["codec_name"] == "vorbis" and all(named):  # its bits follow the sound, its quality is named
        return YES if abs(named[1] / named[0] - 1) <= 0.05 else NO
    return YES if abs(after.bits / max(1, before.bits) - 1) <= 0.05 else NO


# ---- the table ----


def table(verdicts: dict[Row, dict[str, str]]) -> str:
    """The table of formats: what of a file stays, a line a container and codec, as the rows showed it."""
    lines = [f"| container | codec | files | {' | '.join(ASPECTS)} |", f"|---|---|---|{'---|' * len(ASPECTS)}"]
    groups: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row, verdict in verdicts.items():
        groups.setdefault((row.container, row.codec), []).append(verdict)
    for (container, codec), group in groups.items():
        cells = [_cell([verdict[aspect] for verdict in group if aspect in verdict]) for aspect in ASPECTS]
        lines.append(f"| {container} | {codec} | {len(group)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(verdicts: list[str]) -> str:
    shown = [verdict for verdict in verdicts if verdict != NONE]
    if not shown:
        return "-"
    kept = shown.count(YES)
    return YES if kept == len(shown) else NO if not kept else f"{kept} of {len(shown)}"
