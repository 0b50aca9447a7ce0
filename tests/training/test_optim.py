"""Muon: its steps are orthogonal, are those of torch's own, and go on where those stopped."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from require import require

torch = require("torch")

from torch import Tensor, nn  # noqa: E402
from torch.optim import Optimizer  # noqa: E402

from denoise_wrapper.training.run import optim  # noqa: E402
from denoise_wrapper.training.run.optim import Muon, make_optimisers, orthogonalise  # noqa: E402

SHAPES = ((24, 24), (64, 16), (16, 64), (64, 16), (7, 130))
BF16_ERROR = 0.015  # of the way, in the mean: five rounds of products with 8 bits
has_torchs = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon to compare with")


def random_matrices(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def descend(optimiser: Optimizer, matrices: Sequence[Tensor], steps: range) -> None:
    """Steps down a bowl with another bottom each time, so that gradients are of full rank."""
    for step in steps:
        generator = torch.Generator().manual_seed(1000 + step)
        loss = sum(((part - torch.randn(part.shape, generator=generator)) ** 2).sum() for part in matrices)
        optimiser.zero_grad()
        torch.as_tensor(loss).backward()
        optimiser.step()


def apart(ours: list[Tensor], theirs: list[Tensor], start: list[Tensor]) -> float:
    """Distance between the ends of two runs, against the way that one went."""
    way, between = (
        sum(float((one - other).detach().square().sum()) for one, other in zip(theirs, others, strict=True))
        for others in (start, ours)
    )
    return math.sqrt(between / way)


def torchs(matrices: list[Tensor], rate: float, weight_decay: float) -> Optimizer:
    return torch.optim.Muon(matrices, rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")


@has_torchs
def test_muon_goes_where_torchs_own_goes_within_the_error_of_bf16() -> None:
    start, ours, theirs = (random_matrices(0) for _ in range(3))
    descend(Muon(ours, 0.02, 0.1), ours, range(10))
    descend(torchs(theirs, 0.02, 0.1), theirs, range(10))
    assert apart(ours, theirs, start) < BF16_ERROR
    without_decay = random_matrices(0)
    descend(Muon(without_decay, 0.02), without_decay, range(10))
    assert apart(without_decay, theirs, start) > BF16_ERROR


@has_torchs
def test_muon_goes_on_from_a_checkpoint_of_torchs_own() -> None:
    whole, halved, anew = (random_matrices(1) for _ in range(3))
    start = random_matrices(1)
    before = torchs(halved, 0.02, 0.0)
    descend(before, halved, range(4))
    kept = before.state_dict()
    kept["param_groups"][0]["initial_lr"] = 0.02
    resumed, reference = Muon(halved, 0.5), torchs(whole, 0.02, 0.0)
    resumed.load_state_dict(kept)
    assert resumed.param_groups[0]["lr"] == resumed.param_groups[0]["initial_lr"] == 0.02
    descend(reference, whole, range(4))
    descend(torchs(anew, 0.02, 0.0), anew, range(4))
    for optimiser, matrices in ((resumed, halved), (reference, whole), (Muon(anew, 0.02), anew)):
        descend(optimiser, matrices, range(4, 8))
    assert apart(halved, whole, start) < BF16_ERROR < apart(anew, whole, start)


@pytest.mark.parametrize("bf16", [False, True])
def test_orthogonalised_matrices_have_singular_values_about_one(bf16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optim, "has_bf16", lambda _: bf16)
    matrices = torch.randn(3, 20, 50, generator=torch.Generator().manual_seed(2)) * 1e-3
    result = orthogonalise(matrices)
    assert result.dtype == (torch.bfloat16 if bf16 else torch.float32)
    values = torch.linalg.svdvals(result.float())
    assert float(values.min()) > 0.6
    assert float(values.max()) < 1.25
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    mixed = left.mT @ result.float() @ right.mT  # diagonal, if the singular vectors are the same
    off = mixed - torch.diag_embed(mixed.diagonal(dim1=1, dim2=2))
    assert float(off.abs().max()) < (0.05 if bf16 else 1e-4)


def test_a_step_has_the_rms_of_adamws_whatever_the_shape_and_company() -> None:
    matrices, start = random_matrices(3), random_matrices(3)
    descend(Muon(matrices, 0.01), matrices, range(1))
    for part, before in zip(matrices, start, strict=True):
        rms = float((part - before).detach().square().mean().sqrt())
        assert 0.7 * 0.2 * 0.01 < rms < 1.2 * 0.2 * 0.01


def test_kernels_of_convolutions_are_matrices_where_that_is_asked_for() -> None:
    network = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Conv1d(8, 6, 5), nn.Linear(6, 3))
    plain, with_kernels = (make_optimisers(network, "muon", 0.02, 1e-3, 0.0, kernels) for kernels in (False, True))
    shapes = [[part.ndim for part in optimiser.param_groups[0]["params"]] for optimiser in (*plain, *with_kernels)]
    assert shapes == [[2], [4, 1, 3, 1, 1], [4, 3, 2], [1, 1, 1]]
    flat = [nn.Parameter(part.detach().flatten(1)) for part in with_kernels[0].param_groups[0]["params"]]
    kernels = with_kernels[0].param_groups[0]["params"]
    descend(Muon(flat, 0.02), flat, range(3))
    for step in range(3):
        generator = torch.Generator().manual_seed(1000 + step)
        for part in kernels:
            target = torch.randn(len(part), part[0].numel(), generator=generator).view_as(part)
            part.grad = 2.0 * (part.detach() - target)
        with_kernels[0].step()
    for kernel, matrix in zip(kernels, flat, strict=True):
        assert torch.allclose(kernel.flatten(1), matrix, atol=1e-5)


def test_matrices_without_a_gradient_stay_as_they_are() -> None:
    used, unused = random_matrices(4)[:2]
    before = unused.detach().clone()
    optimiser = Muon([used, unused], 0.02, 0.1)
    used.grad = torch.ones_like(used)
    optimiser.step()
    assert torch.equal(unused, before)
    assert unused not in optimiser.state
