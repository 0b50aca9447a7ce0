"""The body of rows by the engine while it learns: answers and slopes are those of the formulas."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from require import require

torch = require("torch", reason="pip install 'denoise-wrapper[training]'")
from torch import Tensor, nn  # noqa: E402

from denoise_wrapper.training.enhancer.bodies import compiled, make_body  # noqa: E402
from denoise_wrapper.training.enhancer.bodies.rows import Rows  # noqa: E402
from denoise_wrapper.training.enhancer.config import BodyConfig  # noqa: E402
from denoise_wrapper.training.enhancer.loss import Transform  # noqa: E402

FEATURES, CLIPS, FRAMES = 3, 3, 9
CPU = torch.device("cpu")
SHIPPED = BodyConfig()  # of configs/enhancer.toml
TINY = BodyConfig(channels=16, rows=16, recurrent_width=16, heads=2)
ODD = BodyConfig(channels=8, width=3, blocks=1, rows=8, recurrent_blocks=3, recurrent_width=24, heads=1)
Slopes = dict[str, Tensor]


def make_rows(config: BodyConfig, bands: int) -> Rows:
    """A body with random weights, whose norms are at rest and do something."""
    torch.manual_seed(1)
    body = make_body(config, FEATURES, bands)
    assert isinstance(body, Rows)
    for norm in body.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.eval()
            assert norm.running_mean is not None
            assert norm.running_var is not None
            with torch.no_grad():
                norm.running_mean.normal_(0.0, 0.1)
                norm.running_var.uniform_(0.5, 1.5)
                norm.weight.uniform_(0.5, 1.5)
                norm.bias.normal_(0.0, 0.2)
    return body


def in_torch(body: Rows) -> Rows:
    """A copy that torch runs, in float64."""
    other = copy.deepcopy(body).double()
    other.compiled = None
    return other


def run_both_ways(body: Rows, x: Tensor, state: list[Tensor], towards: Tensor) -> tuple[Tensor, list[Tensor], Slopes]:
    """Answer, next state, and slopes of the sum of answers times numbers of their own."""
    answer, after = body(x, state)
    (answer * towards).sum().backward()
    slopes = {name: part.grad for name, part in body.named_parameters() if part.grad is not None}
    assert len(slopes) == len(list(body.parameters()))
    return answer.detach(), [part.detach() for part in after], slopes


def make_inputs(body: Rows) -> tuple[Tensor, list[Tensor], Tensor]:
    """Features, states in the middle of a clip, and a number for each answer."""
    torch.manual_seed(2)
    state = [torch.randn_like(part) * 0.5 for part in body.new_state(CLIPS, CPU)]
    return torch.randn(CLIPS, FEATURES, FRAMES, body.bands), state, torch.randn(CLIPS, body.width, FRAMES, body.bands)


def error(found: Tensor, wanted: Tensor) -> float:
    """The greatest difference, in parts of the greatest value."""
    return float((found - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("config", "bands"), [(SHIPPED, 128), (TINY, 128), (ODD, 64)], ids=["usual", "tiny", "odd"])
def test_answers_and_slopes_are_those_of_the_formulas(config: BodyConfig, bands: int, threads: int) -> None:
    body = make_rows(config, bands)
    assert body.compiled is not None
    x, state, towards = make_inputs(body)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        answer, after, slopes = run_both_ways(body, x, state, towards)
    finally:
        torch.set_num_threads(before)
    exact = run_both_ways(in_torch(body), x.double(), [part.double() for part in state], towards.double())
    assert error(answer, exact[0]) < 3e-6
    assert max(map(error, after, exact[1])) < 3e-6
    assert {
        name: error(slopes[name], exact[2][name]) for name in slopes if error(slopes[name], exact[2][name]) > 1e-5
    } == {}


def test_a_second_pass_before_the_first_ones_slopes_disturbs_nothing() -> None:
    body = make_rows(TINY, 128)
    x, state, towards = make_inputs(body)
    _, _, alone = run_both_ways(body, x, state, towards)
    body.zero_grad()
    answer, after = body(x, state)
    body(x.flip(2), after)
    (answer * towards).sum().backward()
    assert all(torch.equal(part.grad, alone[name]) for name, part in body.named_parameters() if part.grad is not None)


def test_the_engine_runs_it_only_where_it_is_asked_for_slopes_of_weights_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls, run = [], compiled.run

    def counted(sizes: compiled.Sizes, *rest: Any) -> tuple[Tensor, list[Tensor]]:
        calls.append(sizes)
        return run(sizes, *rest)

    monkeypatch.setattr(compiled, "run", counted)
    body = make_rows(TINY, 128)
    x, state, _ = make_inputs(body)
    body(x, state)
    assert calls == [body.compiled]
    with torch.no_grad():
        body(x, state)
    body(x.clone().requires_grad_(), state)
    body(x, [part.clone().requires_grad_() for part in state])
    copy.deepcopy(body).double()(x.double(), [part.double() for part in state])
    body.train()(x, state)  # norms that learn
    assert len(calls) == 1


@pytest.mark.parametrize(
    "config",
    [BodyConfig(rows=20), BodyConfig(recurrent_width=36), BodyConfig(heads=8), BodyConfig(channels=20)],
    ids=["rows", "units", "heads", "channels"],
)
def test_sizes_that_are_no_multiples_of_8_learn_by_torch(config: BodyConfig) -> None:
    body = make_rows(config, 128)
    assert body.compiled is None
    x, state, towards = make_inputs(body)
    run_both_ways(body, x, state, towards)


def test_slopes_of_a_transform_are_those_of_its_definition() -> None:
    frames = torch.randn(2, 24, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: torch.view_as_real(Transform.apply(x)), frames)
