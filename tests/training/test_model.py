"""Counts and weights of the built model."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from splitlaw.experiment.shape import Shape
from splitlaw.training.model import build_model

SHAPE = Shape(vocabulary=64, width=16, layers=2, heads=2, intermediate=24, context=8)


def test_parameter_counts_are_those_of_the_built_model():
    model = build_model(SHAPE, seed=0)
    embedding = model.get_input_embeddings().weight.numel()
    assert SHAPE.params == sum(p.numel() for p in model.parameters())
    assert SHAPE.embedding_params == embedding
    assert SHAPE.non_embedding_params == SHAPE.params - embedding


def test_flops_agree_with_the_count_of_torch():
    shape = Shape(vocabulary=512, width=64, layers=3, heads=4, intermediate=160, context=64)
    model = build_model(shape, seed=0)
    model.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter:
        model(input_ids=torch.zeros(2, 64, dtype=torch.long)).logits.sum().backward()
    counted = counter.get_total_flops() / (2 * 64)
    assert shape.flops_per_token == pytest.approx(counted, rel=0.03)


def test_the_seed_determines_the_weights():
    one, same, other = (build_model(SHAPE, seed=seed).lm_head.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
