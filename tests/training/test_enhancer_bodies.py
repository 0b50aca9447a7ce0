"""The enhancer's bodies: causal, cut anywhere in time, as dear as they say, and able to learn."""

from __future__ import annotations

from dataclasses import replace

import pytest
from require import require

torch = require("torch", reason="pip install 'denoise-wrapper[training]'")
from operations import count_operations  # noqa: E402
from torch import Tensor  # noqa: E402

from denoise_wrapper.errors import ConfigError  # noqa: E402
from denoise_wrapper.training.enhancer.bodies import KINDS, Body, make_body  # noqa: E402
from denoise_wrapper.training.enhancer.bodies.recurrent import Blend, blend_frames  # noqa: E402
from denoise_wrapper.training.enhancer.bodies.sizes import SIZES  # noqa: E402
from denoise_wrapper.training.enhancer.budget import Cost, check_budget  # noqa: E402
from denoise_wrapper.training.enhancer.config import BodyConfig  # noqa: E402

FEATURES, BANDS, CLIPS, FRAMES = 3, 32, 2, 12
SHELL = Cost(17_000, 1_200, 0)  # what the network around a body takes, at most

kinds = pytest.mark.parametrize("kind", KINDS)


def small_body(kind: str) -> Body:
    """A body in evaluation mode whose norms have settled."""
    torch.manual_seed(1)
    config = BodyConfig(kind=kind, channels=8, width=4, blocks=2, rows=8, recurrent_width=8, heads=2)  # type: ignore[arg-type]
    body = make_body(config, FEATURES, BANDS)
    for _ in range(40):
        body(torch.randn(4, FEATURES, 20, BANDS), body.new_state(4, torch.device("cpu")))
    return body.eval()


def run(body: Body, x: Tensor, cuts: tuple[int, ...] = ()) -> Tensor:
    """The answer to frames that come in parts, from a fresh state."""
    state, answers = body.new_state(len(x), x.device), []
    with torch.no_grad():
        for part in torch.tensor_split(x, cuts, dim=2):
            answer, state = body(part, state)
            answers.append(answer)
    return torch.cat(answers, dim=2)


@kinds
def test_the_answer_has_a_channel_for_each_of_the_width(kind: str) -> None:
    body = small_body(kind)
    answer = run(body, torch.randn(CLIPS, FEATURES, FRAMES, BANDS))
    assert answer.shape == (CLIPS, body.width, FRAMES, BANDS)
    assert answer.dtype == torch.float32


@kinds
@pytest.mark.parametrize("changed", [1, 5, FRAMES - 1])
def test_a_frame_does_not_depend_on_later_ones(kind: str, changed: int) -> None:
    body, x = small_body(kind), torch.randn(CLIPS, FEATURES, FRAMES, BANDS)
    other = x.clone()
    other[:, :, changed:] += 3.0
    one, another = run(body, x), run(body, other)
    torch.testing.assert_close(one[:, :, :changed], another[:, :, :changed], rtol=1e-4, atol=1e-5)
    assert (one[:, :, changed:] - another[:, :, changed:]).abs().max() > 0.01


@kinds
@pytest.mark.parametrize("cuts", [(1,), (4, 5), tuple(range(1, FRAMES))])
def test_frames_cut_anywhere_give_the_same_values(kind: str, cuts: tuple[int, ...]) -> None:
    body, x = small_body(kind), torch.randn(CLIPS, FEATURES, FRAMES, BANDS)
    torch.testing.assert_close(run(body, x, cuts), run(body, x), rtol=1e-4, atol=1e-5)


@kinds
def test_a_frame_depends_on_the_state(kind: str) -> None:
    body, x = small_body(kind), torch.randn(CLIPS, FEATURES, FRAMES, BANDS)
    assert (run(body, x)[:, :, 6] - run(body, x[:, :, 6:])[:, :, 0]).abs().max() > 0.01


@kinds
def test_clips_do_not_depend_on_each_other(kind: str) -> None:
    body, x = small_body(kind), torch.randn(CLIPS, FEATURES, FRAMES, BANDS)
    torch.testing.assert_close(run(body, x)[1:], run(body, x[1:]), rtol=1e-4, atol=1e-5)


@kinds
def test_a_state_has_the_clips_first_and_keeps_its_shapes(kind: str) -> None:
    body = small_body(kind)
    state = body.new_state(CLIPS, torch.device("cpu"))
    _, after = body(torch.randn(CLIPS, FEATURES, 1, BANDS), state)
    assert all(part.shape[0] == CLIPS for part in state)
    assert [part.shape for part in after] == [part.shape for part in state]


def count_frame(body: Body) -> Cost:
    """Cost of one frame, counted from the operators."""
    x, state = torch.randn(1, body.features, 1, body.bands), body.new_state(1, torch.device("cpu"))
    return Cost(*count_operations(body, lambda: body(x, state)))


@kinds
def test_the_cost_is_that_of_the_operators(kind: str) -> None:
    body = small_body(kind)
    assert body.cost() == count_frame(body)


@pytest.mark.parametrize(("kind", "budget"), SIZES)
def test_sizes_fill_their_budget_and_no_more(kind: str, budget: str) -> None:
    body = make_body(SIZES[kind, budget], FEATURES, 128).eval()
    cost = body.cost()
    assert cost == count_frame(body)
    check_budget(cost + SHELL, budget)
    with pytest.raises(ConfigError, match="multiply-adds"):
        check_budget(cost + SHELL + Cost(cost.multiply_adds // 8, 0, 0), budget)


@kinds
def test_a_batch_is_learned_by_heart(kind: str) -> None:
    body, frames = small_body(kind).train(), FRAMES // 2
    x, target = torch.randn(CLIPS, FEATURES, frames, BANDS), torch.randn(CLIPS, body.width, frames, BANDS)
    head = torch.nn.Conv2d(body.width, body.width, 1)
    optimiser = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=0.03)
    for _ in range(60):
        answer, _ = body(x, body.new_state(CLIPS, x.device))
        loss = (head(answer) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.6 * target.var()


def test_blends_have_the_slopes_of_their_formula() -> None:
    torch.manual_seed(1)
    share, value, state = torch.rand(5, 2, 3), torch.randn(5, 2, 3), torch.randn(2, 3)
    inputs = [part.double().requires_grad_() for part in (share, value, state)]
    assert torch.autograd.gradcheck(Blend.apply, inputs)
    torch.testing.assert_close(Blend.apply(*inputs).detach(), blend_frames(*inputs).detach())


@pytest.mark.parametrize(
    ("kind", "sizes", "reason"),
    [
        ("rows", {"rows": 40}, "40 rows"),
        ("depthwise", {"rows": 24}, "24 rows"),
        ("depthwise", {"channels": 30}, "30 channels"),
        ("mixed", {"rows": 48}, "48 rows"),
        ("mixed", {"channels": 33}, "33 channels"),
    ],
)
def test_sizes_that_do_not_fit_the_bands_are_refused(kind: str, sizes: dict[str, int], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        make_body(replace(SIZES[kind, "enhancer"], **sizes), FEATURES, 128)  # type: ignore[arg-type]
