"""A cleaned track encoded, in time with its source: the delay of a codec is taken off where its container cannot."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from denoise_wrapper.audio import Array, round_to, to_float
from denoise_wrapper.files.codecs import TrackPlan

# Frames by which an encoder and a decoder together are late (early, if negative), where FFmpeg's are the ones in use.
_DELAYS = {
    "aac": 1024, "libmp3lame": 1105, "mp2": 481, "ac3": 256, "eac3": 256, "g722": 22, "libopencore_amrnb": 40,
    "wmav1": -2048, "wmav2": -2048, "libopus": 312,
}  # fmt: skip
# Containers that say how much of the beginning is an encoder's delay, so that decoders take it off themselves.
_SAYING = {"mov", "mp4", "3gp", "matroska", "webm", "ogg", "opus", "mp3", "oga", "ogv"}
_BY_SAMPLE = {"g722"}  # codecs that go on from sample to sample: no packet of theirs can be left out
# What FFmpeg's encoder says of its delay, and says too much: silence of so many frames makes it true.
_OVERSTATED = {"libopencore_amrnb": 10}
_TIMED = {"mov", "mp4", "3gp", "matroska", "webm", "nut", "flv", "asf", "mpegts", "mpeg", "vob", "avi"}
# Containers in which a track has holes: packets that hold nothing but a gap's silence are left out.
_HOLES = {"mov", "mp4", "3gp", "matroska", "webm", "nut"}
_MATROSKA, _MOV = {"matroska", "webm"}, {"mov", "mp4", "3gp"}
_TYPES = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}
_SKIP_SAMPLES = 11  # FFmpeg's number for side data that tells a decoder what to cut off
# FFmpeg's names of so many channels, the usual one first: encoders take one or the other.
_LAYOUTS = {
    1: ("mono",), 2: ("stereo",), 3: ("3.0",), 4: ("quad", "4.0"), 5: ("5.0",), 6: ("5.1", "5.1(side)"),
    7: ("6.1", "6.1(back)"), 8: ("7.1", "7.1(wide)"),
}  # fmt: skip
_USUAL = {names[0] for names in _LAYOUTS.values()}
# Masks that AAC has a number for; of others FFmpeg writes a list that it does not read.
_AAC_MASKS = {0x4, 0x3, 0x7, 0x107, 0x37, 0x3F, 0x63F}


class Lane:
    """The encoder of one track; `write` appends frames, `end` flushes it. begun: whether there were any."""

    def __init__(self, stream: Any, plan: TrackPlan, source: Any, mux: Callable[[Any], None], muxer: str) -> None:
        self.stream, self._plan, self._source, self._mux, self._muxer = stream, plan, source, mux, muxer
        self._base = Fraction(1, source.rate)
        self.offset = 0  # frames that are added to all time stamps
        self._frames = 0  # of the source, written
        self._lead = _DELAYS.get(plan.encoder, 0) if muxer not in _SAYING else 0
        self._padding = 0  # frames of silence before the source's first
        self._held: Any = None  # the last packet, which may have to be cut at the end
        self.begun = False
        self._advance = 0  # frames of the source that are not encoded
        self._late = 0  # frames by which the source's follow their time stamps

    def write(self, block: Array) -> None:
        if not len(block):
            return
        if not self.begun:
            self._begin(block)
        self._frames += len(block)
        if self._advance:
            cut = min(self._advance, len(block))
            block, self._advance = block[cut:], self._advance - cut
        if len(block):
            self._encode(block, self._frames - len(block))

    def end(self) -> None:
        if not self.begun:
            return
        if self._silent_end:
            self._encode(np.zeros((self._silent_end, self._source.channels), self._dtype), self._frames)
        self._flush()
        self._finish()

    def _flush(self) -> None:
        """Send what the encoder still holds."""
        for packet in self.stream.encode(None):
            if not self._is_padding(packet):
                self._send(packet)

    @property
    def _start(self) -> int:
        start = getattr(self._source, "start", None) or 0
        return start + self.offset if self._muxer in _TIMED else 0

    def _begin(self, block: Array) -> None:
        """Settle what is known once a block was read: the time of the first frame, and the padding before it."""
        self.begun, self._dtype, self._silent_end = True, block.dtype, 0
        size = self.stream.codec_context.frame_size
        if self._muxer in _MOV and self._start > 0:  # whose lists of edits say where a track begins, or what to cut
            self._lead = _DELAYS.get(self._plan.encoder, 0)
        elif self._muxer in _SAYING:
            self._late = _OVERSTATED.get(self._plan.encoder, 0)
            self._padding = self._late
        if self._lead < 0:
            self._padding = -self._lead
        elif self._plan.encoder in _BY_SAMPLE:
            self._advance = self._silent_end = self._lead
        elif self._lead:
            self._padding = -self._lead % size
        if self._padding:
            self._encode(np.zeros((self._padding, block.shape[1]), block.dtype), -self._padding)

    def _encode(self, block: Array, position: int) -> None:
        import av

        samples = _as_samples(block, self._plan)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), self._plan.sample, self.stream.layout)
        frame.sample_rate, frame.time_base = self._source.rate, self._base
        frame.pts = position + self._start + self._late
        for packet in self.stream.encode(frame):
            self._send(packet)

    def _send(self, packet: Any) -> None:
        if packet.pts is None:
            self._mux(packet)
            return
        first = self._position(packet.pts, packet)
        if self._lead > 0 and not self._silent_end and first + 1 < 0:
            return  # holds nothing but the delay
        if self._muxer in _HOLES and self._in_gap(first, packet):
            return
        if self._held is not None:
            self._mux(self._held)
        self._held = packet

    def _is_padding(self, packet: Any) -> bool:
        """Tell if a packet at the end holds nothing but what the encoder appended."""
        if packet.pts is None or self._lead < 0:
            return False
        past = self._position(packet.pts, packet) + 0.5 >= self._frames
        return past or (self._lead > 0 and not packet.duration)

    def _position(self, pts: int, packet: Any) -> float:
        overstated = 0 if self._late else _OVERSTATED.get(self._plan.encoder, 0)
        unit = packet.time_base
        return pts * unit.numerator * self._source.rate / unit.denominator - self._start + overstated

    def _in_gap(self, first: float, packet: Any) -> bool:
        """Tell if a packet, its neighbours too, holds a gap's silence alone."""
        gaps = getattr(self._source, "gaps", None)
        if not gaps or not packet.duration:
            return False
        long = float(packet.duration * packet.time_base * self._source.rate)
        return any(first - 2 * long >= begin and first + 3 * long <= end for begin, end in gaps)

    def _finish(self) -> None:
        """Write the last packet, and how much of it is an encoder's padding."""
        packet = self._held
        if packet is None:
            return
        first, length = self._position(packet.pts, packet), float((packet.duration or 0) * packet.time_base)
        excess = round(first + length * self._source.rate) - self._frames
        if 0 < excess < length * self._source.rate:
            if self._muxer in _MATROSKA and not packet.has_sidedata("skip_samples"):
                from av.packet import PacketSideData

                side = PacketSideData(_SKIP_SAMPLES, 10)  # type: ignore[call-arg]
                side.update(bytes(4) + excess.to_bytes(4, "little") + bytes(2))
                packet.set_sidedata(side)
            elif self._muxer in _MOV:
                packet.duration -= round(excess * self._base / packet.time_base)
        self._mux(packet)


def add_lane(container: Any, plan: TrackPlan, source: Any, mux: Callable[[Any], None], muxer: str, layout: str) -> Lane:
    """Add a stream for a track to a container that is being written. layout: FFmpeg's name of its channels."""
    stream = container.add_stream(plan.encoder, rate=source.rate, options=dict(plan.options))
    stream.layout = layout
    stream.format = _format(stream.codec_context.codec, plan)
    stream.time_base = Fraction(1, source.rate)
    if plan.bit_rate is not None:
        stream.bit_rate = plan.bit_rate
    stream.codec_context.open()
    return Lane(stream, plan, source, mux, muxer)


def choose_layout(plan: TrackPlan, source: Any, mask: int | None) -> tuple[str, str | None]:
    """Name the channels as the source does, or as the encoder takes so many.

    mask: of the source's channels, None if it says none. Returns (FFmpeg's name, what was left out or None).
    """
    own = getattr(source, "layout", None)
    if own is not None and own not in _USUAL and own.endswith("channels"):
        own = None
    names = _LAYOUTS.get(source.channels, (f"{source.channels}c",))
    left = None
    if mask is not None:
        own, left = hex(mask), f"its mask of channels, {mask:#x}, is left out: {plan.encoder} does not take it"
    elif own not in (None, *names):
        left = f"its channels, {own}, are named anew: {plan.encoder} does not take them"
    if own is not None and ((source.channels <= 2 and mask is None) or _takes(plan, source.rate, own, mask)):
        return own, None
    taken = (name for name in names if source.channels <= 2 or _takes(plan, source.rate, name))
    return next(taken, names[0]), left


def _takes(plan: TrackPlan, rate: int, layout: str, mask: int | None = None) -> bool:
    """Tell if an encoder takes channels of a layout, by name or mask. rate: Hz."""
    import av

    if plan.encoder == "aac" and mask is not None and mask not in _AAC_MASKS:
        return False
    context: Any = av.CodecContext.create(plan.encoder, "w")
    context.options = dict(plan.options)
    try:
        context.layout, context.sample_rate, context.format = layout, rate, _format(context.codec, plan)
        context.time_base = Fraction(1, rate)
        context.open()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _format(codec: Any, plan: TrackPlan) -> str:
    """The sample format of an encoder that is nearest to the plan's."""
    names = [each.name for each in codec.audio_formats or ()]
    wishes = [plan.sample, f"{plan.sample}p", "fltp", "flt", "s32p", "s32", "s16p", "s16"]
    return next((wish for wish in wishes if wish in names), names[0] if names else plan.sample)


def _as_samples(block: Array, plan: TrackPlan) -> Array:
    """Convert cleaned frames to a plan's sample type, rounded to its depth and clipped."""
    wanted = np.dtype(_TYPES[plan.sample])
    if wanted.kind == "f":
        return np.ascontiguousarray(to_float(block) if block.dtype.kind == "i" else block, wanted)
    rounded = round_to(block, plan.depth or 8 * wanted.itemsize)
    if wanted.kind == "u":
        return ((rounded >> 8) + 128).astype(wanted)
    return np.ascontiguousarray(rounded.astype(wanted) << 8 * (wanted.itemsize - rounded.itemsize))
