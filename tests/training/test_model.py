"""Counts and weights of the built model."""

import pytest
import torch
from torch._dynamo.testing import EagerAndRecordGraphs
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from splitlaw.experiment.shape import Shape
from splitlaw.training.model import CAUSAL_SDPA, build_model, use_causal_attention

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


WINDOW = 4
"""Positions that an attention with a window sees, fewer than the context."""
BASES = {
    "llama": {},
    "mistral": {"sliding_window": WINDOW},
    "mistral-whole": {"sliding_window": None},
    "qwen2": {},
    "qwen2-window": {
        "use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1
    },
    "gpt2": {},
    "gpt_neox": {},
}  # fmt: skip


def base(name: str) -> PreTrainedModel:
    """A small model of a type, with random weights."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
             "intermediate_size": 24, "vocab_size": 64, "max_position_embeddings": 8,
             "num_key_value_heads": 2, "use_cache": False, **BASES[name]}  # fmt: skip
    config = AutoConfig.for_model(name.split("-")[0], **sizes)
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_attention_without_a_mask_gives_the_same_logits(name, compiled):
    ids = torch.randint(64, (3, 8), generator=torch.Generator().manual_seed(0))
    model, graphs = base(name), EagerAndRecordGraphs()
    expected = model(input_ids=ids).logits
    use_causal_attention(model)
    assert model.config._attn_implementation == CAUSAL_SDPA
    torch._dynamo.reset()
    called = torch.compile(model, backend=graphs) if compiled else model
    torch.testing.assert_close(called(input_ids=ids).logits, expected)
    calls = [node.kwargs for graph in graphs.graphs for node in graph.graph.nodes
             if "scaled_dot_product_attention" in str(node.target)]  # fmt: skip
    assert len(calls) == (2 if compiled else 0)
    masked = [bool(call.get("attn_mask")) for call in calls]
    windowed = {"mistral": [True, True], "qwen2-window": [False, True]}
    assert masked == (windowed.get(name, [False, False]) if compiled else [])


def test_attention_of_other_models_is_left_as_it_is():
    config = AutoConfig.for_model(
        "gemma2", hidden_size=16, num_hidden_layers=1, num_attention_heads=2, head_dim=8,
        num_key_value_heads=2, intermediate_size=24, vocab_size=64,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config)
    before = model.config._attn_implementation
    use_causal_attention(model)
    assert model.config._attn_implementation == before


def test_attention_with_padding_keeps_its_mask():
    ids = torch.arange(16).reshape(2, 8)
    padding = torch.tensor([[0, 0, 1, 1, 1, 1, 1, 1], [1] * 8])
    expected = build_model(SHAPE, seed=0)(input_ids=ids, attention_mask=padding).logits
    model = build_model(SHAPE, seed=0)
    use_causal_attention(model)
    logits = model(input_ids=ids, attention_mask=padding).logits
    torch.testing.assert_close(logits[padding == 1], expected[padding == 1])
