"""Vorbis for FFmpeg's containers: encoded by libsndfile, since FFmpeg's own encoder of it is poor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

from denoise_wrapper.audio import Array, to_float
from denoise_wrapper.files.codecs import TrackPlan
from denoise_wrapper.files.formats import vorbis_level
from denoise_wrapper.files.media.encode import Lane

_HEADERS = 3  # packets in front of the sound
_PIECE = 1 << 13  # frames; libsndfile puts a multiple of what it is given on the stack


class VorbisLane(Lane):
    """The encoder of one track of Vorbis."""

    def __init__(self, container: Any, plan: TrackPlan, source: Any, mux: Callable[[Any], None], muxer: str) -> None:
        import av

        level = vorbis_level(plan.bit_rate or 0, source.rate, source.channels)
        pattern = BytesIO()
        with _sound_file(pattern, source, level):
            pass
        self._pattern = av.open(BytesIO(pattern.getvalue()))  # whose headers are those of all files so made
        template = self._pattern.streams.audio[0]
        super().__init__(container.add_stream_from_template(template, opaque=True), plan, source, mux, muxer)
        self._decoder = template.codec_context  # tells how many frames a packet holds
        self._pages = _Pages()
        self._file = _sound_file(self._pages, source, level)
        self._headers, self._position_next = _HEADERS, 0

    def _encode(self, block: Array, position: int) -> None:
        frames = to_float(block)
        for begin in range(0, len(frames), _PIECE):
            self._file.write(frames[begin : begin + _PIECE])
        self._send_packets()

    def _flush(self) -> None:
        self._file.close()
        self._send_packets()

    def _send_packets(self) -> None:
        import av

        for data in self._pages.packets():
            if self._headers:
                self._headers -= 1
                continue
            packet = av.Packet(data)
            packet.time_base = self._base
            length = sum(frame.samples for frame in self._decoder.decode(packet))
            packet.pts = packet.dts = self._position_next + self._start
            packet.duration, packet.stream = length, self.stream
            self._position_next += length
            if not self._is_padding(packet):
                self._send(packet)


class _Pages:
    """A file for libsndfile to write Ogg into, which gives back the packets in it."""

    def __init__(self) -> None:
        self._data, self._begun, self._written = bytearray(), b"", 0

    def write(self, data: Any) -> int:
        size = len(data)
        self._data += data
        self._written += size
        return size

    def tell(self) -> int:
        return self._written

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._written

    def read(self, size: int = -1) -> bytes:
        return b""

    def packets(self) -> Iterator[bytes]:
        """Yield the packets of whole pages that were not given before."""
        while len(self._data) >= 27:
            laces = self._data[27 : 27 + self._data[26]]
            end = at = 27 + self._data[26]
            end += sum(laces)
            if len(laces) < self._data[26] or len(self._data) < end:
                return
            for lace in laces:
                self._begun += bytes(self._data[at : at + lace])
                at += lace
                if lace < 255:
                    yield self._begun
                    self._begun = b""
            del self._data[:end]


def _sound_file(file: Any, source: Any, level: float) -> Any:
    import soundfile

    return soundfile.SoundFile(file, "w", source.rate, source.channels, "VORBIS", format="OGG", compression_level=level)
