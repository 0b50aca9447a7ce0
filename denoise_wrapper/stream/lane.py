"""One backend at one caller's rate: n frames in, n frames out, late by the latency.

A lane resamples, gathers hops, has them cleaned, gates them, resamples back and queues the frames, all in the engine.
A chunk changes it only in the end, in `Lanes.give`; one that is given up before leaves no trace but in the memory of
the backend.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper._native import ffi, lib
from denoise_wrapper.audio import LOUDEST, NUMBERS, Array, to_float
from denoise_wrapper.backends.base import Backend, State
from denoise_wrapper.errors import DenoiseError
from denoise_wrapper.stream.alone import in_use
from denoise_wrapper.stream.gate import make_gate
from denoise_wrapper.stream.resample import max_lag, ratio_of
from denoise_wrapper.stream.settings import Settings

Float32 = NDArray[np.float32]
Laid = tuple[int, tuple[int, int], Float32, Any]
Cleaned = tuple[Float32, Float32]  # (channels, n * hop) samples and (channels, n) probabilities of speech

FADE_S = 0.02  # for which one backend fades into the next

_FLOATS, _FLOAT32 = ffi.typeof("float[]"), np.dtype(np.float32)
_empty, _from_buffer, _NULL = np.empty, ffi.from_buffer, ffi.NULL  # at hand, as each live chunk needs them
_take, _block, _bring, _give = lib.dn_lane_take, lib.dn_lane_block, lib.dn_lane_bring, lib.dn_lanes_give


class BadSampleError(Exception):
    """A sample of a chunk is not finite, or beyond LOUDEST; nothing has changed."""


def least_latency(backend: Backend, sample_rate: int, step: int = 1) -> int:
    """Return the least latency, in frames at sample_rate, with which the queue of a lane never runs dry.

    step: frames of which every chunk holds a whole number.
    After n frames the lane has brought, in seconds, at least n minus the lag of the resampler in, minus the samples
    that wait for their hop to be whole, minus the backend's delay, minus the lag of the resampler out. At the
    backend's rate those that wait are a multiple of what the hop and the step have in common.
    """
    if sample_rate == backend.sample_rate:
        return backend.delay + backend.hop - math.gcd(backend.hop, step)
    waiting = max_lag(backend.sample_rate, sample_rate) + backend.delay + backend.hop - 1  # frames of the backend's
    return max_lag(sample_rate, backend.sample_rate) + -(-waiting * sample_rate // backend.sample_rate)


class Line:
    """Frames through the engine, without a backend: they come out as they went in, late by the latency."""

    def __init__(self, channels: int, latency: int, position: int = 0, **plan: Any) -> None:
        out = ffi.new("dn_lane **")
        facts = {"channels": channels, "latency": latency, "position": position, **plan}
        check_lane(lib.dn_lane_create(ffi.new("dn_lane_plan *", facts), out))
        self.memory = ffi.gc(out[0], lib.dn_lane_destroy)
        self._plan = plan  # holds the filters, which the memory borrows

    @property
    def position(self) -> int:
        """Frames of the signal so far."""
        position: int = self.facts.position
        return position

    @property
    def facts(self) -> Any:
        """Where the line is: a dn_lane_facts."""
        facts = ffi.new("dn_lane_facts *")
        check_lane(lib.dn_lane_look(self.memory, facts))
        return facts[0]

    def take(self, samples: Any, number: int, count: int) -> object:
        """Lay out a chunk: it is part of the line only after `Lanes.give`.

        samples: cdata of the interleaved samples. number: of their type. count: frames.
        Raises BadSampleError; MemoryError; DenoiseError at the end of time.
        """
        return check_hops(_take(self.memory, number, samples, count, LOUDEST, 0, ffi.NULL))

    def saved(self) -> bytes:
        """Return all that changes, as bytes."""
        memory = bytearray(self.facts.size)
        check_lane(lib.dn_lane_save(self.memory, ffi.from_buffer(memory), len(memory)))
        return bytes(memory)

    def restore(self, saved: bytes) -> None:
        """Go on from there. Raises DenoiseError if the bytes are not of such a lane."""
        check_lane(lib.dn_lane_restore(self.memory, saved, len(saved)))


class Lane(Line):
    """A backend, its memory, and all that brings a signal through it.

    laid: where hops are laid out for the backend: how many, the shape (channels, hops * hop) of the array, the array
    and a pointer to it; the next chunk that makes as many whole overwrites them.
    fade_in: frames from now on until it begins to be heard. before: the lane that is heard until then, of the same
    signal; the gate is as open as its. state: the memory of the backend; None for a fresh one.
    """

    def __init__(
        self,
        backend: Backend,
        sample_rate: int,
        channels: int,
        settings: Settings,
        latency: int,
        fade_in: int = 0,
        before: Lane | None = None,
        state: State | None = None,
    ) -> None:
        self.backend, self.min_gain = backend, settings.min_gain
        self.state = backend.new_state(channels) if state is None else state
        self.process = self.state.process  # at hand, as each live chunk needs it
        self._channels, self._hop = channels, backend.hop
        self.laid = self._room(1)
        self.no_voice = np.zeros((channels, 0), np.float32)  # of no hop
        fade = max(1, round(FADE_S * sample_rate))
        plan: dict[str, Any] = {"hop": backend.hop, "delay": backend.delay, "fade_in": fade_in, "fade": fade}
        if sample_rate != backend.sample_rate:
            plan["to_backend"] = ratio_of(sample_rate, backend.sample_rate)
            plan["to_caller"] = ratio_of(backend.sample_rate, sample_rate)
        gate = make_gate(backend, settings) if settings.vad_gate == "mute" else None
        self._gated = gate is not None
        if gate is not None:
            if before is not None:
                old = before.backend
                gate.follow(before.facts.gate, old.hop * backend.sample_rate / (backend.hop * old.sample_rate))
            plan |= {"gated": 1, "gate": gate.memory[0]}
        super().__init__(channels, latency, 0 if before is None else before.position, **plan)

    @property
    def fade_in(self) -> int:
        """Frames until it begins to be heard; below zero, how far its fade has come."""
        frames: int = self.facts.fade_in
        return frames

    def lay(self, hops: int) -> Float32 | None:
        """Return the hops that are whole with the chunk that was laid out last; None if there is none.

        hops: what dn_lane_take said, if that was not as many as in `laid`.
        """
        if check_hops(hops) == 0:
            return None
        _, _, block, pointer = self.laid = self._room(hops)
        check_lane(_block(self.memory, hops, pointer))
        return block

    def _room(self, hops: int) -> Laid:
        shape = (self._channels, hops * self._hop)
        block = _empty(shape, _FLOAT32)
        return hops, shape, block, _from_buffer(_FLOATS, block)

    def results(self, made: Cleaned) -> tuple[int, Any, Any]:
        """Return hops and pointers of what the backend made of the block. Raises DenoiseError for another size."""
        (cleaned, voice), (hops, shape, _, _) = made, self.laid
        if cleaned.shape != shape or (self._gated and voice.shape != (self._channels, hops)):
            raise DenoiseError(
                f"{self.backend.name} made {cleaned.shape} samples and {voice.shape} probabilities of {hops} hop(s) of "
                f"{self._channels} channel(s); a state gives (channels, hops * {self._hop}) and (channels, hops)"
            )
        if cleaned.dtype is not _FLOAT32 or not cleaned.flags.c_contiguous:
            cleaned = np.ascontiguousarray(cleaned, _FLOAT32)
        pointer = _NULL
        if self._gated:
            pointer = _from_buffer(_FLOATS, np.ascontiguousarray(voice, _FLOAT32))
        return hops, _from_buffer(_FLOATS, cleaned), pointer


Work = tuple[Lane, Float32 | None]  # a lane, and its hops that are to be cleaned, (channels, n * hop)


class Lanes:
    """The lanes of one signal, the first of which is heard until those after it have faded in; and its dry line.

    non_finite: "raise" or "zero", what to do with bad samples. voice: float32 (channels, hops), probabilities of speech
    in the hops that the last chunk made whole, by the lane that is heard.
    """

    def __init__(self, lanes: Sequence[Lane], dry: Line | None, non_finite: str) -> None:
        self.lanes, self.dry, self._non_finite = tuple(lanes), dry, non_finite
        self.voice = self._no_voice = lanes[0].no_voice
        self._first, self._later, self._count = lanes[0], self.lanes[1:], len(lanes)
        self._memories = ffi.new("dn_lane *[]", [lane.memory for lane in lanes])
        self._dry_memory = ffi.NULL if dry is None else dry.memory

    def of(self, lanes: Sequence[Lane]) -> Lanes:
        """Return other lanes of the same signal."""
        others = Lanes(lanes, self.dry, self._non_finite)
        others.voice = self.voice
        return others

    @property
    def position(self) -> int:
        """Frames of the signal so far."""
        return self.lanes[0].position

    def take(self, samples: Array, number: int) -> list[Work]:
        """Lay out a plain chunk, of the type of that number, and return the hops that are whole with it.

        Raises AudioError for a bad sample; nothing has changed then, nor has it before `give`.
        """
        pointer, count = _from_buffer(samples), len(samples)
        work: list[Work] = []
        try:
            if self.dry is not None:
                self.dry.take(pointer, number, count)
            for lane in self.lanes:
                expected, _, block, laid = lane.laid
                hops = _take(lane.memory, number, pointer, count, LOUDEST, expected, laid)
                work.append((lane, block if hops == expected else lane.lay(hops)))
        except BadSampleError:
            good = to_float(samples, self._non_finite, self.position)
            return self.take(good, NUMBERS[good.dtype])
        return work

    def give(self, cleaned: Sequence[Cleaned | None], out: Array, number: int) -> Lanes:
        """Fill out with the frames that are due, and move on.

        cleaned: what the backends made of the hops. out: a plain array of as many frames as `take` got, of the type of
        that number. Returns the lanes that go on.
        """
        made = cleaned[0]
        if self._later:
            for lane, later in zip(self._later, cleaned[1:], strict=True):
                if later is not None:
                    check_lane(_bring(lane.memory, *lane.results(later)))
        hops, samples, voice = _NO_RESULTS if made is None else self._first.results(made)
        silent = _give(self._memories, self._count, self._dry_memory, hops, samples, voice, number, _from_buffer(out))
        if silent < 0:
            check_lane(-silent)
        if silent:
            made, onward = cleaned[silent], self.of(self.lanes[silent:])
        else:
            onward = self
        onward.voice = self._no_voice if made is None else made[1]
        return onward


_NO_RESULTS = (0, _NULL, _NULL)


def check_hops(hops: int) -> int:
    """Raise what dn_lane_take answers below zero, or return it."""
    if hops == -lib.DN_NOT_FINITE:
        raise BadSampleError
    if hops < 0:
        check_lane(-hops)
    return hops


def check_lane(status: int) -> None:
    """Raise what a dn_status of a lane means, unless that is that all is well."""
    if status == lib.DN_OK:
        return
    if status == lib.DN_NO_MEMORY:
        raise MemoryError("no memory for a stream")
    if status == lib.DN_BUSY:
        raise in_use()
    if status == lib.DN_BAD_STATE:
        raise DenoiseError("the saved stream is damaged, or of another version; start a new stream")
    raise DenoiseError(
        "a chunk was cut off by another one of the same stream, as from a signal handler; give one at a time"
    )
