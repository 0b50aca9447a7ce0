"""Odd audio files, made of a formula: chained, joined, cut, of sizes that are not true, with chunks of every kind."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from denoise_wrapper.files.containers.ogg import checksum

RATE = 48000
FRAMES = RATE + 1
PCM_GUID = b"\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"


def tone(frames: int = FRAMES, channels: int = 1, rate: int = RATE, seed: int = 1) -> NDArray[np.float32]:
    """A tone that swells and fades, with a little noise: (frames, channels), float32 within +-0.4."""
    t = np.arange(frames)[:, None] / rate
    swelling = 0.3 * np.sin(2 * np.pi * (220 + 40 * np.arange(channels)) * t) * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * t))
    noise = np.random.default_rng(seed).standard_normal((frames, channels))
    return (swelling + 0.02 * noise).astype(np.float32)


def encoded(folder: Path, suffix: str, samples: Any = None, rate: int = RATE, **form: Any) -> bytes:
    """A file's bytes as libsndfile writes it; Opus for the suffix opus."""
    path = folder / f"encoded.{suffix}"
    if suffix == "opus":
        form = {"format": "OGG", "subtype": "OPUS", **form}
    soundfile.write(path, tone() if samples is None else samples, rate, **form)
    content = path.read_bytes()
    path.unlink()
    return content


def chunk(name: bytes, content: bytes, order: str = "<") -> bytes:
    """A chunk of RIFF, or of AIFF for the order ">"."""
    return name + struct.pack(f"{order}I", len(content)) + content + b"\0" * (len(content) % 2)


def riff(*chunks: bytes) -> bytes:
    """A WAV file of chunks."""
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def form(channels: int = 1, mask: int | None = None, rate: int = RATE, bits: int = 16) -> bytes:
    """The format chunk of PCM, extensible if a mask of channels is given."""
    width = channels * bits // 8
    tag = 1 if mask is None else 0xFFFE
    words = struct.pack("<HHIIHH", tag, channels, rate, rate * width, width, bits)
    return chunk(b"fmt ", words if mask is None else words + struct.pack("<HHI", 22, bits, mask) + PCM_GUID)


def pcm(samples: NDArray[np.float32]) -> bytes:
    """Interleaved samples of 16 bits."""
    return np.rint(samples * 32767).astype("<i2").tobytes()


def info_list(**texts: bytes) -> bytes:
    """A LIST chunk of texts, given by the names of its entries."""
    return chunk(b"LIST", b"INFO" + b"".join(chunk(name.encode(), text + b"\0") for name, text in texts.items()))


def wav_in_chunks(samples: NDArray[np.float32], *sizes: int) -> bytes:
    """A WAV file whose sound is in several data chunks, of so many frames, with a text between the first two."""
    parts = np.split(samples, np.cumsum(sizes)[:-1])
    data = [chunk(b"data", pcm(part)) for part in parts]
    return riff(form(samples.shape[1]), data[0], info_list(INAM=b"between"), *data[1:])


def of_unknown_length(flac: bytes) -> bytes:
    """A FLAC file whose header says 0 frames, which means that nobody knows, and no checksum of its sound."""
    changed = bytearray(flac)
    changed[21] &= 0xF0
    changed[22:26] = bytes(4)
    return bytes(changed)


def repaged(ogg: bytes, segments: int) -> bytes:
    """An Ogg stream whose pages hold so many segments each, wherever its packets end; the first two pages stay."""
    pages, at = [], 0
    while at < len(ogg):
        head = ogg[at : at + 27]
        lacing = ogg[at + 27 : at + 27 + head[26]]
        body = at + 27 + len(lacing)
        pages.append((head, lacing, ogg[body : body + sum(lacing)]))
        at = body + sum(lacing)
    kept, rest = pages[:2], pages[2:]
    lacing, content = b"".join(page[1] for page in rest), b"".join(page[2] for page in rest)
    made = [b"".join(page) for page in kept]
    duration = 960  # frames of a packet
    done, continued, at = 0, 0, 0
    for first in range(0, len(lacing), segments):
        part = lacing[first : first + segments]
        ends = sum(size < 255 for size in part)
        done += ends * duration
        last = first + segments >= len(lacing)
        granule = struct.unpack("<q", rest[-1][0][6:14])[0] if last else done if ends else -1
        flags = continued | (4 if last else 0)
        head = b"OggS\0" + bytes([flags]) + struct.pack("<q", granule) + kept[0][0][14:18]
        page = head + struct.pack("<II", len(made), 0) + bytes([len(part)]) + part + content[at : at + sum(part)]
        made.append(page[:22] + struct.pack("<I", checksum(page)) + page[26:])
        at += sum(part)
        continued = int(part[-1] == 255)
    return b"".join(made)


def serials(ogg: bytes) -> set[bytes]:
    """Serial numbers of the streams of an Ogg file whose pages are whole."""
    found, at = set(), 0
    while at >= 0:
        found.add(ogg[at + 14 : at + 18])
        at = ogg.find(b"OggS", at + 4)
    return found


def write(path: Path, content: bytes) -> Path:
    """Write a file and return its path."""
    path.write_bytes(content)
    return path


def flac_of_bits(samples: NDArray[np.int64], bits: int) -> bytes:
    """A FLAC of any depth, one channel at 48 kHz, which FFmpeg and libFLAC read and do not write: not compressed.

    samples: integers within that depth, at most 127 blocks of 4096.
    """
    size, code = 4096, {8: 1, 12: 2, 16: 4, 20: 5, 24: 6}.get(bits, 0)
    sound = 48000 << 44 | (bits - 1) << 36 | len(samples)
    header = size.to_bytes(2, "big") * 2 + bytes(6) + sound.to_bytes(8, "big") + bytes(16)
    parts = [b"fLaC\x80" + len(header).to_bytes(3, "big") + header]
    for number in range(-(-len(samples) // size)):
        block = samples[number * size : (number + 1) * size]
        frame = b"\xff\xf8\x70" + bytes([code << 1, number]) + (len(block) - 1).to_bytes(2, "big")
        frame += _crc(frame, 0x07, 8)
        body = "00000010" + "".join(format(int(each) & (1 << bits) - 1, f"0{bits}b") for each in block)
        body += "0" * (-len(body) % 8)
        frame += int(body, 2).to_bytes(len(body) // 8, "big")
        parts.append(frame + _crc(frame, 0x8005, 16))
    return b"".join(parts)


def _crc(content: bytes, polynomial: int, bits: int) -> bytes:
    total = 0
    for each in content:
        total ^= each << (bits - 8)
        for _ in range(8):
            total = total << 1 ^ (polynomial if total >> (bits - 1) else 0)
            total &= (1 << bits) - 1
    return total.to_bytes(bits // 8, "big")
