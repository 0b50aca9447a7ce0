"""Batches of an enhancer's training: stretches of clips, each row going through one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from denoise_wrapper.backends import load_backend
from denoise_wrapper.backends.base import Float32
from denoise_wrapper.training.enhancer.bands import HOP, RATE
from denoise_wrapper.training.enhancer.config import EnhancerConfig
from denoise_wrapper.training.enhancer.loss import Target, known_bins
from denoise_wrapper.training.mix.mixing import Mix
from denoise_wrapper.training.mix.sources import Sides, open_sources
from denoise_wrapper.training.mix.stretches import Clips, RowSchedule, stretches


class Clip(NamedTuple):
    """A whole clip."""

    noisy: Tensor  # float32 (n,)
    clean: Tensor  # float32 (HOP + n,), or a teacher's answer, after a hop of silence
    voice: Tensor  # float32 (n / HOP,)
    known: Tensor  # bool (BINS,)
    guide: Tensor  # float32 (HOP + n,), likewise, what the guide makes of it; (0,) without one


class Batch(NamedTuple):
    """The signals of a step."""

    noisy: Tensor  # float32 (rows, T * HOP)
    target: Target
    guide: Tensor  # float32 (rows, HOP + T * HOP), the hop before too; (rows, 0) without one
    fresh: Tensor  # bool (rows,): a new clip begins, so the network's state does


def open_clips(config: EnhancerConfig) -> Sides:
    """The training and the validation side of the data."""
    return open_sources(config.data, config.mix, RATE, config.cache, config.seed)


def make_clip(mix: Mix, guide: str = "", teacher: str = "") -> Clip:
    """A clip as tensors.

    guide: name of the backend that cleans it for the network. teacher: of one whose answer takes the clean speech's
    place.
    """
    clean = after_a_hop(cleaned_by(teacher, mix.noisy) if teacher else mix.clean)
    guiding = after_a_hop(cleaned_by(guide, mix.noisy)) if guide else torch.zeros(0)
    return Clip(torch.from_numpy(mix.noisy), clean, torch.from_numpy(mix.voice), known_bins(mix.bandwidth_hz), guiding)


def after_a_hop(samples: Float32) -> Tensor:
    """float32 (HOP + n,): samples, float32 (n,), after a hop of silence."""
    return nn.functional.pad(torch.from_numpy(samples), (HOP, 0))


def cleaned_by(name: str, samples: Float32) -> Float32:
    """What a backend for 48 kHz makes of a clip, in time with it. samples: float32 (n,)."""
    backend = load_backend(name)
    hops = -(-(len(samples) + backend.delay) // backend.hop)
    block = np.zeros((1, hops * backend.hop), np.float32)
    block[0, : len(samples)] = samples
    cleaned, _ = backend.new_state(1).process(block)
    return cleaned[0, backend.delay : backend.delay + len(samples)]


def make_schedule(config: EnhancerConfig, rows: range | None = None) -> RowSchedule:
    """The schedule of a run; rows: those of this process, if not all."""
    return RowSchedule(config.train.batch, int(config.mix.clip_s / config.train.seconds + 1e-9), rows)


def batches(config: EnhancerConfig, schedule: RowSchedule, step: int) -> Iterator[Batch]:
    """The batches from step on, endless, mixed ahead by [train] processes."""
    hops = round(config.train.seconds * RATE / HOP)
    make = partial(make_clip, guide=config.body.guide, teacher=config.train.teacher)
    clips = Clips(partial(open_clips, config), make)
    for stretch in stretches(clips, schedule, step, config.train.processes):
        yield make_batch([(clip, chunk * hops, hops) for clip, chunk in stretch])


def make_batch(cuts: list[tuple[Clip, int, int]]) -> Batch:
    """A batch of stretches, each a clip, the hop that it begins with, and how many hops of it there are."""
    noisy, clean, voice, guide = [], [], [], []
    for clip, first, hops in cuts:
        start, stop = first * HOP, (first + hops) * HOP
        noisy.append(clip.noisy[start:stop])
        clean.append(clip.clean[start : stop + HOP])
        voice.append(clip.voice[first : first + hops])
        guide.append(clip.guide[start : stop + HOP])
    known = torch.stack([clip.known for clip, _, _ in cuts])
    target = Target(torch.stack(clean), torch.stack(voice), known)
    fresh = torch.tensor([first == 0 for _, first, _ in cuts])
    return Batch(torch.stack(noisy), target, torch.stack(guide), fresh)
