"""A model that exists: the base of an experiment, read from the files of its folder.

Only `config.json`, the headers of the safetensors files and `tokenizer.json` are read, so that a
configuration is checked and its FLOPs are counted in milliseconds. `training.model` compares the
counts with those of the built model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

from splitlaw.common.errors import UserError
from splitlaw.common.tokenizer_file import TOKENIZERS, count_tokens

FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
"""Files of a model on the Hub that are downloaded: weights in other formats are not opened."""
SAMPLES, SAMPLE_BYTES = 16, 65_536
"""Parts of a file that its digest is computed from. Training changes nearly every weight, so that
they differ between any two models, and files of many gigabytes are read at once."""
ARCHITECTURE = "config.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER = "adapter_config.json"
CAUSAL = ("ForCausalLM", "LMHeadModel")
"""Ends of the names of causal language models in `transformers`."""
HEAD_NAMES = ("lm_head", "embed_out", "output")
"""Beginnings of the names of the head's matrix."""
POSITIONS = ("wpe.", "embed_positions.", "position_embeddings.")
"""Parts of the names of learned position embeddings, which are looked up."""
BUFFERS = ("attn.masked_bias", "attention.masked_bias", "rotary_emb.inv_freq")
MASKS = (".attn.bias", ".attention.bias")
"""Names of tensors in files of earlier versions of `transformers` that are no parameters. A bias of
one dimension with such a name is a parameter, a mask has four."""

KEYS = {
    "vocabulary": ("vocab_size",),
    "width": ("hidden_size", "n_embd", "d_model"),
    "layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
}
"""Names that architectures have for the dimensions of a model."""
HEADS = ("num_attention_heads", "n_head", "n_heads")
INTERMEDIATE = ("intermediate_size", "n_inner", "ffn_dim")
CONTEXT = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")


def find_folder(path: str, revision: str | None = None) -> Path:
    """The folder of a model: `path` itself, or where a model of the Hub is stored.

    A model of the Hub that is not stored yet is downloaded. Raises `UserError` where there is none.
    """
    folder = Path(path).expanduser()
    if path and folder.is_dir():
        return folder
    if not path or path.startswith(("/", ".", "~")) or path.count("/") > 1 or folder.exists():
        raise _error(path, "no such folder", "correct the path")
    from huggingface_hub import snapshot_download  # not in the dependencies of a plain install

    for stored in (True, False):
        try:
            found = snapshot_download(
                path, revision=revision, allow_patterns=list(FILES), local_files_only=stored
            )
            return Path(found)
        except Exception as cause:  # the library raises errors of many types without a network
            reason = str(cause).strip().splitlines()[0].rstrip(".")
    raise _error(
        path,
        f"no such folder, and the Hub gives no such model ({reason})",
        "give a folder with config.json and safetensors files",
    )


def read_model(path: str, revision: str | None = None) -> dict[str, Any]:
    """The counts and the dimensions of a base, as the section `base.model` has them.

    Raises `UserError` in one line for a folder from which no model can be trained.
    """
    folder = find_folder(path, revision)
    architecture = _architecture(folder, path)
    tensors = dict(found for file in _weights(folder, path) for found in _tensors(file, path))
    size = {key: _value(architecture, names, path) for key, names in KEYS.items()}
    width = size["width"]
    table = [size["vocabulary"], width]
    places = {name: shape for name, shape in tensors.items() if any(p in name for p in POSITIONS)}
    tables = [name for name, shape in tensors.items() if shape == table and name not in places]
    if not tables:
        raise _error(
            path,
            f"no tensor has {table[0]} rows of {width}, which config.json gives the embedding",
            "save model and configuration together",
        )
    head = [name for name in tables if name.startswith(HEAD_NAMES)]
    tied = len(tables) == 1 or bool(architecture.get("tie_word_embeddings"))
    if tied:
        for name in head if len(tables) > 1 else ():
            del tensors[name]
    params = sum(map(prod, tensors.values()))
    embeddings = prod(table) * (1 if tied else 2) + sum(map(prod, places.values()))
    _check_tokenizer(folder, path, rows=table[0])
    return {
        "folder": str(folder),
        "digest": _digest(folder),
        "architecture": (architecture.get("architectures") or ["?"])[0],
        **size,
        # A model without attention, as a state-space model is, has no heads.
        "heads": _first(architecture, HEADS) or 1,
        "intermediate": _first(architecture, INTERMEDIATE) or 4 * width,
        "longest_context": _first(architecture, CONTEXT),
        "params": params,
        "non_embedding_params": params - embeddings,
    }


def _architecture(folder: Path, path: str) -> dict[str, Any]:
    """The content of config.json, where it is that of a model which can be opened."""
    if (folder / ADAPTER).exists():
        raise _error(
            path,
            "is an adapter (LoRA), not a model",
            "merge it into its model, with merge_and_unload of peft, and save the result",
        )
    if not (folder / ARCHITECTURE).exists():
        raise _error(path, f"has no {ARCHITECTURE}", "save the model with save_pretrained")
    try:
        content = _mapping((folder / ARCHITECTURE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        problem = f"{ARCHITECTURE} cannot be read ({cause})"
        raise _error(path, problem, "save the model again") from None
    if "auto_map" in content:
        raise _error(
            path,
            f"requires code of its own (auto_map in {ARCHITECTURE}), which is never run",
            "save it as an architecture of transformers",
        )
    named = (content.get("architectures") or ["?"])[0]
    if content.get("is_encoder_decoder") or not str(named).endswith(("?", *CAUSAL)):
        raise _error(
            path,
            f"is a {named}, not a causal language model",
            "give one with its head, which AutoModelForCausalLM has saved",
        )
    if content.get("quantization_config"):
        remedy = "give the model that it was made of, or dequantize it and save the result"
        raise _error(path, "has quantized weights, which cannot be trained", remedy)
    return content


def _mapping(text: str | bytes) -> dict[str, Any]:
    """The content of a JSON file that has keys; raises `ValueError` for any other."""
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("it has no keys")
    return content


def _weights(folder: Path, path: str) -> list[Path]:
    """The safetensors files of a folder: `WEIGHTS`, or all that its index names.

    `transformers` opens no others, which the folder may have too.
    """
    index = folder / INDEX
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    if not index.exists():
        other = sorted(file.name for file in folder.glob("*.safetensors"))
        if other:
            problem = f"has {other[0]}, but neither {WEIGHTS} nor {INDEX}"
            raise _error(path, problem, "save the model with save_pretrained")
        problem, remedy = "has no safetensors file", "save the model with save_pretrained"
        raise _error(path, problem, f"{remedy}; other formats can run code and are not opened")
    try:
        names = _mapping(index.read_text(encoding="utf-8"))["weight_map"].values()
        files = [folder / name for name in sorted(set(names))]
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        problem = f"{INDEX} cannot be read as an index of weights"
        raise _error(path, problem, "save the model again") from None
    for file in files:
        if not file.exists():
            raise _error(path, f"{file.name} is missing, which its index names", "copy it too")
    return files


def _tensors(file: Path, path: str) -> Iterator[tuple[str, list[int]]]:
    """Names and shapes of the parameters in a safetensors file.

    The file begins with the length of its header, which has the places of the tensors in the rest.
    """
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            content = _mapping(stream.read(length))
        content.pop("__metadata__", None)
        shapes = {name: list(about["shape"]) for name, about in content.items()}
        last = max(int(about["data_offsets"][1]) for about in content.values())
    except (OSError, ValueError, MemoryError, OverflowError, KeyError, TypeError):
        problem = f"{file.name} is no safetensors file"
        raise _error(path, problem, "download it, or save the model, again") from None
    size = file.stat().st_size
    if size != 8 + length + last:
        problem = f"{file.name} has {size} bytes, and its tensors need {8 + length + last}"
        raise _error(path, problem, "it is damaged: copy it again")
    for name, shape in shapes.items():
        mask = name.endswith(MASKS) and len(shape) > 1
        if not mask and not name.endswith(BUFFERS):
            yield name, shape


def _digest(folder: Path) -> str:
    """Identifies the weights and the architecture; the same for a copy of the folder."""
    total = hashlib.sha256()
    for file in [folder / ARCHITECTURE, *sorted(folder.glob("*.safetensors"))]:
        length = file.stat().st_size
        total.update(f"{file.name} {length}".encode())
        with file.open("rb") as stream:
            for number in range(SAMPLES):
                stream.seek(number * max(0, length - SAMPLE_BYTES) // (SAMPLES - 1))
                total.update(stream.read(SAMPLE_BYTES))
    return total.hexdigest()[:16]


def _check_tokenizer(folder: Path, path: str, *, rows: int) -> None:
    """Refuse a tokenizer with ids beyond the embedding of the model."""
    file = folder / "tokenizer.json"
    if not any((folder / name).exists() for name in TOKENIZERS):
        problem = "has no tokenizer, which is to encode the text"
        raise _error(path, problem, "save that of the model in its folder")
    if not file.exists():
        return  # of another format; it is checked when it is copied
    try:
        tokens = count_tokens(file)
    except ValueError as cause:
        raise _error(path, str(cause), "save the tokenizer again") from None
    if tokens > rows:
        raise _error(
            path,
            f"its tokenizer has {tokens} tokens, and its embedding {rows} rows",
            "give the tokenizer that the model was trained with",
        )


def _value(architecture: Mapping[str, Any], names: tuple[str, ...], path: str) -> int:
    found = _first(architecture, names)
    if found is None:
        raise _error(
            path,
            f"{ARCHITECTURE} has no {' or '.join(names)}",
            "give a causal language model, saved with save_pretrained",
        )
    return found


def _first(architecture: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    return next((architecture[name] for name in names if architecture.get(name)), None)


def _error(path: str, problem: str, remedy: str) -> UserError:
    return UserError(f"base.path {path}: {problem}; {remedy}")
