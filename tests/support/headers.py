"""Audio files with fields of their headers changed, and all around them put right, as changed bytes seldom are."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any

ODD = (0, 1, 2, 3, 7, 8, 255, 256, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def odd(rng: random.Random, size: int) -> int:
    """A number of so many bytes, often one of those at which things break."""
    number = rng.choice(ODD) if rng.random() < 0.7 else rng.getrandbits(8 * size)
    return number % (1 << 8 * size)


def change_field(rng: random.Random, data: bytearray, begin: int, end: int, order: str) -> None:
    """Set a number of 1, 2 or 4 bytes at a place that is a multiple of 2."""
    if end - begin >= 4:
        at, code = begin + 2 * rng.randrange((end - begin - 2) // 2), rng.choice("BHI")
        struct.pack_into(order + code, data, at, odd(rng, struct.calcsize(code)))


def mutate_wav(rng: random.Random, data: bytes) -> bytes:
    """Change fields, sizes and the order of chunks; drop, double or invent some."""
    chunks: list[list[Any]] = []
    at = 12
    while at + 8 <= len(data):
        size = struct.unpack_from("<I", data, at + 4)[0]
        chunks.append([bytearray(data[at : at + 4]), bytearray(data[at + 8 : at + 8 + size]), size])
        at += 8 + size + size % 2
    for _ in range(rng.randint(1, 4)):
        index = rng.randrange(len(chunks))
        name, body, size = chunks[index]
        how = rng.randrange(7)
        if how <= 1:
            change_field(rng, body, 0, min(len(body), 40), "<")
        elif how == 2:
            chunks[index][2] = odd(rng, 4)
        elif how == 3:
            chunks.insert(index, [bytearray(name), bytearray(body), size])
        elif how == 4 and len(chunks) > 1:
            del chunks[index]
        elif how == 5:
            rng.shuffle(chunks)
        else:
            kind = rng.choice([b"LIST", b"fact", b"bext", b"JUNK", b"ds64", b"id3 ", b"cue ", b"smpl", b"fmt "])
            content = bytearray(rng.randbytes(rng.randrange(80)))
            chunks.insert(index, [bytearray(kind), content, len(content)])
    body = b"".join(n + struct.pack("<I", size) + c + b"\0" * (len(c) % 2) for n, c, size in chunks)
    whole = rng.choice([len(body) + 4, len(body) + 4, odd(rng, 4)])
    return rng.choice([b"RIFF", b"RIFF", b"RF64", b"RIFX"]) + struct.pack("<I", whole) + b"WAVE" + body


CRC = [0] * 256
for number in range(256):
    crc = number << 24
    for _ in range(8):
        crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    CRC[number] = crc


def ogg_checksum(page: bytearray) -> int:
    """The checksum of a page, that of its own field taken for zero."""
    crc = 0
    for byte in page[:22] + b"\0\0\0\0" + page[26:]:
        crc = (crc << 8 ^ CRC[crc >> 24 ^ byte]) & 0xFFFFFFFF
    return crc


def mutate_ogg(rng: random.Random, data: bytes) -> bytes:
    """Change headers and contents of pages, their order and number, with checksums that fit."""
    pages, at = [], 0
    while data[at : at + 4] == b"OggS" and at + 27 <= len(data):
        count = data[at + 26]
        size = 27 + count + sum(data[at + 27 : at + 27 + count])
        pages.append(bytearray(data[at : at + size]))
        at += size
    for _ in range(rng.randint(1, 4)):
        index = rng.randrange(min(len(pages), rng.choice([1, 3, len(pages)])))
        page, how = pages[index], rng.randrange(6)
        if how == 0:
            page[5] = rng.randrange(8)  # continued, first, last
        elif how == 1:
            struct.pack_into("<Q", page, 6, rng.choice([odd(rng, 4), 2**63, 2**64 - 1]))
        elif how == 2:
            struct.pack_into("<I", page, rng.choice([14, 18]), odd(rng, 4))
        elif how == 3:
            change_field(rng, page, 27 + page[26], len(page), "<")
        elif how == 4:
            pages.insert(rng.randrange(len(pages)), bytearray(page))
        elif len(pages) > 1:
            del pages[index]
    for page in pages:
        struct.pack_into("<I", page, 22, ogg_checksum(page))
    return b"".join(pages)


def mutate_flac(rng: random.Random, data: bytes) -> bytes:
    """Change the blocks of metadata: fields, sizes, kinds, order."""
    blocks: list[list[Any]] = []
    at, last = 4, False
    while not last and at + 4 <= len(data):
        last, kind, size = data[at] > 127, data[at] & 127, int.from_bytes(data[at + 1 : at + 4], "big")
        blocks.append([kind, bytearray(data[at + 4 : at + 4 + size]), size])
        at += 4 + size
    for _ in range(rng.randint(1, 4)):
        block = rng.choice(blocks)
        how = rng.randrange(5)
        if how <= 1:
            change_field(rng, block[1], 0, min(len(block[1]), 18), ">")
        elif how == 2:
            block[2] = odd(rng, 3)
        elif how == 3:
            block[0] = rng.randrange(128)
        else:
            content = bytearray(rng.randbytes(rng.randrange(80)))
            blocks.insert(rng.randrange(len(blocks) + 1), [rng.randrange(7), content, len(content)])
    heads = [(bytes([kind | 128 * (number == len(blocks))]), size) for number, (kind, _, size) in enumerate(blocks, 1)]
    parts = [kind + size.to_bytes(3, "big") + block[1] for (kind, size), block in zip(heads, blocks, strict=True)]
    return b"fLaC" + b"".join(parts) + data[at:]


def mutate_mp3(rng: random.Random, data: bytes) -> bytes:
    """Change headers of frames (version, layer, bit rate, rate, channels ...), the Xing header, and tags before."""
    made, at, heads = bytearray(data), 0, []
    while (at := data.find(b"\xff\xfb", at)) >= 0:
        heads.append(at)
        at += 96
    for at in rng.choices(heads[: rng.choice([1, 3, len(heads)])] or [0], k=rng.randint(1, 4)):
        made[at + rng.randrange(1, 4)] ^= 1 << rng.randrange(8)
    xing = max(data.find(b"Xing"), data.find(b"Info"))
    if xing >= 0 and rng.random() < 0.5:
        struct.pack_into(">I", made, xing + rng.choice([4, 8, 12]), odd(rng, 4))
    if rng.random() < 0.4:
        tag, size = rng.randbytes(rng.randrange(60)), odd(rng, 4) if rng.random() < 0.3 else 60
        sizes = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
        made[:0] = (
            b"ID3" + bytes([rng.choice([2, 3, 4]), 0, rng.choice([0, 0x80, 0x40])]) + sizes + tag.ljust(60, b"\0")
        )
    return bytes(made)


MUTATE: dict[str, Callable[[random.Random, bytes], bytes]] = {
    ".wav": mutate_wav,
    ".ogg": mutate_ogg,
    ".flac": mutate_flac,
    ".mp3": mutate_mp3,
}
