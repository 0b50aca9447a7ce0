"""Pairs of a DTLN in ONNX Runtime: blocks and their spectra in the engine, the two models there."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime

from denoise_wrapper._native import ffi, lib
from denoise_wrapper.backends.base import (
    Float32,
    check_block,
    check_channels,
    refuse_bad_sample,
    split_channels,
)
from denoise_wrapper.backends.ending import Working
from denoise_wrapper.backends.native import LOUDEST, floats
from denoise_wrapper.errors import DenoiseError, ModelError
from denoise_wrapper.models.onnx import Source, called
from denoise_wrapper.models.pairs import Core, check_answers, check_fit, first_line, recognise

OVERLAP = 4  # blocks that each sample is in
TRIAL_BYTES = 256 << 20  # of memory in which a model of unknown origin has to run before it is used; DTLNs take 20 MB
TRIAL_S = 10.0  # and of time; DTLNs take 0.1 s
FRAMES_AT_ONCE = 256  # hops times channels in one run: bounds memory; 96 to 1024 are equally fast, 16 an eighth slower


class OnnxPair:
    """The two models of a DTLN as ONNX Runtime has them. Immutable, shared by threads.

    data: of the files, in either order, and sources, as messages name them. name: of the backend. rate: Hz. hop:
    samples. threads: of a run. strange: whether where they come from is not known. Raises ModelError.
    """

    def __init__(
        self,
        data: tuple[bytes, bytes],
        sources: tuple[Source, Source],
        name: str,
        rate: int,
        hop: int,
        threads: int,
        strange: bool,
    ) -> None:
        self.name, self.hop, self.threads = name, hop, threads
        self.block = OVERLAP * hop
        self.delay = self.block - hop
        for stranger, source in zip(data, sources, strict=True) if strange else ():
            try_out(stranger, source)
        cores = [_load(each, source, threads) for each, source in zip(data, sources, strict=True)]
        self.data = data if cores[0].stage == 1 else data[::-1]
        first, second = sorted(cores, key=lambda core: core.stage)
        try:
            check_fit(first, second, rate, self.block)
            with Working():
                check_answers(first)
                check_answers(second)
        except ModelError as error:
            raise ModelError(f"{' and '.join(map(called, sources))} cannot be used as {name}: {error}") from error
        self.cores: tuple[Core, Core] = (first, second)
        self.blocks = _new_blocks(self.block, hop)
        self._process = os.getpid()

    def new_state(self, backend: Any, channels: int) -> OnnxState:
        """Memory for one signal of so many channels, from silence. backend: whose pair this is."""
        return OnnxState(backend, self, channels)

    def check_process(self) -> None:
        """Raise DenoiseError in a process that was forked off this one, where threads of ONNX Runtime are missing."""
        if self.threads > 1 and os.getpid() != self._process:
            raise DenoiseError(
                f"{self.name} was loaded with threads={self.threads} before this process was forked, and "
                "threads do not come along; load it in this process, or with threads=1"
            )

    def process_many(
        self, states: Sequence[OnnxState], blocks: Sequence[Float32], min_gain: float
    ) -> list[tuple[Float32, Float32]]:
        """Clean a block of as many hops with each state: in one run of the models if they take any number of channels.

        AudioError leaves all states as they were.
        """
        self.check_process()
        hops, *_ = [state.check(block) for state, block in zip(states, blocks, strict=True)]
        if not all(core.batch for core in self.cores):
            return [state.process(block, min_gain) for state, block in zip(states, blocks, strict=True)]
        lanes = [state.lanes[0] for state in states]
        joint = _Lane(self, sum(map(len, blocks)), in_place=False)
        joint.gather(lanes)
        cleaned = joint.process(np.concatenate(blocks), hops, min_gain)
        joint.scatter(lanes)
        return split_channels(blocks, cleaned, np.zeros((len(cleaned), hops), np.float32))


class OnnxState:
    """The memory of one signal; one thread at a time. Copies and pickles go on bit for bit."""

    def __init__(self, backend: Any, pair: OnnxPair, channels: int) -> None:
        self.backend = backend
        self._pair = pair
        self._channels = check_channels(channels)
        together = all(core.batch for core in pair.cores)
        self.lanes = [_Lane(pair, channels)] if together else [_Lane(pair, 1) for _ in range(channels)]

    def process(self, block: Float32, min_gain: float = 0.0) -> tuple[Float32, Float32]:
        """Clean whole hops: see `base.State`.

        What the second model masks are features that it has learned, which have no gains to be limited one by one:
        so min_gain is the share of the late original in the result.
        """
        hops = self.check(block)
        self._pair.check_process()
        block, lanes = np.ascontiguousarray(block), self.lanes
        if len(lanes) == 1:
            cleaned = lanes[0].process(block, hops, min_gain)
        else:
            rows = [lane.process(block[at : at + 1], hops, min_gain) for at, lane in enumerate(lanes)]
            cleaned = np.concatenate(rows)
        return cleaned, np.zeros((self._channels, hops), np.float32)

    def reset(self) -> None:
        """Go back to silence, as fresh."""
        for lane in self.lanes:
            lane.reset()

    def check(self, block: Float32) -> int:
        """Count the hops of a block. Raises AudioError for another shape, or a bad sample."""
        hops = check_block(block, self._channels, self._pair.hop)
        # The sum of squares is within the limit only if each sample is: one cheap pass finds all well.
        if not np.vdot(block, block) <= LOUDEST * LOUDEST:
            refuse_bad_sample(block, LOUDEST)
        return hops

    def saved(self) -> list[list[Float32]]:
        """Return the memory of each lane."""
        return [lane.saved() for lane in self.lanes]

    def restore(self, saved: Sequence[list[Float32]]) -> None:
        """Go on from what `saved` returned."""
        for lane, memory in zip(self.lanes, saved, strict=True):
            lane.restore(memory)

    def __reduce__(self) -> tuple[Any, ...]:
        from denoise_wrapper.backends import restore_state

        return restore_state, (self.backend, self._channels, self.saved())


class _Room:
    """The arrays in which so many hops of so many channels are worked on, and where each begins."""

    def __init__(self, channels: int, hops: int, hop: int, block: int) -> None:
        bins = block // 2 + 1
        self.line = np.empty((channels, block - hop + hops * hop), np.float32)
        self.spectra = np.empty((channels, hops, bins, 2), np.float32)
        self.magnitudes, self.gains = (np.empty((channels, hops, bins), np.float32) for _ in range(2))
        self.frames, self.answers = (np.empty((channels, hops, block), np.float32) for _ in range(2))
        self.at = [floats(array) for array in (self.line, self.spectra, self.magnitudes, self.frames, self.answers)]


class _Lane:
    """The memory of channels that go through the models together.

    What is remembered is there twice, as it was before the last run and as it is now; what is now is `_now`, 0 or 1,
    which changes once all of a run is done. So a run that fails leaves all as it was.

    in_place: whether single hops are run with all arrays in place, which costs more the first time.
    """

    def __init__(self, pair: OnnxPair, channels: int, in_place: bool = True) -> None:
        self._first, self._second = pair.cores
        self._blocks, self._channels = pair.blocks, channels
        self._hop, self._block = pair.hop, pair.block
        self._at_once = max(1, FRAMES_AT_ONCE // channels) if self._first.time and self._second.time else 1
        self._now = 0
        newest, pending = (np.zeros((2, channels, pair.delay), np.float32) for _ in range(2))
        self._memory_1 = np.stack([self._first.memory(channels)] * 2)
        self._memory_2 = np.stack([self._second.memory(channels)] * 2)
        # heard: the newest samples in. pending: what is known of the samples still to come out.
        self._remembered = newest, pending, self._memory_1, self._memory_2
        self._heard_at, self._pending_at = ([floats(part) for part in array] for array in (newest, pending))
        self._room = _Room(channels, 1, self._hop, self._block) if in_place else None  # of a single hop
        self._bound: list[tuple[Any, Any]] = []  # the models with that room, for _now 0 and 1

    def process(self, samples: Float32, hops: int, min_gain: float) -> Float32:
        """Clean (channels, hops * hop) samples."""
        if 1 <= hops <= self._at_once:
            return self._run(samples, hops, min_gain)
        cleaned = np.empty(samples.shape, np.float32)
        size = self._at_once * self._hop
        for start in range(0, samples.shape[1], size):
            part = np.ascontiguousarray(samples[:, start : start + size])
            cleaned[:, start : start + size] = self._run(part, part.shape[1] // self._hop, min_gain)
        return cleaned

    def _run(self, samples: Float32, hops: int, min_gain: float) -> Float32:
        """Clean hops in one run of each model."""
        with Working():
            return self._run_models(samples, hops, min_gain)

    def _run_models(self, samples: Float32, hops: int, min_gain: float) -> Float32:
        """Run the models; a single hop, the live case, with all arrays in place."""
        now, then, channels = self._now, 1 - self._now, self._channels
        in_place = self._room is not None and hops == 1
        room = self._room if self._room and hops == 1 else _Room(channels, hops, self._hop, self._block)
        line, spectra, magnitudes, frames, answers = room.at
        newest, pending = self._heard_at, self._pending_at
        cleaned = np.empty(samples.shape, np.float32)
        lib.dn_blocks_analyse(
            self._blocks, channels, hops, newest[now], floats(samples), line, spectra, magnitudes, newest[then]
        )
        if in_place:
            bound_1, bound_2 = self._bind()[now]
            self._first.run_bound(bound_1)
        else:
            room.gains[:], self._memory_1[then] = self._first.run(room.magnitudes, self._memory_1[now])
        gains = self._first.mask(room.gains, room.magnitudes)
        lib.dn_blocks_synthesise(self._blocks, channels * hops, spectra, floats(gains), frames)
        if in_place:
            self._second.run_bound(bound_2)
        else:
            room.answers[:], self._memory_2[then] = self._second.run(room.frames, self._memory_2[now])
        lib.dn_blocks_add(self._blocks, channels, hops, answers, pending[now], floats(cleaned), pending[then])
        self._now = then
        return cleaned if min_gain == 0 else _limited(cleaned, room.line[:, : hops * self._hop], min_gain)

    def _bind(self) -> list[tuple[Any, Any]]:
        """The models as they run a single hop in place, from one memory to the other and back."""
        if not self._bound:
            room, memory_1, memory_2 = self._room, self._memory_1, self._memory_2
            assert room is not None
            self._bound = [
                (
                    self._first.bind(room.magnitudes, room.gains, memory_1[now], memory_1[1 - now]),
                    self._second.bind(room.frames, room.answers, memory_2[now], memory_2[1 - now]),
                )
                for now in (0, 1)
            ]
        return self._bound

    def reset(self) -> None:
        for array in self._remembered:
            array[:] = 0

    def gather(self, lanes: Sequence[_Lane]) -> None:
        """Remember what lanes do, whose channels this one's are."""
        for index, array in enumerate(self._remembered):
            parts = [lane._remembered[index][lane._now] for lane in lanes]
            np.concatenate(parts, axis=self._axis(index), out=array[self._now])

    def scatter(self, lanes: Sequence[_Lane]) -> None:
        """Let them remember what this one does."""
        for index, array in enumerate(self._remembered):
            axis, start = self._axis(index), 0
            for lane in lanes:
                stop = start + lane._channels
                memory = array[self._now]
                lane._remembered[index][lane._now] = memory[:, start:stop] if axis else memory[start:stop]
                start = stop

    def _axis(self, index: int) -> int:
        """The axis of the channels in a thing remembered."""
        core = (None, None, self._first, self._second)[index]
        return 0 if core is None or core.by_unit else 1

    def saved(self) -> list[Float32]:
        return [array[self._now].copy() for array in self._remembered]

    def restore(self, saved: list[Float32]) -> None:
        for array, memory in zip(self._remembered, saved, strict=True):
            array[self._now] = memory


def _new_blocks(block: int, hop: int) -> Any:
    out = ffi.new("dn_blocks **")
    if lib.dn_blocks_create(block, hop, out) != lib.DN_OK:
        raise MemoryError("no memory for the tables of the spectra")
    return ffi.gc(out[0], lib.dn_blocks_destroy)


def _limited(cleaned: Float32, late: Float32, min_gain: float) -> Float32:
    """The share min_gain of the late original, and of what was cleaned the rest: exactly the one at 1."""
    return cleaned * np.float32(1 - min_gain) + late * np.float32(min_gain)


def _load(data: bytes, source: Source, threads: int) -> Core:
    """One model, not yet known to fit the other."""
    return _open(data, source, _options(threads))


def try_out(data: bytes, source: Source) -> None:
    """Run a model of unknown origin as it is written, within limits of memory and time.

    A few bytes can ask for any amount of either, in more ways than could be listed, and ONNX Runtime would work out
    what is constant while it loads a model. So none of that is done here, and what is made of nothing is made in the
    run. Raises ModelError if the model cannot be run, or asks for too much.
    """
    _limit_memory()
    options = _options(1)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.use_env_allocators", "1")
    core = _open(data, source, options)
    run = onnxruntime.RunOptions()
    run.log_severity_level = 4
    limit = threading.Timer(TRIAL_S, setattr, (run, "terminate", True))
    limit.daemon = True
    limit.start()
    try:
        with Working():
            check_answers(core, FRAMES_AT_ONCE, run)
    except ModelError as error:
        most = f"{TRIAL_BYTES >> 20} MB and {TRIAL_S:g} s are what a model may take"
        raise ModelError(f"the model {called(source)} cannot be used: {error} ({most})") from error
    finally:
        limit.cancel()


@functools.cache
def _limit_memory() -> None:
    """Have sessions that ask for it share a memory of at most TRIAL_BYTES."""
    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    place = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    limits = onnxruntime.OrtArenaCfg({"max_mem": TRIAL_BYTES, "arena_extend_strategy": 1})  # no more than is asked for
    with contextlib.suppress(RuntimeError):  # the program that we are part of has set its own
        onnxruntime.create_and_register_allocator(place, limits)


def _options(threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised, not printed
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _open(data: bytes, source: Source, options: Any) -> Core:
    """The model of a session with these options."""
    try:
        with Working():
            session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except DenoiseError:
        raise
    except Exception as error:  # ONNX Runtime has many kinds, without a root of their own
        raise ModelError(f"the model {called(source)} cannot be loaded: {first_line(error)}") from error
    try:
        return recognise(session)
    except ModelError as error:
        raise ModelError(f"the model {called(source)} cannot be used: {error}") from error
