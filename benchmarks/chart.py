"""A bar chart in SVG, readable on light and dark pages, with nothing to load."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from statistics import median

from load import Round
from tables import PORTICO, Measured, rates

WIDTH, LABEL, BAR, GAP, MARGIN = 860, 300, 22, 10, 24
PLOT = WIDTH - LABEL - 2 * MARGIN - 90
STYLE = """
  text { font: 14px system-ui, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 15px; }
  .note { font-size: 12px; fill: #59636e; }
  .ours { fill: #0969da; } .peer { fill: #afb8c1; }
  .ours-label { font-weight: 600; }
  .spread { stroke: #1f2328; stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .note { fill: #9198a1; }
    .ours { fill: #4493f8; } .peer { fill: #57606a; } .spread { stroke: #e6edf3; }
  }
"""


def throughput(
    measured: Measured, titles: Mapping[str, str], label_of: Callable[[str], str]
) -> str:
    """Requests per second of each server, one group of bars for each operation."""
    parts: list[str] = []
    y = MARGIN
    for operation, by_server in measured.items():
        y += 16
        parts.append(_text(MARGIN, y, titles[operation], "title"))
        y += 14
        most = max(max(rates(rounds)) for rounds in by_server.values())
        for name in sorted(by_server, key=lambda name: -median(rates(by_server[name]))):
            parts += _bar(y, label_of(name), by_server[name], most, ours=name == PORTICO)
            y += BAR + GAP
        y += 18
    note = (
        "Requests per second, one core each: median of the rounds; the line is least to greatest."
    )
    parts.append(_text(MARGIN, y + 4, note, "note"))
    return _document(y + MARGIN, parts)


def _bar(y: int, label: str, rounds: Sequence[Round], most: float, *, ours: bool) -> list[str]:
    rate = rates(rounds)
    left, middle = LABEL + MARGIN, y + BAR / 2
    length, low, high = (PLOT * value / most for value in (median(rate), min(rate), max(rate)))
    kind = "ours" if ours else "peer"
    anchor = f'text-anchor="end" class="{"ours-label" if ours else ""}"'
    return [
        f'<text x="{left - 10}" y="{middle + 5:.1f}" {anchor}>{escape(label)}</text>',
        f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{BAR}" rx="3" class="{kind}"/>',
        (
            f'<line x1="{left + low:.1f}" x2="{left + high:.1f}" y1="{middle}" y2="{middle}" '
            'class="spread"/>'
        ),
        (
            f'<text x="{left + max(length, high) + 8:.1f}" y="{middle + 5:.1f}">'
            f"{median(rate):,.0f}</text>"
        ),
    ]


def _text(x: int, y: int, text: str, kind: str) -> str:
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(text)}</text>'


def _document(height: int, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-label="Requests per second">'
    )
    return "\n".join([head, f"<style>{STYLE}</style>", *parts, "</svg>"])
