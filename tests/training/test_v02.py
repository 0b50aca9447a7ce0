"""Training of the v0.2 network: that torch and the engine compute the same, and what a blob keeps of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from require import require

torch = require("torch", reason="training needs torch: pip install denoise-wrapper[training]")

from blobs import random_blob  # noqa: E402
from torch import Tensor  # noqa: E402

from denoise_wrapper.backends.convert import read_any_model, write_model  # noqa: E402
from denoise_wrapper.backends.features import FeatureExtractor  # noqa: E402
from denoise_wrapper.backends.native import FRAME  # noqa: E402
from denoise_wrapper.backends.rnnoise import RNNoiseBackend  # noqa: E402
from denoise_wrapper.errors import ConfigError, ModelError  # noqa: E402
from denoise_wrapper.models.records import MAP_NAMES, MapWeights, column_scales, decode_blob, encode_blob  # noqa: E402
from denoise_wrapper.models.shipped import MODELS  # noqa: E402
from denoise_wrapper.training.rnnoise.config import NetworkConfig  # noqa: E402
from denoise_wrapper.training.rnnoise.v02 import Recurrence, V02Network, last_runs, rounded, windows  # noqa: E402

SMALL = NetworkConfig(family="v0.2", conv=8, units=16)


def torch_order(matrix: Tensor) -> Tensor:
    """Columns z, r, n of (inputs, 3 units) as rows r, z, n, which torch's own GRU has."""
    z, r, n = matrix.chunk(3, dim=-1)
    return torch.cat([r, z, n], dim=-1).t() if matrix.ndim == 2 else torch.cat([r, z, n])


def test_the_recurrence_is_that_of_torch_and_so_are_its_gradients() -> None:
    torch.manual_seed(1)
    units, steps, batch = 6, 9, 3
    x, h0 = torch.randn(steps, batch, units), torch.randn(batch, units)
    weights, recurrent = torch.randn(units, 3 * units), torch.randn(units, 3 * units)
    bias, wanted = torch.randn(3 * units), torch.randn(steps, batch, units)
    parts = [part.clone().requires_grad_() for part in (x, h0, weights, recurrent, bias)]
    ours = Recurrence.apply(parts[0] @ parts[2], parts[1], parts[3], parts[4], None, False)
    (ours * wanted).sum().backward()
    gru = torch.nn.GRU(units, units)
    with torch.no_grad():
        for name, values in (("weight_ih_l0", weights), ("weight_hh_l0", recurrent), ("bias_hh_l0", bias)):
            getattr(gru, name).copy_(torch_order(values))
        gru.bias_ih_l0.zero_()
    x2, h2 = x.clone().requires_grad_(), h0.clone().requires_grad_()
    theirs, _ = gru(x2, h2[None])
    (theirs * wanted).sum().backward()
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    pairs = [(parts[0].grad, x2.grad), (parts[1].grad, h2.grad)]
    for part, name in ((parts[2], "weight_ih_l0"), (parts[3], "weight_hh_l0"), (parts[4], "bias_hh_l0")):
        assert part.grad is not None
        pairs.append((torch_order(part.grad), getattr(gru, name).grad))
    for one, two in pairs:
        torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)


def test_a_frame_that_is_not_run_is_not_remembered() -> None:
    torch.manual_seed(1)
    network = V02Network(SMALL).eval()
    features = torch.randn(12, 2, 65)
    features[3:5, 0] = 0.0
    features[0, 1] = features[11, 1] = 0.0
    with torch.no_grad():
        gains, voice, after = network(features, network.new_state(2))
        for row in range(2):
            run = (features[:, row] != 0.0).any(dim=1)
            alone = network(features[run][:, row : row + 1], network.new_state(1))
            torch.testing.assert_close(gains[run, row], alone[0][:, 0])
            torch.testing.assert_close(voice[run, row], alone[1][:, 0])
            for whole, part in zip(after, alone[2], strict=True):
                torch.testing.assert_close(whole[..., row, :], part[..., 0, :])


def test_windows_carry_on_from_call_to_call() -> None:
    x = torch.arange(24.0).view(8, 1, 3) + 1.0
    before = torch.zeros(2, 1, 3)
    whole, _ = windows(x, before, None)
    first, kept = windows(x[:3], before, None)
    rest, _ = windows(x[3:], kept, None)
    torch.testing.assert_close(torch.cat([first, rest]), whole)
    run = torch.ones(8, 1, dtype=torch.bool)
    torch.testing.assert_close(windows(x, before, last_runs(run))[0], whole)


@pytest.mark.parametrize("units", [16, 48])
def test_an_exported_network_answers_in_the_engine_as_in_torch(tmp_path: Path, units: int) -> None:
    torch.manual_seed(1)
    network = V02Network(NetworkConfig(family="v0.2", conv=24, units=units)).eval()
    write_model(network.to_model({"name": "test", "licence": "MIT"}), tmp_path / "test.bin")
    backend = RNNoiseBackend(tmp_path / "test.bin")
    assert backend.metadata["name"] == "test"
    rng = np.random.default_rng(1)
    audio = (0.05 * rng.standard_normal(100 * FRAME) * np.linspace(0.0, 1.0, 100 * FRAME)).astype(np.float32)
    audio[60 * FRAME : 70 * FRAME] = 0.0
    features = FeatureExtractor("v0.2").extract(audio, audio).features
    run = (features != 0.0).any(axis=1)
    assert 80 < run.sum() < 100
    with torch.no_grad():
        _, voice, _ = network(torch.from_numpy(features)[:, None], network.new_state(1), quantise=True)
    _, voices = backend.new_state(1).process(audio[None])
    difference = np.abs(torch.sigmoid(voice)[:, 0].numpy()[run] - voices[0][run])
    assert difference.max() < 0.02  # inputs of int8 layers fall to one side or the other of a step of 1/127
    assert difference.mean() < 0.002


def test_rounding_passes_gradients_and_hits_what_the_file_stores() -> None:
    torch.manual_seed(1)
    weight = (0.3 * torch.randn(16, 24)).requires_grad_()
    stored = rounded(weight)
    (2.0 * stored).sum().backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, torch.full((16, 24), 2.0))
    network = V02Network(SMALL)
    decoded = decode_blob(network.to_model({}).data)
    for name, part in network.maps().items():
        expected = rounded(part.weights) if part.int8 else part.weights
        np.testing.assert_allclose(decoded[name].weights, expected.detach().numpy(), atol=1e-6)
        np.testing.assert_array_equal(decoded[name].bias, part.bias.detach().numpy())


def test_steps_of_int8_leave_room_for_the_sum_of_a_pair() -> None:
    weights = np.array([[1.0, 1.0], [1.0, -1.0]], np.float32)
    np.testing.assert_allclose(column_scales(weights), [2.0 / 129.0, 1.0 / 127.0], rtol=1e-6)


def test_a_stored_network_can_be_gone_on_from() -> None:
    torch.manual_seed(1)
    network, other = V02Network(SMALL), V02Network(SMALL)
    model = network.to_model({})
    other.load_model(model)
    for name, part in decode_blob(other.to_model({}).data).items():
        np.testing.assert_allclose(part.weights, decode_blob(model.data)[name].weights, rtol=1e-5, atol=1e-8)
    with pytest.raises(ModelError, match=r"conv2: weights of \(24, 16\)"):
        V02Network(NetworkConfig(family="v0.2", conv=16, units=8)).load_model(model)
    with pytest.raises(ModelError, match="classic family"):
        other.load_model(read_any_model(MODELS / "rnnoise-classic.dnnw"))
    with pytest.raises(ConfigError, match="multiple of 8"):
        NetworkConfig(family="v0.2", units=20)


def test_a_larger_network_answers_as_the_smaller_one_that_it_grew_from() -> None:
    torch.manual_seed(2)
    small, large = V02Network(SMALL).eval(), V02Network(NetworkConfig(family="v0.2", conv=24, units=40)).eval()
    for made in small.maps().values():
        made.bias.data.normal_(std=0.3)
    model = small.to_model({})
    small.load_model(model)
    large.load_model(model)
    features = torch.randn(30, 2, 65)
    with torch.no_grad():
        answers = [network(features, network.new_state(2)) for network in (small, large)]
        for mine, theirs in zip(answers[0][:2], answers[1][:2], strict=True):
            torch.testing.assert_close(theirs, mine, atol=1e-5, rtol=1e-5)
        grown = answers[1][2][2][:, SMALL.units :]
    assert grown.abs().max() > 0.01  # the new units are awake, and what they say can be learned
    for name, part in decode_blob(large.to_model({}).data).items():
        assert part.weights.shape[0] > decode_blob(model.data)[name].weights.shape[0] or name == "conv1"


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("quantised", [False, True])
def test_blobs_of_others_are_decoded(sparse: bool, quantised: bool) -> None:
    """The float network that is made of what was decoded answers as the blob itself."""
    data = random_blob(16, 32, sparse, quantised)
    maps = decode_blob(data)
    assert set(maps) == set(MAP_NAMES)
    plain = encode_blob({name: MapWeights(part.weights, part.bias, False) for name, part in maps.items()})
    audio = (0.1 * np.random.default_rng(2).standard_normal((1, 50 * FRAME))).astype(np.float32)
    _, one = RNNoiseBackend(data).new_state(1).process(audio)
    _, two = RNNoiseBackend(plain).new_state(1).process(audio)
    np.testing.assert_allclose(one, two, atol=0.05 if quantised else 1e-4)
