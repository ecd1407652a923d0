"""Counts and weights of the built model."""

import pytest
import torch
from torch._dynamo.testing import EagerAndRecordGraphs
from torch.utils.flop_counter import FlopCounterMode

from splitlaw.experiment.shape import Shape
from splitlaw.training.model import build_model, use_causal_attention

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


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_attention_without_padding_has_no_mask_and_the_same_logits(compiled):
    ids = torch.randint(64, (3, 8), generator=torch.Generator().manual_seed(0))
    expected = build_model(SHAPE, seed=0)(input_ids=ids).logits
    model = build_model(SHAPE, seed=0)
    use_causal_attention(model)
    graphs = EagerAndRecordGraphs()
    called = torch.compile(model, backend=graphs) if compiled else model
    torch.testing.assert_close(called(input_ids=ids).logits, expected)
    attention = [
        node
        for graph in graphs.graphs
        for node in graph.graph.nodes
        if "scaled_dot_product_attention" in str(node.target)
    ]
    assert len(attention) == (SHAPE.layers if compiled else 0)
    assert all(node.kwargs["is_causal"] and not node.kwargs["attn_mask"] for node in attention)


def test_attention_with_padding_keeps_its_mask():
    ids = torch.arange(16).reshape(2, 8)
    padding = torch.tensor([[0, 0, 1, 1, 1, 1, 1, 1], [1] * 8])
    expected = build_model(SHAPE, seed=0)(input_ids=ids, attention_mask=padding).logits
    model = build_model(SHAPE, seed=0)
    use_causal_attention(model)
    logits = model(input_ids=ids, attention_mask=padding).logits
    torch.testing.assert_close(logits[padding == 1], expected[padding == 1])
