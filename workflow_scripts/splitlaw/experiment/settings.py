"""Sections of the configuration: models, training, evaluation, law, final models, execution."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from splitlaw.common.limits import MOST_DRAWS
from splitlaw.experiment.section import (
    Count,
    Distinct,
    Fraction,
    Natural,
    Number,
    Positive,
    Seeds,
    Settings,
    Share,
    Values,
)

BYTES = 256
"""Tokens of a byte-level vocabulary that represent single bytes."""


def check_replay(value: Any) -> Any:
    """Refuse what is neither a share of at least 0 and below 1, nor such shares by domain."""
    shares = value.items() if isinstance(value, Mapping) else [("", value)]
    for domain, share in shares:
        of_domain = f"{domain} has {share!r}" if domain else f"is {share!r}"
        number = isinstance(share, int | float) and not isinstance(share, bool)
        if not number or not 0 <= share < 1:
            raise ValueError(f"{of_domain}; give a number of at least 0 and below 1")
        if 0 < share < 0.001 or share > 0.999:
            raise ValueError(f"{of_domain}; give 0, or a share from 0.001 to 0.999")
    return value


class TokenizerConfig(Settings):
    """A byte-level BPE tokenizer trained on general text, or an existing one."""

    vocabulary: Annotated[Count, Field(gt=BYTES)]
    """Tokens in the vocabulary, including the 256 bytes and the end of text. It is the number of
    rows of the embedding. With `path`, it is at least the vocabulary of that tokenizer."""
    path: str | None = None
    """A tokenizer to use instead of training one: a folder, a `tokenizer.json`, or a name on the
    Hugging Face Hub. It must encode any text, as byte-level ones do."""
    revision: str | None = None
    """Commit of a tokenizer from the Hub."""
    max_bytes: Positive = 50_000_000
    """Largest number of bytes of text to train the tokenizer on. With more, merges hardly change,
    and the counts may not fit in memory."""


class ModelConfig(Settings):
    """The part of the architecture that all sizes share."""

    context: Annotated[Count, Field(ge=8)]
    """Context length: the largest number of tokens that a prediction is made from."""


class SizeConfig(Settings):
    """Shape of one size of model: Llama with tied embeddings."""

    width: Annotated[Count, Field(ge=2)]
    """Width of the hidden states. Divided by `heads`, it must give an even integer."""
    layers: Positive
    """Number of transformer blocks."""
    heads: Positive
    """Number of attention heads."""
    intermediate: Positive
    """Width of the feed-forward layer."""


class TrainingConfig(Settings):
    """How every model of an experiment is trained; part of what identifies a result."""

    batch_tokens: Positive
    """Tokens in a step; a multiple of `model.context`."""
    warmup_tokens: Natural
    """Tokens over which the learning rate rises to its peak."""
    cooldown_fraction: Fraction
    """Share of D + D' over which the learning rate falls to zero."""
    learning_rate: Annotated[Number, Field(gt=0)]
    """Peak learning rate of a model of `reference_params` parameters."""
    reference_params: Positive
    """Number of parameters that `learning_rate` is for."""
    learning_rate_exponent: Number
    """The peak learning rate is proportional to N to this power; 0 gives every size the same."""
    weight_decay: Annotated[Number, Field(ge=0)]
    """Decoupled weight decay of the weight matrices; norms have none."""
    betas: Annotated[tuple[Number, Number], Field(strict=False)]
    """Decay rates of AdamW's two moments."""
    clip: Annotated[Number, Field(gt=0)]
    """Largest global norm of the gradients; larger ones are scaled down to it."""

    def peak_learning_rate(self, params: int) -> float:
        """The peak learning rate of a model of `params` parameters."""
        return self.learning_rate * (params / self.reference_params) ** self.learning_rate_exponent

    def steps(self, tokens: float) -> int:
        """Number of whole batches nearest to `tokens`."""
        return round(tokens / self.batch_tokens)


class HeldOutConfig(Settings):
    """How held-out text is cut into the documents that losses are measured on."""

    tokens: Positive | None = None
    """Held-out tokens of each domain on which a loss is measured."""
    characters_per_document: Positive | None = None
    """Held-out documents are cut to this many characters, so that a few long ones do not dominate
    the mean; by default they are not cut."""
    minimum_tokens: Positive = 1000
    """A domain with fewer held-out tokens is refused, because its loss would be noise."""


class EvaluationConfig(HeldOutConfig):
    """How losses on held-out text are measured."""

    tokens: Positive
    """Held-out tokens of each domain on which a loss is measured."""


class LawConfig(Settings):
    """How the law is fitted."""

    form: Literal[
        "auto",
        "two_skills",
        "effective_tokens",
        "additive",
        "multiplicative",
        "transfer_gap",
        "interaction",
        "transferred_data",
        "coupled",
        "chinchilla",
    ]
    """Form of the law; `auto` averages the default forms, weighted by how well they predict
    left-out rows."""
    discrepancy: Literal["on", "none"] = "on"
    """Whether the law has a smooth correction of the form and the noise of runs; `none` is the
    classical fit."""
    draws: Annotated[Count, Field(ge=0, le=MOST_DRAWS)] = 300
    """Number of draws of the posterior that the intervals are computed from."""
    seed: Natural
    """Seed of the draws."""


class FinalConfig(Settings):
    """The models trained at the optimal split, and the baselines at equal compute."""

    size: str
    """Size of the final models, one of `sizes`."""
    budget_tokens: Positive
    """Tokens of each strategy: the trunk and all its branches together."""
    seeds: Seeds
    """Seeds of initialisation and data order."""
    more_seeds: Values[Natural]
    """Seeds that the target `seeds` adds."""
    trunk: Literal["shared", "independent"]
    """One trunk for all domains (`shared`), or one for each domain, with its own seed and trained
    by its own job (`independent`). The budget pays for all trunks."""
    max_general_loss_rise: Annotated[Number, Field(gt=-1)] | None = None
    """Largest rise of the loss of a specialist on general text, relative to that of the base, or
    without a base to that of general training with the whole budget; it may be negative. The plan
    then chooses the shares of replay, which requires branches with replay in the grid. By default
    there is no limit."""
    limit_confidence: Annotated[Number, Field(ge=0.5, lt=1)] = 0.9
    """Probability with which each specialist keeps `max_general_loss_rise`. At 0.5, its predicted
    loss is at most at the limit."""
    replay: Annotated[
        Share | Mapping[str, Share],
        PlainValidator(check_replay, json_schema_input_type=Share | Mapping[str, Share]),
    ] = 0
    """Share of general text in the branches of `optimal`, `two_stage_90` and `half`: one share, or
    shares by domain. The number of tokens stays the same. A plan with a base or with a limit on
    general loss is made for these shares. Under a limit, it chooses the shares of domains without
    one, and of all domains if `replay` is not given."""
    unique_tokens: Positive | Mapping[str, Positive] | None = None
    """Limit on the unique tokens of the domains: one number for every domain, or numbers by domain.
    The plan accounts for the limit, and every recipe reads only so many tokens at the beginning of
    a domain's training text, repeatedly. By default there is no limit."""

    def limits(self, domains: Iterable[str]) -> dict[str, int]:
        """`unique_tokens` of each domain that has a limit."""
        given = self.unique_tokens
        if given is None:
            return {}
        return dict(given) if isinstance(given, Mapping) else dict.fromkeys(domains, given)


class BenchmarksConfig(Settings):
    """Zero-shot tasks of the final models."""

    tasks: Annotated[Distinct[str], Field(min_length=1)]
    """Local tasks of the folder `tasks`, or tasks of lm-eval if the Hugging Face Hub can be
    reached."""
    items: Positive
    """Largest number of items of each local task."""


class ExecutionConfig(Settings):
    """Where and how a run is computed; never part of what identifies a result."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device to train on; `auto` uses a GPU if there is one. A job that requested a GPU and finds
    none fails, unless this is `cpu`."""
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    """Type of matrix products on a GPU (autocast). `auto` is bfloat16 if the GPU supports it,
    otherwise float32. Weights and moments are always float32, and CPUs compute in float32. Another
    value changes losses slightly, as another device does; `run.json` records it."""
    compile: bool = True
    """Use `torch.compile` if a C++ compiler or a GPU is available."""
    microbatch: Positive | None = None
    """Sequences in one forward pass of a process; by default the most that fit in memory."""
    processes: Positive = 1
    """Processes that share each batch, one for each GPU."""
    shard: bool = False
    """Divide weights and moments among the processes (FSDP2) instead of replicating them (DDP)."""
    checkpoint_seconds: Annotated[Number, Field(gt=0)] = 300.0
    """Seconds between the checkpoints of a running training."""
    flops_per_second: Annotated[Number, Field(gt=0)] | None = None
    """Training FLOPs per second of one device, for the target `cost` and the time limits of jobs.
    By default the target `calibrate` measures the throughput."""
    repeat: bool = False
    """Read a domain's text again when its tokens are used up, instead of refusing the run."""
    trackers: Distinct[Literal["tensorboard", "wandb"]] = ()
    """Trackers that receive the numbers of `train_log.csv` as well."""


class ExecutionSection(ExecutionConfig):
    """Where and how runs are computed; changing it never trains anything again."""

    by_size: Mapping[str, ExecutionConfig] = {}
    """Other values of these keys for some sizes, by the name of the size."""

    def of(self, size: str | None) -> ExecutionConfig:
        """The settings of a size; without a size, those of sizes that `by_size` does not name."""
        keys: dict[str, Any] = self.model_dump(exclude={"by_size"}, exclude_unset=True)
        if size is not None and size in self.by_size:
            keys |= self.by_size[size].model_dump(exclude_unset=True)
        return ExecutionConfig(**keys)
