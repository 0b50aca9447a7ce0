"""MP4 files whose fragments are joined: packet for packet what FFmpeg writes in one piece, and no memory for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeBackend
from require import require

from denoise_wrapper import Denoiser
from denoise_wrapper.files.containers import mp4
from denoise_wrapper.files.media import target

av = require("av")

pytestmark = pytest.mark.fault
PLAIN = FakeBackend("plain", gain=1.0)
RATE, SECONDS, PICTURES = 48000, 6, 10  # Hz, and pictures a second


def encoded(container: Any, codec: str, late: int = 0) -> Iterator[Any]:
    """Packets of a new track of a few seconds; late: ticks of its time base by which it begins later."""
    rng = np.random.default_rng(3)
    if codec in ("libx264", "libx265", "mpeg4"):
        options = {"x265-params": "log-level=none:bframes=3:pools=none:frame-threads=1"} if codec == "libx265" else {}
        stream = container.add_stream(codec, rate=PICTURES, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.max_b_frames, stream.codec_context.thread_count = 3, 1
        noise = rng.integers(0, 255, (48, 64, 3), np.uint8)
        frames = [av.VideoFrame.from_ndarray(np.roll(noise, n, 1), "rgb24") for n in range(SECONDS * PICTURES)]
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number + late, Fraction(1, PICTURES)
    else:
        stream = container.add_stream(codec, rate=RATE, layout="mono")
        size = 1024
        frames = []
        for start in range(0, SECONDS * RATE + 77 - size, size):
            samples = rng.uniform(-0.1, 0.1, (1, size)).astype(np.float32)
            frames.append(av.AudioFrame.from_ndarray(samples, "fltp", "mono"))
            frames[-1].sample_rate, frames[-1].pts, frames[-1].time_base = RATE, start + late, Fraction(1, RATE)
    for frame in [*frames, None]:
        yield from stream.encode(frame)


def film(path: Path, tracks: Iterable[tuple[str, int]], chapters: bool = False) -> Path:
    """A film of tracks (encoder, ticks by which it is late), with two chapters if wanted."""
    with av.open(path, "w") as container:
        packets = [packet for codec, late in tracks for packet in encoded(container, codec, late)]
        container.metadata["title"] = "Лекция"
        if chapters:
            base = Fraction(1, 1000)
            container.set_chapters(
                [
                    {
                        "id": n,
                        "start": 3000 * n,
                        "end": 3000 * (n + 1),
                        "time_base": base,
                        "metadata": {"title": f"{n}"},
                    }
                    for n in range(2)
                ]
            )
        for packet in packets:
            container.mux(packet)
    return path


def content(path: Path) -> list[Any]:
    """All that FFmpeg reads of a film, stream by stream."""
    with av.open(path) as container:
        metadata = {key: text for key, text in container.metadata.items() if key != "compatible_brands"}
        facts: list[Any] = [container.duration, container.start_time, metadata, container.chapters()]
        facts += [
            (each.index, each.type, each.time_base, each.start_time, each.duration, each.frames, each.metadata)
            for each in container.streams
        ]
        packets = [packet for packet in container.demux() if packet.size]
        for packet in sorted(packets, key=lambda packet: packet.stream.index):
            times = packet.stream.index, packet.pts, packet.dts, packet.duration
            facts.append((*times, packet.is_keyframe, packet.is_disposable, hashlib.md5(bytes(packet)).hexdigest()))
        return facts


FILMS = {
    "pictures with B-frames, two tracks": {"tracks": (("libx264", 0), ("aac", 0), ("libmp3lame", 0))},
    "disposable pictures": {"tracks": (("libx265", 0), ("aac", 0))},
    "sound late": {"tracks": (("mpeg4", 0), ("aac", 70_001))},
    "pictures late": {"tracks": (("mpeg4", 12), ("libopus", 0))},
    "chapters": {"tracks": (("libx264", 0), ("aac", 0)), "chapters": True},
    "sound alone": {"tracks": (("alac", 0),)},
    "AC-3": {"tracks": (("eac3", 0), ("ac3", 0))},
}


@pytest.mark.parametrize(
    ("name", "suffix"),
    [(name, suffix) for name in FILMS for suffix in (".mp4", ".mov") if (name, suffix) != ("pictures late", ".mov")],
)  # QuickTime has no Opus
def test_a_long_film_is_what_ffmpeg_writes_in_one_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, suffix: str
) -> None:
    source = film(tmp_path / f"film{suffix}", **FILMS[name])  # type: ignore[arg-type]
    for index_first in (False, True):
        monkeypatch.setattr(target, "_index_first", lambda path, first=index_first: first)
        monkeypatch.setattr(target, "LONG_S", 600)
        plain = Denoiser(PLAIN).filter_file(source, tmp_path / f"plain{suffix}", overwrite=True)
        monkeypatch.setattr(target, "LONG_S", 0)
        joined = Denoiser(PLAIN).filter_file(source, tmp_path / f"joined{suffix}", overwrite=True)
        data = joined.read_bytes()
        assert b"moof" in data  # what is left of the fragments
        assert b"moof" not in plain.read_bytes()
        assert (data.index(b"moov") < data.index(b"mdat")) is index_first
        assert content(joined) == content(plain)


def test_places_beyond_four_gigabytes_and_lengths_beyond_32_bits_are_kept(tmp_path: Path) -> None:
    """A film of four days, with a hole of 5 GB in the file, which takes no room on the disk."""
    plain, joined = tmp_path / "plain.mp4", tmp_path / "joined.mp4"
    source = film(tmp_path / "film.mp4", [("mpeg4", 0)])
    for path, options in ((plain, {}), (joined, mp4.OPTIONS)):
        options = {**options, "movie_timescale": "48000"}
        with av.open(source) as short, av.open(path, "w", container_options=options) as long:
            stream = long.add_stream_from_template(short.streams[0])
            stream.time_base = Fraction(1, 16_000)
            for number, packet in enumerate(packet for packet in short.demux() if packet.size):
                packet.pts = packet.dts = 80_000_000 * number
                packet.duration, packet.time_base, packet.stream = 80_000_000, Fraction(1, 16_000), stream
                long.mux(packet)
    data = joined.read_bytes()
    at = data.index(b"moof") - 4
    with open(joined, "wb") as file:
        file.write(data[:at] + (1).to_bytes(4, "big") + b"free" + (5 << 30).to_bytes(8, "big"))
        file.seek(at + (5 << 30))
        file.write(data[at:])
    with open(joined, "r+b") as file:
        mp4.join_fragments(file, False)
    assert content(joined) == content(plain)
