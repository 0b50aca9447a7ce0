"""Weights of a v0.2 network into a blob and out of it, held to the formulas' own reader of blobs."""

from __future__ import annotations

import numpy as np
import pytest
import reference_v02
from blobs import random_blob

from denoise_wrapper.backends.rnnoise import RNNoiseBackend
from denoise_wrapper.errors import ModelError
from denoise_wrapper.models.records import MAP_NAMES, MapWeights, decode_blob, encode_blob
from denoise_wrapper.models.v02 import Map

ENDS = ("conv1", "dense_out", "vad_dense")  # which are float in every blob


def random_maps(first: int, units: int, int8: bool) -> dict[str, MapWeights]:
    rng = np.random.default_rng(7)
    inputs = dict.fromkeys(MAP_NAMES, units) | {"conv1": 3 * 65, "conv2": 3 * first}
    inputs |= {"dense_out": 4 * units, "vad_dense": 4 * units}
    outputs = dict.fromkeys(MAP_NAMES, 3 * units) | {"conv1": first, "conv2": units, "dense_out": 32, "vad_dense": 1}

    def draw(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return np.asarray(rng.normal(0, 0.2, shape), np.float32)

    return {
        name: MapWeights(draw(inputs[name], outputs[name]), draw(outputs[name]), int8 and name not in ENDS)
        for name in MAP_NAMES
    }


def matrix(records: reference_v02.Records, name: str, inputs: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """(inputs, outputs), diagonal and all, as the formulas have it."""
    decoded = reference_v02.Map(records, name, inputs, rounded=False)
    whole = decoded.matrix.T.copy()
    if decoded.diagonal is not None:
        outputs = np.arange(whole.shape[1])
        whole[outputs % inputs, outputs] += decoded.diagonal
    return whole


@pytest.mark.parametrize(("first", "units"), [(16, 24), (13, 18)])
def test_floats_are_written_and_read_bit_for_bit(first: int, units: int) -> None:
    maps = random_maps(first, units, int8=False)
    blob = encode_blob(maps)
    RNNoiseBackend(blob)
    for name, read in decode_blob(blob).items():
        np.testing.assert_array_equal(read.weights, maps[name].weights)
        np.testing.assert_array_equal(read.bias, maps[name].bias)
        np.testing.assert_array_equal(
            matrix(reference_v02.read_records(blob), name, len(read.weights)), maps[name].weights
        )
    assert encode_blob(decode_blob(blob)) == blob


def test_integers_are_the_nearest_steps_and_their_pairs_fit_16_bits() -> None:
    maps = random_maps(16, 24, int8=True)
    blob = encode_blob(maps)
    records = reference_v02.read_records(blob)
    kinds = {item.name: item.kind for item in RNNoiseBackend(blob).layers if isinstance(item, Map)}
    assert kinds == {name: "float" if name in ENDS else "int8" for name in MAP_NAMES}
    for name in set(MAP_NAMES) - set(ENDS):
        weights, step = maps[name].weights, records[f"{name}_scale"].astype(np.float64) * 127
        steps = matrix(records, name, len(weights)) / step
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
        assert abs(steps).max() < 127.5
        assert abs(steps[0::2] + steps[1::2]).max() < 130.5  # 129, and half a step of each
        assert abs(steps * step - weights).max() <= 0.5001 * step.max()
        subias = maps[name].bias - step * np.round(steps).sum(axis=0)
        np.testing.assert_allclose(records[f"{name}_subias"], subias, atol=1e-4)


def test_integers_written_again_are_the_same_integers() -> None:
    blob = encode_blob(random_maps(16, 24, int8=True))
    once, twice = (reference_v02.read_records(b) for b in (blob, encode_blob(decode_blob(blob))))
    assert list(once) == list(twice)
    for name, values in once.items():
        if values.dtype == np.int8:
            np.testing.assert_array_equal(values, twice[name])
        else:
            np.testing.assert_allclose(values, twice[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("quantised", [False, True])
def test_every_form_is_read_as_the_formulas_read_it(sparse: bool, quantised: bool) -> None:
    blob = random_blob(16, 24, sparse, quantised)
    records = reference_v02.read_records(blob)
    maps = decode_blob(blob)
    assert list(maps) == list(MAP_NAMES)
    for name, read in maps.items():
        assert read.int8 is (quantised and name not in ENDS)
        np.testing.assert_allclose(read.weights, matrix(records, name, len(read.weights)), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_not_written(value: float) -> None:
    maps = random_maps(16, 24, int8=True)
    maps["gru2_input"].weights[3, 5] = value
    with pytest.raises(ModelError, match="gru2_input: its weights are not all finite"):
        encode_blob(maps)


def test_integers_of_a_shape_that_has_no_blocks_are_not_written() -> None:
    with pytest.raises(ModelError, match="conv2: int8 weights have 4n inputs and 8n outputs, not 39 and 24"):
        encode_blob(random_maps(13, 24, int8=True))
