"""A terminal recording as an SVG that browsers play: what a command shows, when it shows it."""

import re
import time
from html import escape

ROWS, COLUMNS = 26, 88
"""The rows hold the last command with its output, the columns the longest line but warnings."""
LINE, CHARACTER, MARGIN = 18, 7.83, 14
"""Height of a line, width of a character at 13 pixels, and margin, in pixels."""
LONGEST_PAUSE = 1.5
"""Seconds: longer pauses are shortened to this."""
READING = 1.0
"""Seconds between a command and its output, and before the next command."""
PROMPT = "$ "
STYLE = """\
text {
  font: 13px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  fill: #d5dbe3; white-space: pre
}
.p { fill: #7fd1b9 }
.s { animation: s 1ms backwards }
.o { visibility: hidden; animation: o }
@keyframes s { from { visibility: hidden } }
@keyframes o { from, to { visibility: visible } }
@media (prefers-reduced-motion: reduce) { * { animation: none !important } }
"""
"""`s` shows a line from a time on, `o` for some time. The last screen stays."""


class Recording:
    """The lines of a terminal, each with the times at which it changed.

    Only what the commands of splitlaw use is understood: text, line feeds, and lines that are
    overwritten after a carriage return.
    """

    def __init__(self) -> None:
        self.lines: list[list[tuple[float, str]]] = [[]]
        """Of each line, the times in seconds and its texts from then on."""
        self.clock = 0.0
        self.last = time.monotonic()

    def type(self, command: str) -> None:
        """Show a command behind a prompt, and give time to read it."""
        self.clock += READING if len(self.lines) > 1 else 0.3
        self._set(PROMPT + command)
        self.lines.append([])
        self.clock += READING
        self.last = time.monotonic()

    def show(self, chunk: bytes) -> None:
        """Show a piece of the output of a command."""
        now = time.monotonic()
        self.clock += min(now - self.last, LONGEST_PAUSE)
        self.last = now
        for part in re.split(r"(\n)", chunk.decode().replace("\r\n", "\n")):
            if part == "\n":
                self._end_line()
            elif part:
                shown = self.lines[-1][-1][1] if self.lines[-1] else ""
                self._set((shown + part).replace("\x1b[K", "").rpartition("\r")[2])

    def _end_line(self) -> None:
        """Begin a line; the columns that the last one has too many are in lines of their own."""
        shown = self.lines[-1][-1][1] if self.lines[-1] else ""
        self._set(shown[:COLUMNS])
        for start in range(COLUMNS, len(shown), COLUMNS):
            self.lines.append([(self.clock, shown[start : start + COLUMNS])])
        self.lines.append([])

    def _set(self, text: str) -> None:
        """Change the text of the last line."""
        changes = self.lines[-1]
        if changes and changes[-1][0] == self.clock:
            changes.pop()
        if text != (changes[-1][1] if changes else ""):
            changes.append((self.clock, text))

    def svg(self) -> str:
        """The animation, of which the last screen stays."""
        width, height = COLUMNS * CHARACTER + 2 * MARGIN, ROWS * LINE + 2 * MARGIN
        shown = "\n".join(self._texts())
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" '
            f'width="{width:.0f}" height="{height}" role="img">\n'
            f"<style>\n{STYLE}{self._scroll()}</style>\n"
            f'<rect width="100%" height="100%" rx="8" fill="#1b1f27"/>\n'
            f'<svg x="{MARGIN}" y="{MARGIN}" width="{width - 2 * MARGIN:.0f}" '
            f'height="{height - 2 * MARGIN}">\n<g id="g">\n{shown}\n</g>\n</svg>\n</svg>\n'
        )

    def _texts(self):
        """Every text of every line, in its row."""
        for row, changes in enumerate(self.lines):
            ends = [*(at for at, _ in changes[1:]), None]
            for (at, text), end in zip(changes, ends, strict=False):
                if not text:
                    continue
                kind = "s" if end is None else "o"
                colour = " p" if text.startswith(PROMPT) else ""
                timing = f"animation-delay:{at:.2f}s"
                timing += "" if end is None else f";animation-duration:{end - at:.2f}s"
                line = escape(text, quote=False)
                yield (
                    f'<text y="{row * LINE + 13}" class="{kind}{colour}" '
                    f'style="{timing}">{line}</text>'
                )

    def _scroll(self) -> str:
        """The animation that moves the lines up when the screen is full."""
        above = {0.0: 0}
        for row, changes in enumerate(self.lines):
            if changes and any(text for _, text in changes):
                above[changes[0][0]] = max(above.get(changes[0][0], 0), row + 1 - ROWS)
        end, rows, frames = self.clock + 0.01, 0, []
        for at in sorted(above):
            if at > 0 and above[at] <= rows:
                continue
            rows = max(rows, above[at])
            frames.append(f"{100 * at / end:.2f}% {{ transform: translateY({-rows * LINE}px) }}")
        last = f"transform: translateY({-rows * LINE}px)"
        return (
            f"#g {{ {last}; animation: g {end:.2f}s step-end }}\n"
            f"@keyframes g {{ {' '.join(frames)} to {{ {last} }} }}\n"
        )
