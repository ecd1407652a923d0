"""Gates of a mixture of experts: the router's decision, predicted from hidden states."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaForCausalLM

from splitlaw.delivery.held_out import Validation

_PENALTY = 1e-4
"""Weight of the squared gates in the fit, so that it has a minimum where hidden states separate the
domains completely."""
_ITERATIONS = 60
"""Largest number of iterations of L-BFGS."""
_BATCH = 64
"""Windows that are read at a time, as in `splitlaw.training.evaluation`."""


def fit_gates(model: LlamaForCausalLM, validation: Validation) -> list[Tensor]:
    """Weights of the gate of each layer, `[domains, width]`.

    They are a multinomial logistic regression, without a constant because Mixtral's gate has none,
    of the router's weights of a document on the hidden states of its tokens, as they enter the
    feed-forward layer of `model`. All domains have the same weight.
    """
    states, targets, importance = _hidden_states(model, validation)
    return [_fit(part, targets, importance) for part in states]


@torch.no_grad()
def _hidden_states(
    model: LlamaForCausalLM, validation: Validation
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Hidden states by layer, `[tokens, width]`; the router's weights; the weight of a token."""
    collected: list[list[Tensor]] = [[] for _ in model.model.layers]
    hooks = [
        layer.post_attention_layernorm.register_forward_hook(
            lambda _module, _inputs, output, kept=kept: kept.append(output)
        )
        for layer, kept in zip(model.model.layers, collected, strict=True)
    ]
    states: list[list[Tensor]] = [[] for _ in collected]
    targets, importance = [], []
    try:
        for domain, windows in validation.windows.items():
            weights = torch.from_numpy(validation.weights[domain]).float()
            total = 0
            for begin in range(0, len(windows.inputs), _BATCH):
                part = slice(begin, begin + _BATCH)
                counted = torch.from_numpy(windows.targets[part] >= 0)
                model.model(input_ids=torch.from_numpy(windows.inputs[part]).to(model.device))
                for kept, result in zip(collected, states, strict=True):
                    result.append(kept.pop().cpu()[counted])
                owner = np.repeat(windows.document[part], counted.sum(1).numpy())
                targets.append(weights[torch.from_numpy(owner)])
                total += int(counted.sum())
            importance.append(torch.full((total,), 1 / total))
    finally:
        for hook in hooks:
            hook.remove()
    everything = torch.cat(importance)
    return [torch.cat(part) for part in states], torch.cat(targets), everything / everything.sum()


def _fit(states: Tensor, targets: Tensor, importance: Tensor) -> Tensor:
    gate = torch.zeros(targets.shape[1], states.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [gate], max_iter=_ITERATIONS, history_size=10, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        each = F.cross_entropy(F.linear(states, gate), targets, reduction="none")
        loss = (each * importance).sum() + _PENALTY * gate.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return gate.detach()


def gate_accuracy(
    gates: Sequence[Tensor], model: LlamaForCausalLM, validation: Validation
) -> float:
    """Share of tokens, over all layers, whose most active expert is that of the router."""
    states, targets, importance = _hidden_states(model, validation)
    right = [
        ((F.linear(part, gate).argmax(1) == targets.argmax(1)) * importance).sum()
        for part, gate in zip(states, gates, strict=True)
    ]
    return float(torch.stack(right).mean())
