"""The model card of an exported folder: the split, its prediction, the measured losses, the use."""

from __future__ import annotations

import math
from collections.abc import Mapping

from splitlaw.common.files import read_json
from splitlaw.common.markdown import markdown_table
from splitlaw.delivery.final_folder import FinalFolder
from splitlaw.delivery.routing import Routing
from splitlaw.stages.model_card import HEADER
from splitlaw.training.evaluation import DocumentLosses

Losses = Mapping[str, DocumentLosses]

_SERVE = """\
    splitlaw chat FOLDER
    splitlaw serve FOLDER
"""

_USE_ROUTED = f"""\
```python
import splitlaw

model = splitlaw.RoutedModel.from_pretrained("FOLDER")
model.generate(["This License", "def main():"], seed=1)
model.loglikelihood([("This License", " does not grant")])
```

{_SERVE}"""

_USE_ONE = f"""\
```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("FOLDER")
tokenizer = AutoTokenizer.from_pretrained("FOLDER")
```

    lm-eval --model hf --model_args pretrained=FOLDER --tasks lambada_openai
{_SERVE}"""


def routed_card(final: FinalFolder, routing: Routing) -> str:
    """`README.md` of a routed model."""
    how = (
        "A prompt is routed by its own text. A specialist answers alone if the router gives its "
        f"domain a probability of at least {routing.confidence:g}. Below it, the specialists are "
        "an ensemble: the probability of the next token is their mean, weighted by the router. "
        "Text is of no domain, and the general model answers, if its words, each in the domain "
        "in which it is the most likely, have a mean log-likelihood below "
        f"{routing.least_log_likelihood:.2f} nats. The router is naive "
        f"Bayes on hashed words with a temperature of {routing.weights.temperature:.2f}."
    )
    return _card(final, "routed", how, _router_lines(final), _USE_ROUTED, measured=None)


def single_card(final: FinalFolder, kind: str, how: str, losses: Losses) -> str:
    """`README.md` of one model made from the specialists; `losses` are its own, by domain."""
    return _card(final, kind, how, "", _USE_ONE, measured=losses)


def _card(
    final: FinalFolder, kind: str, how: str, more: str, use: str, *, measured: Losses | None
) -> str:
    recipe = final.recipe
    sections = [
        f"{HEADER}\n# {', '.join(final.domains)}: {kind}, strategy {recipe.strategy}, size "
        f"{recipe.size}, seed {recipe.seed}",
        how,
        more,
        "## The split",
        _split(final),
        "## Losses",
        "Nats per token on held-out documents, which nothing was chosen on. The predictions are "
        "those of the scaling law that chose the split, for the specialists.",
        _losses_table(final, measured),
        "## Use",
        use,
    ]
    return "\n\n".join(section for section in sections if section)


def _split(final: FinalFolder) -> str:
    rows = final.losses()
    table = markdown_table(
        ["domain", "general tokens D", "domain tokens D′"],
        [
            [str(row.domain), f"{row.pretrain_tokens:,}", f"{row.specialize_tokens:,}"]
            for row in rows.itertuples()
        ],
    )
    flops = float(rows["flops"].iloc[0])
    params = int(rows["params"].iloc[0])
    about = (
        f"{len(rows)} specialists of {params:,} parameters each, which share their general "
        f"training; {flops:.3g} FLOPs for all of them."
    )
    return "\n".join([about, "", *table])


def _losses_table(final: FinalFolder, measured: Losses | None) -> str:
    head = ["domain", "predicted", "measured, specialist"]
    rows = []
    for row in final.losses().itertuples():
        predicted = float(row.predicted_loss)
        shown = f"{predicted:.4f}" if math.isfinite(predicted) else ""
        entry = [str(row.domain), shown, f"{row.loss:.4f} ± {row.loss_stderr:.4f}"]
        if measured is not None:
            own = measured[str(row.domain)]
            entry.append(f"{own.loss:.4f} ± {own.stderr:.4f}")
        rows.append(entry)
    if measured is not None:
        head.append("measured, this model")
    return "\n".join(markdown_table(head, rows))


def _router_lines(final: FinalFolder) -> str:
    accuracy = read_json(final.router / "router.json").get("accuracy")
    if accuracy is None:
        return ""
    return f"The router finds the domain of {accuracy:.1%} of the held-out documents."
