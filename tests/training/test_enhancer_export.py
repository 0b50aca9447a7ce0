"""The enhancer's way into the engine: it answers as torch does, at the end of a run, by hand, and from a checkpoint."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from require import require

torch = require("torch", reason="pip install 'denoise-wrapper[training]'")
onnxruntime = require("onnxruntime", reason="pip install 'denoise-wrapper[onnx]'")
from enhancers import small_config, some_speech  # noqa: E402
from guiding import process_guided  # noqa: E402
from recorded import signal_to_difference_db  # noqa: E402
from training_runs import save_toml  # noqa: E402

from denoise_wrapper import Denoiser  # noqa: E402
from denoise_wrapper.backends.enhancer import EnhancerBackend  # noqa: E402
from denoise_wrapper.cli.main import main as cli_main  # noqa: E402
from denoise_wrapper.errors import FileError, ModelError  # noqa: E402
from denoise_wrapper.training.enhancer import onnx_export, train  # noqa: E402
from denoise_wrapper.training.enhancer.bands import HOP  # noqa: E402
from denoise_wrapper.training.enhancer.bodies.sizes import SIZES  # noqa: E402
from denoise_wrapper.training.enhancer.config import BodyConfig  # noqa: E402
from denoise_wrapper.training.enhancer.export import encode_network  # noqa: E402
from denoise_wrapper.training.enhancer.network import Enhancer  # noqa: E402
from denoise_wrapper.training.enhancer.publish import convert, read_network  # noqa: E402
from denoise_wrapper.training.run.checkpoint import BEST, LAST, load_checkpoint, save_checkpoint  # noqa: E402

SMALL = BodyConfig("mixed", channels=8, width=3, rows=8, recurrent_blocks=2, recurrent_width=8, heads=1)
SMALL_ROWS = BodyConfig("rows", channels=8, width=3, blocks=1, rows=8, recurrent_blocks=1, recurrent_width=8, heads=2)
SMALL_DEPTHWISE = BodyConfig("depthwise", channels=8, width=2, blocks=1, rows=8, recurrent_blocks=1, recurrent_width=8)
UNKNOWN = BodyConfig("depthwise", channels=16, width=2, blocks=1, rows=64, recurrent_blocks=1, recurrent_width=8)
BODIES = {
    "enhancer": SIZES["mixed", "enhancer"],
    "enhancer-tiny": SIZES["mixed", "enhancer-tiny"],
    "small": SMALL,
    "rows": SIZES["rows", "enhancer"],
    "taps": replace(SIZES["rows", "enhancer"], taps=5),
    "small, taps": replace(SMALL, taps=2),
    "guided": replace(SIZES["rows", "enhancer"], taps=5, guide="rnnoise"),
    "small, guided": replace(SMALL, guide="enhancer-live"),
    "rows, tiny": SIZES["rows", "enhancer-tiny"],
    "depthwise": SIZES["depthwise", "enhancer"],
    "depthwise, tiny": SIZES["depthwise", "enhancer-tiny"],
    "small depthwise": SMALL_DEPTHWISE,
}


def lively_network(body: BodyConfig) -> Enhancer:
    """A network in evaluation mode whose norms have met some audio, and whose masks move with what comes in."""
    torch.manual_seed(1)
    network = Enhancer(body)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.2 * torch.randn_like(weight) if weight.ndim == 1 else 0.5 * weight)
        for head in (network.low_head, network.upper_head):
            head.weight[:2].mul_(3.0)
            head.weight[2:].normal_(0.0, 0.3)
        for _ in range(20):
            network.denoise(*0.1 * torch.randn(2, 2, 20 * HOP))
    return network.eval()


@pytest.mark.parametrize("size", BODIES)
def test_the_engine_answers_as_torch(size: str) -> None:
    network = lively_network(BODIES[size])
    audio, guide = some_speech(1.5) + 0.02 * torch.randn(2, 1, 72000)
    with torch.no_grad():
        wanted, voice, _ = network(audio, network.new_state(1), guide)
    backend = EnhancerBackend(encode_network(network, {"name": size}), isa="scalar")  # in floats throughout
    cleaned, probability = process_guided(backend.new_state(1), audio.numpy(), guide.numpy(), 0.0)
    late = audio.numpy()[0, :-HOP]
    assert signal_to_difference_db(late, wanted.numpy()[0, HOP:]) < 15  # it has changed something
    assert signal_to_difference_db(wanted.numpy(), cleaned) >= 100
    np.testing.assert_allclose(probability, torch.sigmoid(voice).numpy(), atol=1e-5)
    assert backend.delay == network.delay
    guides = {"guide": network.guide} if network.is_guided else {}
    assert backend.metadata == {"name": size} | guides


def test_a_run_ends_with_a_model_and_its_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = replace(small_config(tmp_path), name="mine", body=SMALL)
    assert train.main(config) == 0
    folder = config.work_dir
    card = (folder / "mine.md").read_text(encoding="utf-8")
    assert "# mine\n\nAn enhancer for 48 kHz" in card
    assert "| mine.dnnw |" in card
    assert "![course of the training](mine.png)" in card
    assert (folder / "mine.png").is_file()
    backend = EnhancerBackend(folder / "mine.dnnw")
    assert backend.metadata["licence"] == config.licence
    assert "trained from nothing" in backend.metadata["origin"]
    audio = some_speech(0.5)
    with torch.no_grad():
        wanted = read_network(folder / BEST).denoise(audio).numpy()[0]
    cleaned = Denoiser(backend).filter(audio.numpy()[0], 48000)
    assert signal_to_difference_db(wanted, cleaned) >= 100

    toml = save_toml(config, tmp_path / "run.toml")
    assert cli_main(["train", "enhancer", "-C", str(toml), "--export", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again/mine.dnnw").read_bytes() == (folder / "mine.dnnw").read_bytes()
    words = ["convert", str(folder), "-o", str(tmp_path), "--name", "other", "--licence", "MIT-0"]
    assert cli_main(words) == 0
    assert cli_main(["convert", str(folder / LAST), "-o", str(tmp_path / "new/last.dnnw")]) == 0
    assert EnhancerBackend(tmp_path / "new/last.dnnw").metadata["name"] == "last"
    assert cli_main(["convert", str(folder), "-o", str(tmp_path / "half.dnnw"), "--to", "float16"]) == 0
    assert (tmp_path / "half.dnnw").stat().st_size < 0.8 * (folder / "mine.dnnw").stat().st_size
    rounded = Denoiser("enhancer", model=tmp_path / "half.dnnw").filter(audio.numpy()[0], 48000)
    assert 45 <= signal_to_difference_db(wanted, rounded) < 100
    assert cli_main(["convert", str(folder), "-o", str(tmp_path)]) == 2
    assert "name the file by --name NAME" in capsys.readouterr().err
    other = EnhancerBackend(tmp_path / "other.dnnw")
    assert (other.metadata["name"], other.metadata["licence"]) == ("other", "MIT-0")
    with pytest.raises(FileError, match="exists"):
        convert(folder / LAST, tmp_path / "other.dnnw")


@pytest.mark.parametrize("kind", ["rows", "depthwise"])
def test_the_engine_answers_as_torch_with_weights_that_have_learned(tmp_path: Path, kind: str) -> None:
    body = SIZES[kind, "enhancer-tiny"]  # type: ignore[index]
    config = replace(small_config(tmp_path, steps=20, evaluate_every=20), name="mine", body=body)
    assert train.main(config) == 0
    backend, audio = EnhancerBackend(config.work_dir / "mine.dnnw", isa="scalar"), some_speech(0.5)
    with torch.no_grad():
        wanted = read_network(config.work_dir / BEST).denoise(audio).numpy()[0]
    cleaned = Denoiser(backend).filter(audio.numpy()[0], 48000)
    assert signal_to_difference_db(wanted, cleaned) >= 100


def test_a_run_of_sizes_that_the_engine_has_not_ends_without_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(small_config(tmp_path), body=UNKNOWN)
    assert train.main(config) == 0
    assert "no model file is written: the model" in capsys.readouterr().err
    assert not list(config.work_dir.glob("*.dnnw"))
    with pytest.raises(ModelError, match="64 rows; multiples of 8 from 8 to 32 are possible"):
        convert(config.work_dir, tmp_path / "mine.dnnw")


@pytest.mark.parametrize(
    "body",
    [SMALL_ROWS, SMALL, SMALL_DEPTHWISE, replace(SMALL_ROWS, taps=3), replace(SMALL_ROWS, taps=3, guide="rnnoise")],
    ids=["rows", "mixed", "depthwise", "taps", "guided"],
)
def test_onnx_runtime_answers_hop_by_hop_as_torch_answers_the_whole(body: BodyConfig) -> None:
    network = lively_network(body)
    model = onnx_export.encode_onnx(network, {"name": "mine"})
    for streams in (1, 3):
        audio = some_speech(0.3).repeat(streams, 1) * torch.tensor([[1.0], [0.1], [-0.5]])[:streams]
        heard = [(audio + 0.02 * torch.randn(audio.shape))[:, : 28 * HOP] for _ in onnx_export.signals(network)]
        with torch.no_grad():
            wanted, voice, _ = network(heard[0], network.new_state(streams), *heard[1:])
        state = [part.numpy() for part in onnx_export.start(network, streams)[len(heard) :]]
        clean, probability = onnx_export.run_hops(model, [part.numpy() for part in heard], state)
        assert signal_to_difference_db(wanted.numpy(), clean) >= 100
        np.testing.assert_allclose(probability, torch.sigmoid(voice).numpy(), atol=1e-4)


def test_an_answer_that_is_not_torchs_is_no_model() -> None:
    one, other = lively_network(SMALL), Enhancer(SMALL).eval()
    with pytest.raises(ModelError, match="nothing was written"):
        onnx_export.check(onnx_export.encode_onnx(one, {}), other, 1, 4)


def test_a_checkpoint_is_converted_to_onnx(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = {"network": Enhancer(SMALL).state_dict(), "progress": {"step": 0},
               "config": {"body": asdict(SMALL), "train": {"batch": 2, "seconds": 2.0}, "name": "run"}}  # fmt: skip
    save_checkpoint(tmp_path / "mine.pt", content)
    words = ["convert", str(tmp_path / "mine.pt"), "--licence", "MIT-0"]
    assert cli_main([*words, "-o", str(tmp_path / "new/mine.onnx")]) == 0
    session = onnxruntime.InferenceSession(tmp_path / "new/mine.onnx", providers=["CPUExecutionProvider"])
    notes = session.get_modelmeta().custom_metadata_map
    assert {key: notes[key] for key in ("name", "licence", "sample_rate", "hop", "delay")} == {
        "name": "mine", "licence": "MIT-0", "sample_rate": "48000", "hop": "480", "delay": "480"}  # fmt: skip
    assert cli_main([*words, "-o", str(tmp_path), "--to", "onnx", "--name", "other"]) == 0
    assert (tmp_path / "other.onnx").is_file()
    assert cli_main([*words, "-o", str(tmp_path), "--to", "onnx"]) == 2
    assert "name the file by --name NAME" in capsys.readouterr().err
    assert cli_main([*words, "-o", str(tmp_path / "other.onnx")]) == 2
    assert "exists" in capsys.readouterr().err


def test_what_is_no_checkpoint_of_an_enhancer_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "other.pt", {"network": {}, "config": {"network": {}}})
    with pytest.raises(FileError, match="holds no network of 'train enhancer'"):
        convert(tmp_path / "other.pt", tmp_path / "mine.dnnw")
    with pytest.raises(FileError):
        convert(tmp_path / "absent.pt", tmp_path / "mine.dnnw")
    assert not list(tmp_path.glob("*.dnnw"))


@pytest.mark.parametrize(("bad", "words"), [(float("nan"), "not all finite"), (1e6, r"within \+-10000")])
def test_weights_that_cannot_be_run_leave_no_file(tmp_path: Path, bad: float, words: str) -> None:
    config = replace(small_config(tmp_path), body=SMALL)
    assert train.main(config) == 0
    content = load_checkpoint(config.work_dir / LAST)
    content["network"]["low_head.bias"][0] = bad
    save_checkpoint(tmp_path / "bad.pt", content)
    with pytest.raises(ModelError, match=words):
        convert(tmp_path / "bad.pt", tmp_path / "mine.dnnw")
    assert not list(tmp_path.glob("mine*"))


def test_sizes_that_no_file_can_have_are_refused() -> None:
    body = BodyConfig("mixed", channels=12, width=3, rows=8, recurrent_blocks=2, recurrent_width=8, heads=1)
    with pytest.raises(ModelError, match="12 channels; multiples of 8 from 8 to 128 are possible"):
        EnhancerBackend(encode_network(Enhancer(body).eval(), {}))
