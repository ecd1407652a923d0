"""Averages of specialists in the space of weights, and the loss along lines between them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call
from transformers import PreTrainedModel

from splitlaw.delivery.held_out import Validation
from splitlaw.training.evaluation import Windows, evaluate

Array = npt.NDArray[np.float64]

_STEPS = 40
_RATE = 0.2
"""Steps of Adam on the logarithms of the weights, and their size: together they can move a weight
by a factor of exp(8)."""
_WINDOWS = 8
"""Windows of each domain in a step."""
LINE = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Positions on the line from one specialist to another."""


def average(models: Sequence[PreTrainedModel], weights: Sequence[float]) -> PreTrainedModel:
    """A model whose parameters are the weighted mean of those of `models`."""
    result = copy.deepcopy(models[0])
    others = [dict(model.named_parameters()) for model in models]
    with torch.no_grad():
        for name, parameter in result.named_parameters():
            stacked = torch.stack([other[name] for other in others])
            scale = torch.tensor(weights, dtype=stacked.dtype, device=stacked.device)
            parameter.copy_(torch.tensordot(scale, stacked, dims=1))
    return result


def mean_loss(model: PreTrainedModel, windows: Mapping[str, Windows]) -> float:
    """Mean over the domains of the loss, nats per token."""
    return float(np.mean([evaluate(model, part).loss for part in windows.values()]))


def fit_average(models: Sequence[PreTrainedModel], validation: Validation) -> list[float]:
    """Positive weights that sum to 1 and minimise the mean validation loss of the average.

    The gradient with respect to the logarithms of the weights is followed by Adam. Of the weights
    at the beginning, which are uniform, and at the end, those of the smaller validation loss are
    returned.
    """
    stacked = {
        name: torch.stack([dict(model.named_parameters())[name].detach() for model in models])
        for name, _ in models[0].named_parameters()
    }
    device = next(iter(stacked.values())).device
    logits = torch.zeros(len(models), device=device, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=_RATE)
    generator = np.random.default_rng(0)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        weights = logits.softmax(0)
        mixed = {name: torch.tensordot(weights, part, dims=1) for name, part in stacked.items()}
        for windows in validation.windows.values():
            chosen = generator.choice(
                len(windows.inputs), min(_WINDOWS, len(windows.inputs)), False
            )
            loss = _loss(models[0], mixed, windows, chosen)
            loss.backward(retain_graph=True)
        optimizer.step()
    uniform = [1 / len(models)] * len(models)
    fitted = logits.detach().softmax(0).double().tolist()
    return min((uniform, fitted), key=lambda w: mean_loss(average(models, w), validation.windows))


def _loss(
    model: PreTrainedModel,
    parameters: dict[str, Tensor],
    windows: Windows,
    chosen: npt.NDArray[np.int64],
) -> Tensor:
    """Mean loss of the model with other parameters on some windows."""
    inputs = torch.from_numpy(windows.inputs[chosen]).to(model.device)
    targets = torch.from_numpy(windows.targets[chosen]).to(model.device)
    logits = functional_call(model, parameters, kwargs={"input_ids": inputs}).logits
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def lines(
    models: Mapping[str, PreTrainedModel], windows: Mapping[str, Windows]
) -> list[dict[str, object]]:
    """Losses along the straight line between the weights of every pair of specialists.

    A row has the domains `first` and `second`, the position (0 at the first specialist, 1 at the
    second) and the losses on the text of both domains.
    """
    ends = {(own, on): evaluate(models[own], windows[on]).loss for own in models for on in models}
    rows: list[dict[str, object]] = []
    for first, second in combinations(models, 2):
        for position in LINE:
            if position in (0.0, 1.0):
                own = second if position else first
                losses = [ends[own, first], ends[own, second]]
            else:
                model = average([models[first], models[second]], [1 - position, position])
                losses = [evaluate(model, windows[name]).loss for name in (first, second)]
            rows.append(
                {
                    "first": first,
                    "second": second,
                    "position": position,
                    "loss_first": losses[0],
                    "loss_second": losses[1],
                }
            )
    return rows
