"""HTML pages: one file that contains its style and figures."""

import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from splitlaw.report import style

PAGE_COLOURS = {style.INK: "currentColor", style.GRID: "var(--line)", style.PAPER: "var(--page)"}
"""Colours of figures that are replaced by colours of the page, which has a dark mode."""


def inline_svg(svg: str, name: str, title: str) -> Markup:
    """An SVG file as part of the page.

    Ids get the prefix `name`, so that they are unique in the page; the colours of ink and paper
    become those of the page.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    for colour, replacement in PAGE_COLOURS.items():
        body = body.replace(colour, replacement)
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', body))

    def rename(match: re.Match[str]) -> str:
        return f' id="{name}-{match[1]}"' if match[1] in used else ""

    body = re.sub(r' id="([^"]+)"', rename, body)
    body = re.sub(r'(url\(|href=")#', rf"\1#{name}-", body)
    head, rest = body.split(">", 1)
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    label = f' role="img" aria-label="{title}"'
    return Markup(f"{head}{label}>{rest}")


def render(content: Mapping[str, Any], *, template: str = "page.html.j2") -> str:
    """Render a template with its style sheet."""
    environment = Environment(
        loader=PackageLoader("splitlaw.report"),
        autoescape=select_autoescape(["html", "j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    css = resources.files("splitlaw.report").joinpath("templates/style.css").read_text()
    return environment.get_template(template).render(css=Markup(css), **content)
