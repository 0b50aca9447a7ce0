"""The two models of a DTLN as they are met: which is which, what they want to be given, and how they are run.

Three styles are told apart by the number of inputs and their shapes (F bins, L samples a block, U units):

    ours       signal [T, N, F or L], state [4, N, U] -> answer, state; any number of hops T and of channels N
    published  signal [1, 1, F or L], state [1, 2, U, 2] -> answer, state
    split      signal [1, 1, F] or [1, L, 1], four states [1, 1, U] -> answer, [4, 1, U]; the first of the two answers
               with the masked magnitude in place of the mask

Where a signal has N and T the other way round, its channels are the axis that is called as that of the state is.
The state of ours is h1, c1, h2, c2 of the two LSTMs; the axes of the published one are channel, LSTM, unit, (h, c).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.errors import ModelError
from denoise_wrapper.models.onnx import check_length, check_notes

Float32 = NDArray[np.float32]
LEAST = np.float32(1e-30)  # a magnitude that may be divided by
WIDEST = 1 << 14  # bins, samples and units; more would only be a way to use up memory


@dataclass(frozen=True, eq=False)
class Core:
    """A loaded model of the pair.

    session: of ONNX Runtime. stage: 1 masks spectra, 2 masks learned features of blocks. width: bins, or samples a
    block. units: of each LSTM. batch, time: whether any number of channels, or of hops, goes through in one run.
    by_time: whether hops are the first axis of the signal. by_unit: whether the state is [N, 2, U, 2]. upright: whether
    a block stands, [1, L, 1]. masks: whether the first one answers with a mask. signal, states, outputs: names.
    """

    session: Any
    stage: int
    width: int
    units: int
    batch: bool
    time: bool
    by_time: bool
    by_unit: bool
    upright: bool
    masks: bool
    signal: str
    states: tuple[str, ...]
    outputs: tuple[str, str]

    @property
    def metadata(self) -> dict[str, str]:
        """Metadata of the file."""
        return dict(self.session.get_modelmeta().custom_metadata_map)

    def memory(self, channels: int) -> Float32:
        """The states of so many channels, from silence."""
        return np.zeros((channels, 2, self.units, 2) if self.by_unit else (4, channels, self.units), np.float32)

    def run(self, signal: Float32, memory: Float32, options: Any = None) -> tuple[Float32, Float32]:
        """(answer, memory after it). signal, answer: (channels, hops, width). options: of ONNX Runtime for this run."""
        axes = (1, 0, 2) if self.by_time else (0, 2, 1) if self.upright else (0, 1, 2)
        signal_in = np.ascontiguousarray(signal.transpose(axes))
        feed = {self.signal: signal_in, **dict(zip(self.states, self._parts(memory), strict=True))}
        answer, after = self.session.run(self.outputs, feed, options)
        return answer.transpose(axes), after

    def mask(self, answer: Float32, magnitude: Float32) -> Float32:
        """The gains of the bins. answer: of the first model, to magnitude."""
        return answer if self.masks else np.divide(answer, np.maximum(magnitude, LEAST), dtype=np.float32)

    def bind(self, signal: Float32, answer: Float32, before: Float32, after: Float32) -> Any:
        """Bind a single hop to arrays, for `run_bound`; they must outlive it.

        signal, answer: (channels, 1, width). before, after: memories.
        """
        channels = len(signal)
        shape = (1, channels, self.width) if self.by_time else (channels, 1, self.width)
        shape = (channels, self.width, 1) if self.upright else shape
        binding = self.session.io_binding()
        for name, part in zip(self.states, self._parts(before), strict=True):
            binding.bind_input(name, "cpu", 0, np.float32, part.shape, part.ctypes.data)
        binding.bind_input(self.signal, "cpu", 0, np.float32, shape, signal.ctypes.data)
        binding.bind_output(self.outputs[0], "cpu", 0, np.float32, shape, answer.ctypes.data)
        binding.bind_output(self.outputs[1], "cpu", 0, np.float32, after.shape, after.ctypes.data)
        return binding

    def run_bound(self, binding: Any) -> None:
        """Run a single hop."""
        self.session.run_with_iobinding(binding)

    def _parts(self, memory: Float32) -> list[Float32]:
        """The memory as the model's inputs take it: views."""
        return [memory] if len(self.states) == 1 else [memory[index : index + 1] for index in range(4)]


def recognise(session: Any) -> Core:
    """The model of a session. Raises ModelError, in a few words, if it is none of a DTLN's."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shapes = f"its inputs are {_shapes(inputs)}, its outputs {_shapes(outputs)}"
    if any(port.type != "tensor(float)" for port in [*inputs, *outputs]):
        raise ModelError(f"a DTLN takes and gives float32; {shapes}")
    of_one = [port for port in inputs if len(port.shape) == 4 or port.shape[:1] == [4]]
    states = inputs[1:] if len(inputs) == 5 else of_one
    signals = [port for port in inputs if port not in states]
    if len(signals) != 1 or len(states) not in (1, 4) or len(outputs) != 2 or len(signals[0].shape) != 3:
        raise ModelError(f"a DTLN takes a signal and its states and gives both; {shapes}")
    by_unit = len(states[0].shape) == 4
    units = states[0].shape[2]
    lanes = states[0].shape[0 if by_unit else 1]
    channels, time, width = signals[0].shape
    upright = width == 1
    if upright:
        time, width = 1, time
    by_time = bool(time == lanes != channels)
    if by_time:
        channels, time = time, channels
    wanted = [lanes, 2, units, 2] if by_unit else [4 if len(states) == 1 else 1, lanes, units]
    fits = all(isinstance(size, int) and 1 < size <= WIDEST for size in (width, units))
    fits = fits and all(list(state.shape) == wanted for state in states)
    fits = fits and all(size == 1 or not isinstance(size, int) for size in (channels, time, lanes))
    if not fits:
        raise ModelError(f"a DTLN takes a signal and its states, one channel and hop at least; {shapes}")
    return Core(
        session=session,
        stage=1 if width % 2 else 2,
        width=width,
        units=units,
        batch=not isinstance(channels, int) and not isinstance(lanes, int),
        time=not isinstance(time, int),
        by_time=by_time,
        by_unit=by_unit,
        upright=upright,
        masks=len(states) == 1,
        signal=signals[0].name,
        states=tuple(state.name for state in states),
        outputs=(outputs[0].name, outputs[1].name),
    )


def check_fit(first: Core, second: Core, rate: int, block: int) -> None:
    """Raises ModelError unless the two are one pair, for blocks of that many samples at that rate."""
    if first.stage == second.stage:
        which, other = ("first", "second") if first.stage == 1 else ("second", "first")
        raise ModelError(f"both files are the {which} model of a pair; give the {other} too")
    if first.width != second.width // 2 + 1:
        raise ModelError(
            f"the two do not belong together: the first takes {first.width} bins, those of blocks of "
            f"{2 * first.width - 2} samples, the second blocks of {second.width}"
        )
    check_length(second.width, rate, block)
    check_notes((first.metadata, second.metadata), rate, block)


def check_answers(core: Core, most_hops: int = 3, options: Any = None) -> None:
    """Raises ModelError unless the model answers silence with finite numbers of the right shapes, however it is run.

    most_hops: at a time, if it takes more than one. options: of ONNX Runtime for the runs.
    """
    for channels, hops in ((1, 1), (2, 3), (1, most_hops)):
        channels, hops = channels if core.batch else 1, hops if core.time else 1
        signal_in = np.zeros((channels, hops, core.width), np.float32)
        memory = core.memory(channels)
        try:
            answer, after = core.run(signal_in, memory, options)
        except Exception as error:  # whatever ONNX Runtime raises
            raise ModelError(f"model {core.stage} cannot be run: {first_line(error)}") from error
        for what, got, wanted in (("signal", answer, signal_in), ("state", after, memory)):
            if got.shape != wanted.shape:
                raise ModelError(f"model {core.stage} answers with a {what} {got.shape}, and {wanted.shape} is wanted")
            if not np.isfinite(got).all():
                raise ModelError(f"model {core.stage} answers silence with NaN or infinity; its weights are damaged")


def first_line(error: Exception) -> str:
    """First line of an error of ONNX Runtime, without the pages that may follow."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _shapes(ports: list[Any]) -> str:
    sizes = (" x ".join(str(size) for size in port.shape) for port in ports)
    return ", ".join(f"{port.name} [{size}]" for port, size in zip(ports, sizes, strict=True)) or "none"
