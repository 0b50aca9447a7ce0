"""The enhancer's network as a file: records of sizes and weights; native/models/enhancer.c says which, and reads it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.errors import ModelError
from denoise_wrapper.models.classic import metadata_record
from denoise_wrapper.models.records import FLOAT, FLOAT16, INT32, read_records, record

Array = NDArray[Any]
KINDS = ("mixed", "rows", "depthwise")  # of bodies, by their number in the file
BANDS, KEYS, VOICE_UNITS = 128, 8, 12
TIMES, TAPS = 3, 5  # of the convolutions of a mixed body, in time and over rows
GROUP = 4  # bands that a body of rows makes one of


class Sizes(NamedTuple):
    """Sizes of a network, in the order of the record `enhancer_sizes`."""

    kind: str  # of the body, one of KINDS
    channels: int  # of a row
    width: int  # channels of a band that the body makes
    rows: int
    blocks: int
    units: int  # of a memory, for each row
    heads: int  # of the attention
    convolutions: int = 0  # on either side of the rows, or blocks of kind 'depthwise'; 0 of kind 'mixed'
    taps: int = 1  # frames that the low bins are made of; a record of its own, `enhancer_taps`
    guided: bool = False  # it sees a guide beside the signal; likewise, `enhancer_guided`

    @property
    def features(self) -> int:
        """Features of a band that the body sees."""
        return 3 + (3 if self.taps > 1 else 0) + (3 if self.guided else 0)


Shapes = dict[str, tuple[int, ...]]


def weight_shapes(sizes: Sizes) -> Shapes:
    """The shapes of all weights by the names of their records: inputs first, outputs last."""
    maps, biases = {"mixed": _mixed_shapes, "rows": _rows_shapes, "depthwise": _depthwise_shapes}[sizes.kind](sizes)
    width = sizes.width
    maps |= {"low_head": (width, 2 * sizes.taps + sizes.guided), "upper_head": (width, 2 + sizes.guided)}
    maps |= {"voice_hidden": (2 * width, VOICE_UNITS), "voice_output": (VOICE_UNITS, 1)}
    shapes = _bend_shapes(sizes) if sizes.kind == "depthwise" else {}
    for name, shape in maps.items():
        shapes[f"{name}_weights"] = shape
        if bias := biases.get(name, shape[-1:]):
            shapes[f"{name}_bias"] = bias
    return shapes


def _mixed_shapes(sizes: Sizes) -> tuple[Shapes, Shapes]:
    """Those of the body's maps, and of the biases that are not one for each output; () for none."""
    channels, units, rows = sizes.channels, sizes.units, sizes.rows
    taps, keys = 2 * BANDS // rows, 2 * sizes.heads * KEYS
    maps: Shapes = {"first": (TIMES, taps, sizes.features, channels)}
    biases: Shapes = {}
    for number in range(sizes.blocks):
        block = f"block{number}"
        maps |= {f"{block}_memory": (channels, 2 * units), f"{block}_after_memory": (units, channels)}
        maps |= {f"{block}_enter": (channels, channels), f"{block}_filter": (TIMES, TAPS, channels)}
        maps[f"{block}_leave"] = (channels, channels)
        biases[f"{block}_memory"] = (rows, 2 * units)
        if number + 1 < sizes.blocks:
            maps |= {f"{block}_queries": (channels, keys), f"{block}_after_attention": (channels, channels)}
            biases[f"{block}_queries"] = (rows, keys)
    maps |= {"join": (2 * channels, channels), "last": (channels, taps, sizes.width)}
    return maps, biases


def _rows_shapes(sizes: Sizes) -> tuple[Shapes, Shapes]:
    """Likewise."""
    channels, units, rows, groups = sizes.channels, sizes.units, sizes.rows, BANDS // GROUP
    maps: Shapes = {"first": (2 * GROUP, sizes.features, channels), "gather": (rows, groups), "spread": (groups, rows)}
    maps |= {"narrow": (channels, units), "widen": (units, channels)}
    biases: Shapes = {"gather": (), "spread": (), "block0_after_gru": (rows, units)}
    for number in range(sizes.blocks):
        block = f"block{number}"
        maps |= {f"{block}_{part}": (units, 3 * units) for part in ("input", "recurrent", "queries")}
        maps |= {f"{block}_{part}": (units, units) for part in ("after_gru", "after_attention")}
        biases[f"{block}_queries"] = ()
    for number in range(sizes.convolutions):
        maps |= {f"{part}{number}": (3, channels, channels) for part in ("encoder", "decoder")}
    maps |= {f"join{number}": (2 * channels, channels) for number in range(sizes.convolutions + 1)}
    maps["last"] = (channels, 2 * GROUP, sizes.width)
    return maps, biases


def halvings(sizes: Sizes) -> list[tuple[int, int]]:
    """The bands and the channels that each halving of a body of kind 'depthwise' leaves."""
    count = (BANDS // sizes.rows).bit_length() - 1
    return [(BANDS >> (number + 1), sizes.channels if number else sizes.channels // 2) for number in range(count)]


def depthwise_blocks(sizes: Sizes) -> dict[str, tuple[int, int, int, tuple[int, int]]]:
    """Of the blocks by their names: channels that come in, bands before and after, taps in time and over bands."""
    left = halvings(sizes)
    steps = enumerate(itertools.pairwise(left))
    blocks = {f"halving{number}": (channels, bands, after, (2, 3)) for number, ((bands, channels), (after, _)) in steps}
    for number in range(sizes.convolutions):
        block = (sizes.channels, sizes.rows, sizes.rows, (TIMES, TAPS))
        blocks |= {f"{side}{number}": block for side in ("encoder", "decoder")}
    return blocks


def _depthwise_shapes(sizes: Sizes) -> tuple[Shapes, Shapes]:
    """Likewise."""
    channels, units, half, (*halved, _) = sizes.channels, sizes.units, sizes.units // 2, halvings(sizes)
    maps: Shapes = {
        "first": (TIMES, 3, sizes.features, channels // 2),
        "narrow": (channels, units),
        "widen": (units, channels),
    }
    biases: Shapes = {}
    for name, (inputs, _, _, taps) in depthwise_blocks(sizes).items():
        maps |= {f"{name}_enter": (inputs, channels), f"{name}_filter": (*taps, channels)}
        maps |= {f"{name}_{part}": (channels, 3 * channels) for part in ("time_input", "time_recurrent")}
        maps |= {f"{name}_{part}": (channels, channels) for part in ("leave", "time_map")}
    for number in range(sizes.blocks):
        path = f"path{number}"
        maps |= {f"{path}_rows_input": (units, 2 * 3 * half), f"{path}_rows_recurrent": (2, half, 3 * half)}
        maps |= {f"{path}_{part}": (units, 3 * units) for part in ("time_input", "time_recurrent")}
        maps |= {f"{path}_{part}": (units, units) for part in ("rows_map", "time_map")}
        biases[f"{path}_rows_recurrent"] = (2, half)
    maps |= {f"doubling{number}_map": (channels, 2 * outputs) for number, (_, outputs) in enumerate(halved)}
    maps["last"] = (3, channels // 2, 2 * sizes.width)
    return maps, biases


def _bend_shapes(sizes: Sizes) -> Shapes:
    """Those of the bends of a body of kind 'depthwise'."""
    (bands, half), channels = halvings(sizes)[0], sizes.channels
    places = {"first_bend": (bands, half)}
    for name, (_, before, after, _) in depthwise_blocks(sizes).items():
        places |= {f"{name}_bend_first": (before, channels), f"{name}_bend": (after, channels)}
    places |= {f"doubling{number}_bend": place for number, place in enumerate(halvings(sizes)[:-1])}
    shapes: Shapes = {}
    for name, place in places.items():
        shapes |= {f"{name}_scale": place, f"{name}_offset": place, f"{name}_slope": place[1:]}
    return shapes


def encode_enhancer(
    sizes: Sizes, weights: Mapping[str, Array], metadata: Mapping[str, Any], float16: bool = False
) -> bytes:
    """The bytes of a model file. weights: by the names of their records, of any shape. float16: in 16 bits, not 32.

    Raises ModelError for a body that the engine has not, and for weights that are not finite.
    """
    if sizes.kind not in KINDS:
        raise ModelError(f"the engine runs bodies of kind {', '.join(KINDS)}, not '{sizes.kind}'")
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise ModelError(f"{name}: its weights are not all finite; go back to an earlier checkpoint")
    *numbers, taps, guided = sizes[1:]
    heads = {"enhancer_sizes": [KINDS.index(sizes.kind), *numbers]}
    heads |= {"enhancer_taps": [taps]} if taps > 1 else {}
    heads |= {"enhancer_guided": [1]} if guided else {}
    kind, dtype = (FLOAT16, "<f2") if float16 else (FLOAT, "<f4")
    with np.errstate(over="ignore"):  # what is too large for 16 bits is too large for the engine, which says so
        floats = [record(name, kind, np.ascontiguousarray(array, dtype).tobytes()) for name, array in weights.items()]
    whole = [record(name, INT32, np.array(values, "<i4").tobytes()) for name, values in heads.items()]
    return b"".join([metadata_record(dict(metadata)), *whole, *floats])


def is_enhancer(data: bytes) -> bool:
    """True for what begins as a file of `encode_enhancer` does."""
    return data.startswith(b"DNNw") and b"enhancer_sizes\0" in data


def decode_enhancer(data: bytes) -> tuple[Sizes, dict[str, Array]]:
    """The sizes and the weights, flat, of a file that the engine has loaded."""
    records = read_records(data)
    kind, *numbers = (int(number) for number in records.pop("enhancer_sizes"))
    taps = int(records.pop("enhancer_taps", np.ones(1))[0])
    guided = records.pop("enhancer_guided", None) is not None
    records.pop("metadata", None)
    sizes = dict(zip(Sizes._fields[1:], numbers, strict=False))  # the last two have records of their own
    return Sizes(KINDS[kind], **sizes, taps=taps, guided=guided), records
