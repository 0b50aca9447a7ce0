"""The engine alone, in C: a frame by network and instruction set, and where its time goes."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import networks
from benchmarks.options import Options
from benchmarks.programs import AS_IN_THE_WHEEL, PLAINLY, QUICKLY, compiled, output_of
from benchmarks.results import Cell, Table
from benchmarks.signals import Float32, clip
from benchmarks.timing import Times, processor_s, take_turns
from denoise_wrapper.backends import backend_names
from denoise_wrapper.backends.engine import EngineBackend
from denoise_wrapper.backends.enhancer import EnhancerBackend
from denoise_wrapper.backends.guided import GuidedBackend
from denoise_wrapper.backends.native import FRAME
from denoise_wrapper.backends.rnnoise import RNNoiseBackend, instruction_sets

RATE = 48000
PLAIN = "scalar"
NO_COMPILER = "skipped: no C compiler (cc, or what CC names)"


def time_in_c(backend: EngineBackend | GuidedBackend, block: Float32) -> float:
    """Microseconds a frame of one call into C for all of block, (1, n * 480)."""
    state = backend.new_state(1)
    return 1e6 * processor_s(lambda: state.process(block)) * FRAME / block.shape[1]


def by_instruction_set(options: Options) -> Iterator[Table]:
    """Microseconds a frame, as the wheel has the engine, and plain C at -O2."""
    made = {networks.FULL: networks.full_size()} | networks.enhancers()
    models = networks.shipped() | made | options.models
    sets, effort = instruction_sets(), options.effort
    audio = frames_of_clip(effort.frames)
    block = audio.reshape(1, -1)
    backends = {name: networks.make_backend(name, model) for name, model in models.items()}
    with contextlib.ExitStack() as stack:
        actions: dict[str, Callable[[], float]] = {}
        plain = stack.enter_context(compiled("engine", PLAINLY if effort.optimised else QUICKLY))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        audio.tofile(folder / "clip")
        for number, (name, model) in enumerate(models.items()):
            for isa in sets:
                backend = networks.make_backend(name, model, isa)
                actions[f"{name} {isa}"] = functools.partial(time_in_c, backend, block)
            if plain is not None:
                file = folder / f"model{number}"
                file.write_bytes(backends[name].data)
                command: list[str | Path] = [plain, PLAIN, file, folder / "clip", "1"]
                actions[f"{name} -O2"] = functools.partial(_number_from, command)
        times = take_turns(actions, effort.rounds)
    yield _engine_table(backends, sets, times, plain is not None)


def behind_their_guides(options: Options) -> Iterator[Table]:
    """Microseconds a frame of shipped enhancers and their guides together."""
    sets, effort = instruction_sets(), options.effort
    block = frames_of_clip(effort.frames).reshape(1, -1)
    names = [name for name in networks.GUIDED if name in backend_names()]
    actions = {
        f"{name} {isa}": functools.partial(time_in_c, networks.behind_its_guide(name, isa), block)
        for name in names
        for isa in sets
    }
    times = take_turns(actions, effort.rounds)
    yield Table(
        "guided",
        "Enhancers behind their guides, in C, microseconds of the processor for a frame of 10 ms",
        ["backend", *sets],
        [[name, *(times[f"{name} {isa}"].best for isa in sets)] for name in names],
        "The best of the rounds, in one call for many frames: what the guide takes, and what the enhancer does.",
        {f"C {key}": each.best for key, each in times.items()},
    )


def frames_of_clip(count: int) -> Float32:
    return clip(-(-count // 100), RATE)[: count * FRAME]


def _number_from(command: list[str | Path]) -> float:
    output = output_of(command)
    return float("nan") if output is None else float(output)


def _engine_table(
    backends: dict[str, EngineBackend], sets: tuple[str, ...], times: dict[str, Times], has_plain: bool
) -> Table:
    rows: list[list[Cell]] = []
    facts: dict[str, float] = {}
    for name, backend in backends.items():
        fastest = times[f"{name} {sets[0]}"].best
        row: list[Cell] = [name, *_kind_and_weights(backend)]
        row += [times[f"{name} {isa}"].best for isa in sets]
        if has_plain:
            row.append(times[f"{name} -O2"].best)
        rows.append([*row, fastest / times[f"{networks.CLASSIC} {sets[0]}"].best])
        facts |= {f"C {name} {isa}": times[f"{name} {isa}"].best for isa in sets} | {f"C {name}": fastest}
    return Table(
        "engine",
        "The engine in C, microseconds of the processor for a frame of 10 ms",
        ["network", "kind", "weights", *sets, *(["scalar, cc -O2"] if has_plain else []), f"x {networks.CLASSIC}"],
        rows,
        f"The best of the rounds, in one call for many frames. {networks.FULL}: random weights in the sizes and at the "
        f"sparseness of RNNoise 0.2's own; enhancers: random ones in the sizes that are trained. The last "
        f"column: the time with {sets[0]}, as a multiple.",
        facts,
    )


def _kind_and_weights(backend: EngineBackend) -> list[Cell]:
    if isinstance(backend, EnhancerBackend):
        return [backend.sizes.kind, f"{backend.weights / 1e3:.0f} k"]
    assert isinstance(backend, RNNoiseBackend)
    return [backend.family, f"{sum(layer.size for layer in backend.layers) / 1e3:.0f} k"]


def stages(options: Options) -> Iterator[Table]:
    """Time of each stage of a frame."""
    models = networks.shipped() | {networks.FULL: networks.full_size()}
    isa, effort = instruction_sets()[0], options.effort
    flags = AS_IN_THE_WHEEL if effort.optimised else QUICKLY
    parts: dict[str, dict[str, float]] = {}
    with contextlib.ExitStack() as stack:
        program = stack.enter_context(compiled("stages", flags))
        if program is None:
            yield Table("stages", "Stages of a frame", ["stages"], [[NO_COMPILER]])
            return
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        frames_of_clip(effort.frames).tofile(folder / "clip")
        for name, model in models.items():
            (folder / "model").write_bytes(networks.make_backend(name, model).data)
            command: list[str | Path] = [program, isa, folder / "model", folder / "clip", str(3 * effort.rounds)]
            parts[name] = _read_stages(output_of(command))
    names = list(next(iter(parts.values())))
    sums = {name: sum(list(times.values())[:-1]) for name, times in parts.items()}
    rows: list[list[Cell]] = []
    for stage in names:
        row: list[Cell] = [stage]
        for name, times in parts.items():
            row += [times[stage], f"{100 * times[stage] / sums[name]:.0f} %"]
        rows.append(row)
    yield Table(
        "stages",
        f"Stages of a frame with {isa}, microseconds",
        ["stage", *(head for name in parts for head in (name, "share"))],
        rows,
        "By the wall clock between the stages, what reading it takes taken off; of each frame the best of the rounds. "
        "The last line is the whole frame through dn_process, which gives the same samples bit for bit.",
    )


def _read_stages(output: str | None) -> dict[str, float]:
    if output is None:
        raise RuntimeError("the program that times the stages failed; it has said why")
    return {name: float(us) for us, name in (line.split(" ", 1) for line in output.splitlines())}
