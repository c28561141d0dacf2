"""The tables of the results, in Markdown."""

from collections.abc import Callable, Collection, Mapping, Sequence
from statistics import median

from load import Round

Measured = Mapping[str, Mapping[str, Sequence[Round]]]
PORTICO = "portico"
BUSY = 0.9
LEGEND = (
    "Median of the rounds, with the least and the greatest. CPU is user and system time of the "
    "server's processes; busy is the share of its one core that it used; MiB is its resident "
    "memory after the last round. The ratio is Portico's requests per second over the peer's in "
    "the same round: the median of them, with the least and the greatest. By CPU it is the peer's "
    "CPU for a request over Portico's."
)


def throughput(
    measured: Measured,
    titles: Mapping[str, str],
    label_of: Callable[[str], str],
    about: Mapping[str, str],
    floors: Collection[str],
) -> str:
    """Returns the page of results. Floors are servers that do less than a GraphQL server must."""
    parts = ["# Throughput, one core each", ""]
    for operation, by_server in measured.items():
        parts += [f"## {titles[operation]}", "", *_table(by_server, label_of), ""]
        peers = [name for name in by_server if name != PORTICO and name not in floors]
        if PORTICO in by_server and peers:
            parts += [_verdict(by_server, peers, label_of), ""]
    parts += [LEGEND, "", *_listed(about)]
    return "\n".join(parts)


def report(title: str, table: Sequence[str], prose: Sequence[str], about: Mapping[str, str]) -> str:
    """Returns one page of results: the table, its conclusions, and the machine."""
    paragraphs = [line for paragraph in prose for line in (paragraph, "")]
    return "\n".join([f"# {title}", "", *table, "", *paragraphs, *_listed(about)])


def ratios(by_server: Mapping[str, Sequence[Round]], peer: str) -> list[float]:
    """Returns the ratio of Portico's rate to a peer's, for each round."""
    pairs = zip(by_server[PORTICO], by_server[peer], strict=True)
    return [ours.requests_per_second / theirs.requests_per_second for ours, theirs in pairs]


def cpu_ratios(by_server: Mapping[str, Sequence[Round]], peer: str) -> list[float]:
    """Returns the ratio of a peer's CPU per request to Portico's, which other work affects less."""
    pairs = zip(by_server[PORTICO], by_server[peer], strict=True)
    return [theirs.cpu_ms_per_request / ours.cpu_ms_per_request for ours, theirs in pairs]


def rates(rounds: Sequence[Round]) -> list[float]:
    return [one.requests_per_second for one in rounds]


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns a Markdown table with numbers aligned right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _listed(about: Mapping[str, str]) -> list[str]:
    return [f"- {name}: {value}" for name, value in about.items()]


def _table(by_server: Mapping[str, Sequence[Round]], label_of: Callable[[str], str]) -> list[str]:
    head = ("server", "requests/s", "least-greatest", "CPU ms", "busy", "p50 ms", "p99 ms", "MiB")
    compared = PORTICO in by_server
    fastest_first = sorted(by_server, key=lambda name: -median(rates(by_server[name])))
    rows = [
        [
            label_of(name),
            *_numbers(by_server[name]),
            *(_ratios(by_server, name) if compared else []),
        ]
        for name in fastest_first
    ]
    return grid([*head, *(["Portico is", "by CPU"] if compared else [])], rows)


def _numbers(rounds: Sequence[Round]) -> list[str]:
    rate = rates(rounds)
    return [
        f"{median(rate):,.0f}",
        f"{min(rate):,.0f}-{max(rate):,.0f}",
        f"{median(one.cpu_ms_per_request for one in rounds):.3f}",
        f"{median(one.cpu_busy for one in rounds):.0%}",
        f"{median(one.p50_ms for one in rounds):.1f}",
        f"{median(one.p99_ms for one in rounds):.1f}",
        f"{rounds[-1].resident_mib:.0f}",
    ]


def _ratios(by_server: Mapping[str, Sequence[Round]], name: str) -> list[str]:
    if name == PORTICO:
        return ["", ""]
    found = ratios(by_server, name)
    spread = f"{median(found):.2f}x ({min(found):.2f}-{max(found):.2f})"
    return [spread, f"{median(cpu_ratios(by_server, name)):.2f}x"]


def _verdict(
    by_server: Mapping[str, Sequence[Round]],
    peers: Sequence[str],
    label_of: Callable[[str], str],
) -> str:
    best = max(peers, key=lambda name: median(rates(by_server[name])))
    rounds = [one for taken in by_server.values() for one in taken]
    disturbed = sum(one.cpu_busy < BUSY for one in rounds)
    return (
        f"Against the fastest GraphQL server, {label_of(best)}: "
        f"**{median(ratios(by_server, best)):.2f}x** its requests per second, "
        f"{median(cpu_ratios(by_server, best)):.2f}x by CPU. "
        f"In {disturbed} of {len(rounds)} rounds a server had less than {BUSY:.0%} of its core: "
        f"it waited for PostgreSQL or other work."
    )
