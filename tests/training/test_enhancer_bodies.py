"""The enhancer's bodies: causal, cut anywhere in time, as dear as they say, and able to learn."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest
from require import require

torch = require("torch", reason="pip install 'denoise-wrapper[training]'")
from operations import count_operations  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from denoise_wrapper.errors import ConfigError  # noqa: E402
from denoise_wrapper.training.enhancer.bodies import KINDS, Body, make_body  # noqa: E402
from denoise_wrapper.training.enhancer.bodies.parts import (  # noqa: E402
    AffinePReLU,
    BandConv,
    CausalConv,
    NarrowAttention,
    RowMap,
)
from denoise_wrapper.training.enhancer.bodies.recurrent import BandGRU, LightMemory, TimeGRU  # noqa: E402
from denoise_wrapper.training.enhancer.bodies.sizes import SIZES  # noqa: E402
from denoise_wrapper.training.enhancer.budget import Cost, check_budget  # noqa: E402
from denoise_wrapper.training.enhancer.config import BodyConfig  # noqa: E402

FEATURES, BANDS, CLIPS, FRAMES = 3, 32, 2, 12
SHELL = Cost(17_000, 1_200, 0)  # what the network around a body takes, at most

Part = TypeVar("Part", bound=nn.Module)
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


def assert_alike(quick: Callable[..., Tensor], plain: Callable[..., Tensor], part: nn.Module, *inputs: Tensor) -> None:
    """Values and slopes of quick(part, *inputs) in float32 are those of plain(part, *inputs) in float64."""
    results = []
    for formula, dtype in ((quick, torch.float32), (plain, torch.float64)):
        copied = copy.deepcopy(part).to(dtype)
        leaves = [part.detach().to(dtype).requires_grad_() for part in inputs]
        answer = formula(copied, *leaves)
        weights = torch.linspace(-1.0, 1.0, answer.numel(), dtype=dtype).view(answer.shape)
        slopes = torch.autograd.grad((answer * weights).sum(), [*leaves, *copied.parameters()])
        results.append([answer.detach(), *slopes])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


def settled(part: Part) -> Part:
    """A part whose norm and other weights are drawn, in evaluation mode."""
    torch.manual_seed(1)
    for module in part.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
            torch.nn.init.uniform_(module.weight, 0.5, 2.0)
            torch.nn.init.normal_(module.bias)
    return part.eval()


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize(
    "conv", [BandConv(6, 8), BandConv(6, 8, groups=2), BandConv(6, 8, taps=3), BandConv(6, 8, taps=4, stride=2)]
)
def test_a_convolution_learns_as_one_followed_by_its_norm(conv: BandConv, train: bool) -> None:
    part = settled(conv).train(train)
    x = torch.randn(2, 6, 5, 16).contiguous(memory_format=torch.channels_last)
    assert_alike(lambda part, x: part(x), lambda part, x: part.norm(part.conv(x)), part, x)


@pytest.mark.parametrize("groups", [1, 6])
def test_a_causal_convolution_learns_as_one_followed_by_its_norm(groups: int) -> None:
    part = settled(CausalConv(6, 6, (3, 5), groups=groups))
    x, past = torch.randn(2, 6, 5, 16), torch.randn(2, 6, 2, 16)
    assert_alike(
        lambda part, x, past: part(x, past)[0],
        lambda part, x, past: part.norm(part.conv(torch.cat([past, x], dim=2))),
        part, x, past,
    )  # fmt: skip


def test_a_map_of_rows_learns_as_one_followed_by_its_norm() -> None:
    def plain(part: RowMap, x: Tensor) -> Tensor:
        return part.norm((x @ part.matrix.weight.t()).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    assert_alike(lambda part, x: part(x), plain, settled(RowMap(6, 8)), torch.randn(2, 5, 7, 6))


def test_a_bend_learns_as_its_formula_says() -> None:
    def plain(part: AffinePReLU, x: Tensor) -> Tensor:
        rows = x.permute(0, 2, 3, 1)
        bent = rows * part.scale + part.offset + torch.where(rows > 0.0, rows, part.slope * rows)
        return bent.permute(0, 3, 1, 2)

    torch.manual_seed(1)
    part = AffinePReLU(6, 7)
    for weights in part.parameters():
        torch.nn.init.normal_(weights)
    assert_alike(lambda part, x: part(x), plain, part, torch.randn(2, 6, 5, 7))


def test_attention_by_narrow_keys_learns_as_its_formula_says() -> None:
    def plain(part: NarrowAttention, x: Tensor) -> Tensor:
        joined = (x @ part.queries.weight.t() + part.places).unflatten(3, (2, part.heads, part.KEYS))
        scores = torch.einsum("ctrhk,ctshk->ctrsh", joined[:, :, :, 0], joined[:, :, :, 1]) * part.KEYS**-0.5
        values = x.unflatten(3, (part.heads, -1))
        return torch.einsum("ctrsh,ctshv->ctrhv", scores.softmax(dim=3), values).flatten(3)

    torch.manual_seed(1)
    assert_alike(lambda part, x: part(x), plain, NarrowAttention(8, 2, 7), torch.randn(2, 5, 7, 8))


def test_a_light_memory_learns_as_its_formula_says() -> None:
    def plain(part: LightMemory, x: Tensor, state: Tensor) -> Tensor:
        gates, values = (x @ part.matrix.weight.t() + part.bias).split(part.units, dim=3)
        answers = []
        for gate, value in zip(gates.unbind(1), values.unbind(1), strict=True):
            state = state + gate.sigmoid() * (value - state)
            answers.append(state)
        return torch.stack(answers, dim=1)

    torch.manual_seed(1)
    part, x, state = LightMemory(6, 8, 4), torch.randn(2, 9, 4, 6), torch.randn(2, 4, 8)
    assert_alike(lambda part, x, state: part(x, state)[0], plain, part, x, state)


def test_a_gru_along_time_learns_as_torch_has_it() -> None:
    def plain(part: TimeGRU, x: Tensor, state: Tensor) -> Tensor:
        answers = [part.gru(x[:, :, row].transpose(0, 1), state[:, row].unsqueeze(0))[0] for row in range(x.shape[2])]
        return torch.stack(answers, dim=2).transpose(0, 1)

    torch.manual_seed(1)
    part, x, state = TimeGRU(6, 8), torch.randn(2, 9, 4, 6), torch.randn(2, 4, 8)
    assert_alike(lambda part, x, state: part(x, state)[0], plain, part, x, state)


def test_grus_along_frequency_learn_as_torch_has_them() -> None:
    def plain(part: BandGRU, x: Tensor) -> Tensor:
        return torch.stack([part.gru(clip.transpose(0, 1))[0].transpose(0, 1) for clip in x])

    torch.manual_seed(1)
    assert_alike(lambda part, x: part(x), plain, BandGRU(6, 8), torch.randn(2, 5, 7, 6))


@kinds
def test_a_body_that_learns_answers_as_one_at_rest(kind: str) -> None:
    body, x = small_body(kind), torch.randn(CLIPS, FEATURES, FRAMES, BANDS)
    answer, state = body(x, body.new_state(CLIPS, x.device))
    torch.testing.assert_close(answer.detach(), run(body, x), rtol=1e-4, atol=1e-5)
    assert answer.requires_grad
    assert [part.shape[1:] for part in state] == list(map(tuple, body.state_shapes()))


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
