"""The files of the site: pages and what they link to, under their paths in the repository.

A link from one page to another is then the same on GitHub and in the site, and MkDocs checks it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"""\]\(([^)\s#]+)|(?:src|href|srcset)="([^"#]+)\"""")
"""The target of a link or of a picture, in Markdown or in HTML, without its anchor."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace the files of docs_dir by the pages of the navigation and the files they link to."""
    for file in [*files]:
        if file.src_dir == config.docs_dir:
            files.remove(file)
    pages = [*paths(config.nav)]
    linked = {target for page in pages for target in targets(page)}
    # A plugin's style sheet is not in the repository, and is written by the plugin.
    parts = [*config.extra_css, *config.extra["polyfills"]]
    parts = [path for path in parts if (ROOT / path).exists()]
    # A linked page that the navigation lacks is left out, so that MkDocs reports the link.
    others = sorted(path for path in linked if not path.endswith(".md"))
    for path in [*pages, *parts, *others]:
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def paths(nav: object) -> Iterator[str]:
    """The pages of the navigation."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        nav = [*nav.values()]
    if isinstance(nav, list):
        for entry in nav:
            yield from paths(entry)


def targets(page: str) -> Iterator[str]:
    """The files of the repository to which a page links."""
    for found in LINK.finditer((ROOT / page).read_text(encoding="utf-8")):
        link = unquote(found[1] or found[2])
        file = ((ROOT / page).parent / link).resolve()
        if "://" not in link and file.is_file() and file.is_relative_to(ROOT):
            yield str(file.relative_to(ROOT))
