"""The stage `train_tokenizer`: train a byte-level BPE tokenizer, or copy an existing one."""

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from splitlaw.common.errors import UserError
from splitlaw.common.files import atomic_path, write_json
from splitlaw.corpus.documents import read_documents
from splitlaw.corpus.working_folder import exit_on_sigterm, remove_leftovers
from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.settings import TokenizerConfig
from splitlaw.tokens.existing import copy_tokenizer

END_OF_TEXT = "<|endoftext|>"
LONGEST_LETTERS = 64
"""Longest run of letters in training: the time of BPE training is quadratic in the length of words.
Words of languages with spaces are shorter, so that only text without spaces is cut."""
LONGEST_OTHERS = 256
"""The same for other runs, such as lines of dashes, up to 142 long in the default text."""
RUN_CHARACTERS = 2_000_000
"""Characters in long runs that are trained on. Their pieces hardly ever repeat, and each character
takes up to 300 bytes of memory."""
_LETTER, _SIGN = r"[^\W\d_]", r"(?:[^\w\s]|_)"
_LONG_RUN = re.compile(
    rf"(?<!{_LETTER}){_LETTER}{{{LONGEST_LETTERS + 1},}}"
    + "".join(rf"|(?<!{kind}){kind}{{{LONGEST_OTHERS + 1},}}" for kind in (r"\d", r"\s", _SIGN))
)


def make_tokenizer(config: TokenizerConfig, corpus: Path, out: Path) -> None:
    """Write the tokenizer that the configuration describes into the folder `out`."""
    if config.path is not None:
        copy_tokenizer(config, out)
        return
    remove_leftovers(out)
    with exit_on_sigterm():
        texts = _training_text(corpus, config.max_bytes)
        tokenizer = _in_thread(lambda: train_bpe(texts, config.vocabulary))
    if tokenizer.get_vocab_size() != config.vocabulary:
        raise UserError(
            f"tokenizer.vocabulary is {config.vocabulary}, and the text of general gives only "
            f"{tokenizer.get_vocab_size()} tokens; lower it or give general more text"
        )
    save_tokenizer(tokenizer, out)


def _in_thread(action: Callable[[], Tokenizer]) -> Tokenizer:
    """Return the value of `action`, which another thread computes.

    Python handles signals in the main thread only, and `tokenizers` does not return to it during
    training: the process would ignore SIGTERM for minutes, and the scheduler would kill it.
    """
    future: Future[Tokenizer] = Future()

    def run() -> None:
        try:
            future.set_result(action())
        except BaseException as error:
            future.set_exception(error)

    # Not an executor: at exit, Python waits for the threads of one.
    threading.Thread(target=run, daemon=True).start()
    return future.result()


def train_bpe(texts: Iterator[str], vocabulary: int) -> Tokenizer:
    """Train byte-level BPE as in GPT-2: any text can be encoded, and is decoded to itself."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[AddedToken(END_OF_TEXT, special=True, normalized=False)],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_without_long_runs(texts), trainer)
    return tokenizer


def _without_long_runs(texts: Iterator[str]) -> Iterator[str]:
    """Yield the texts, cut within long runs of letters or of other characters.

    After `RUN_CHARACTERS` in long runs, the rest of them is left out.
    """
    remaining = RUN_CHARACTERS
    for text in texts:
        begin = 0
        for run in _LONG_RUN.finditer(text):
            end = min(run.end(), run.start() + remaining)
            remaining -= end - run.start()
            step = LONGEST_LETTERS if run[0][0].isalpha() else LONGEST_OTHERS
            for cut in range(run.start() + step, end, step):
                yield text[begin:cut]
                begin = cut
            if end < run.end():
                yield text[begin:end]
                begin = run.end()
        yield text[begin:]


def _training_text(corpus: Path, max_bytes: int) -> Iterator[str]:
    """Yield training documents of general, which are in shuffled order, up to `max_bytes`."""
    size = 0
    for _, texts in read_documents(corpus, GENERAL, "train"):
        yield from texts
        size += sum(len(text.encode("utf-8")) for text in texts)
        if size >= max_bytes:
            return


def save_tokenizer(tokenizer: Tokenizer, out: Path) -> None:
    """Write the files from which `AutoTokenizer` opens the tokenizer."""
    write_json(
        out / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": END_OF_TEXT,
            "eos_token": END_OF_TEXT,
            "pad_token": END_OF_TEXT,
            "clean_up_tokenization_spaces": False,
        },
    )
    with atomic_path(out / "tokenizer.json") as temporary:
        tokenizer.save(str(temporary))
