"""The stages of an experiment, and the stage that each rule and command belongs to."""

ORDER = (
    "prepare_corpus",
    "train_tokenizer",
    "tokenize",
    "pretrain",
    "specialize",
    "evaluate",
    "fit_law",
    "end_round",
    "choose_split",
    "train_final",
    "benchmark",
    "report",
)
"""The stages of the main workflow, in the order of the data; only an adaptive grid has rounds."""

_PARTS = {
    "prepare_corpus": ("read_shard", "merge_shards", "write_shard"),
    "tokenize": ("tokenize_domain", "tokenize_corpus", "encode_shard"),
    "pretrain": ("pretrain_size", "pretrain_round"),
    "specialize": ("specialize_domain", "specialize_round"),
    "evaluate": ("evaluate_models", "evaluate_round"),
    "fit_law": ("fit_law_round",),
    "choose_split": ("choose_split_at",),
    "train_final": ("final_trunk", "final_trunk_of_domain", "final_strategy", "gather_final"),
    "benchmark": ("benchmark_items", "benchmark_at"),
    "tune_learning_rate": ("sweep_learning_rate",),
    "frontier": ("frontier_seed", "train_frontier"),
    "scarcity": (
        "choose_split_scarce",
        "scarce_trunk",
        "scarce_trunk_of_domain",
        "scarce_strategy",
        "scarce_frontier_seed",
    ),
}
_STAGE_OF = {part: stage for stage, parts in _PARTS.items() for part in parts}


def stage_of(name: str) -> str:
    """The stage of a rule or a command; most are a stage themselves."""
    return _STAGE_OF.get(name, name)


def in_order(names: set[str]) -> list[str]:
    """The names of stages in the order of the data, followed by the others by name."""
    return [stage for stage in ORDER if stage in names] + sorted(names - set(ORDER))
