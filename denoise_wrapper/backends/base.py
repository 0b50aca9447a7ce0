"""The protocols of a denoiser: a backend that is shared, and a state that belongs to one stream."""

from __future__ import annotations

import itertools
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.errors import AudioError

Float32 = NDArray[np.float32]
_FLOAT32 = np.dtype(np.float32)


class State(Protocol):
    """All that changes while the channels of one signal flow through a backend; one thread at a time.

    States are picklable and copyable (`copy.deepcopy`): the copy goes on bit for bit like the original.
    """

    def process(self, block: Float32, min_gain: float = 0.0) -> tuple[Float32, Float32]:
        """Clean whole hops.

        block: float32 (channels, n * hop), C-contiguous, full scale +-1; not to be changed or kept.
        min_gain: 0 to 1, the gain below which no part of the signal is turned down; 1 lets everything through.
        Returns (cleaned, voice): float32 (channels, n * hop), `backend.delay` samples late and perhaps past full
        scale, and float32 (channels, n) probabilities of speech, zeros if the backend has none.
        Raises AudioError if a sample is not finite; the state is then as before.
        """
        ...

    def reset(self) -> None:
        """Go back to silence, as fresh."""
        ...


class Backend(Protocol):
    """A trained network and its signal processing at one fixed rate. Immutable, shared by threads and streams."""

    @property
    def name(self) -> str:
        """The name it goes by in the registry."""
        ...

    @property
    def sample_rate(self) -> int:
        """Hz."""
        ...

    @property
    def hop(self) -> int:
        """Samples in, and out, at a time."""
        ...

    @property
    def delay(self) -> int:
        """Samples by which the output is later than the input."""
        ...

    @property
    def has_vad(self) -> bool:
        """True if the probabilities of speech mean anything."""
        ...

    def new_state(self, channels: int) -> State:
        """Memory for one signal of so many channels, from silence."""
        ...

    # A backend may also have process_many(states, blocks, min_gain) -> [(cleaned, voice), ...]: what each state's
    # `process` would answer to its block, all blocks having as many hops; in one go, which costs less. The states are
    # all its own, and each is there once. AudioError leaves all of them as they were.


class Loaded(ABC):
    """A backend that pickles by name and hash, so that whoever unpickles shares it with all others of that model.

    kind: what `restore_backend` calls its class. name: what it goes by. data: its model files, bit for bit.
    shipped: whether it is the model that comes with the package under that name. options: arguments of its class
    beside the model and the name, without those that are as usual.
    """

    kind: str
    name: str
    shipped: bool
    options: dict[str, Any]

    @property
    @abstractmethod
    def data(self) -> bytes | tuple[bytes, ...]:
        """The model files, bit for bit."""

    @property
    def files(self) -> tuple[bytes, ...]:
        """The model files, each for itself."""
        return (self.data,) if isinstance(self.data, bytes) else self.data

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the model files, one after the other."""
        import hashlib  # which brings OpenSSL along, and takes milliseconds to import

        return hashlib.sha256(b"".join(self.files)).hexdigest()

    def __reduce__(self) -> tuple[Any, ...]:
        from denoise_wrapper.backends import restore_backend

        data = None if self.shipped else self.data
        return restore_backend, (self.kind, self.name, self.digest, data, self.options)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


_live: weakref.WeakSet[Loaded] = weakref.WeakSet()
_live_lock = threading.Lock()


def remember(backend: Loaded) -> None:
    """Let `recalled` find a backend for as long as it lives."""
    with _live_lock:
        _live.add(backend)


def recalled(kind: str, name: str, digest: str, options: dict[str, Any]) -> Loaded | None:
    """Return a living backend with that model, if there is one."""
    with _live_lock:
        living = list(_live)
    for backend in living:
        same = (backend.kind, backend.name, backend.options) == (kind, name, options)
        if same and backend.digest == digest:
            return backend
    return None


def process_together(
    backend: Backend, states: Sequence[State], blocks: Sequence[Float32], min_gain: float
) -> list[tuple[Float32, Float32]]:
    """Clean a block of as many hops with each state, all of backend: in one call if the backend can."""
    many = getattr(backend, "process_many", None)
    if many is None or len(states) == 1:
        return [state.process(block, min_gain) for state, block in zip(states, blocks, strict=True)]
    done: list[tuple[Float32, Float32]] = many(states, blocks, min_gain)
    return done


def split_channels(blocks: Sequence[Float32], cleaned: Float32, voice: Float32) -> list[tuple[Float32, Float32]]:
    """Part the channels of several blocks, cleaned one below the other, by block again."""
    ends = list(itertools.accumulate(map(len, blocks)))
    return [
        (cleaned[end - len(each) : end], voice[end - len(each) : end]) for each, end in zip(blocks, ends, strict=True)
    ]


def check_channels(channels: int) -> int:
    """Give channels back. Raises AudioError unless it is 1 or more."""
    if channels < 1:
        raise AudioError(f"a signal has 1 channel or more, not {channels}")
    return channels


def check_block(block: Float32, channels: int, hop: int) -> int:
    """Count the hops of a block. Raises AudioError unless it is float32 (channels, n * hop)."""
    (rows, samples), dtype = block.shape, block.dtype
    if rows != channels or samples % hop or (dtype is not _FLOAT32 and dtype != _FLOAT32):
        raise AudioError(
            f"a block of {channels} channel(s) is float32 ({channels}, n * {hop}), not {dtype} {block.shape}"
        )
    return samples // hop


def check_blocks(channels: Iterable[int], blocks: Sequence[Float32], hop: int) -> int:
    """Count the hops of blocks that have as many, each of so many channels: see `check_block`."""
    frames = 0
    for count, block in zip(channels, blocks, strict=True):
        frames = check_block(block, count, hop)
    return frames


def refuse_bad_sample(block: Float32, loudest: float) -> None:
    """Raise AudioError for the first sample that is not finite or beyond +-loudest, full scale being 1; none if all
    are good.

    block: float32 (channels, n), or (n,) of one signal.
    """
    bad = np.argwhere(~(np.abs(block) <= loudest))
    if len(bad):
        channel = f" of channel {bad[0][0]}" if block.ndim == 2 else ""
        value = block[tuple(bad[0])]
        rule = f"be within +-{loudest:g}, full scale being 1" if np.isfinite(value) else "be finite"
        raise AudioError(f"sample {bad[0][-1]}{channel} of the block is {value}; every sample must {rule}")
