"""Measures whether response times reveal who has an account, by known and unknown addresses."""

import argparse
import random
import time
from statistics import median

from client import Client
from database import address
from processes import BenchmarkFailed
from script import run_script
from stage import UNTHROTTLED, machine, pin_this_script, stage, write_result
from statistic import mann_whitney, percentile
from tables import grid, report

WRONG = "not the password of anybody"
NEW = "a password that nobody has 7"
KNOWN, AGAIN, UNKNOWN = "known", "known, once more", "unknown"
WARM_UP = 20
SUSPICIOUS = 0.01
ASKED = {
    "login": (
        "mutation A($email: String!, $password: String!)"
        " { answer: login(input: {email: $email, password: $password}) { __typename } }"
    ),
    "register": (
        "mutation A($email: String!, $password: String!)"
        " { answer: register(input: {email: $email, password: $password}) { __typename } }"
    ),
    "requestPasswordReset": (
        "mutation A($email: String!)"
        " { answer: requestPasswordReset(input: {email: $email}) { __typename } }"
    ),
}
EXPECTED = {
    "login": "InvalidCredentials",
    "register": "VerificationSent",
    "requestPasswordReset": "RequestAccepted",
}
# Emails are sent by another process: a worker in this one would be busier for known addresses.
VERIFYING = {"EMAIL_VERIFICATION": "required", "SMTP_URL": "console:", "JOBS_WORKER": "false"}


def main(options: argparse.Namespace) -> None:
    people = max(1000, 2 * (options.samples + WARM_UP) + 10)
    with stage(people, rounds=options.bcrypt_rounds) as set_up:
        settings = {**UNTHROTTLED, **VERIFYING, "BCRYPT_ROUNDS": str(options.bcrypt_rounds)}
        with set_up.portico(settings) as server:
            pin_this_script()
            client = Client(server.port)
            times = {name: _times(client, name, options.samples) for name in ASKED}
        about = machine(set_up)
    text = "\n\n".join(_report(name, taken, options) for name, taken in times.items())
    text += "\n\n" + "\n".join(f"- {name}: {value}" for name, value in about.items())
    write_result("timing.md", text)
    print(text)


def _times(client: Client, operation: str, samples: int) -> dict[str, list[float]]:
    """Returns milliseconds of answers in random alternation, with each address used once."""
    times: dict[str, list[float]] = {KNOWN: [], AGAIN: [], UNKNOWN: []}
    order = list(times)
    password = WRONG if operation == "login" else NEW
    for number in range(1, WARM_UP + samples + 1):
        addresses = {
            KNOWN: address(2 * number),
            AGAIN: address(2 * number + 1),
            # As long as the other addresses.
            UNKNOWN: address(number).replace("person", "nobody"),
        }
        random.shuffle(order)
        for name in order:
            variables = {"email": addresses[name], "password": password}
            if operation == "requestPasswordReset":
                del variables["password"]
            began = time.perf_counter()
            answer = client(ASKED[operation], variables)["answer"]["__typename"]
            taken = (time.perf_counter() - began) * 1000
            if answer != EXPECTED[operation]:
                raise BenchmarkFailed(f"{operation} answered {answer}.")
            if number > WARM_UP:
                times[name].append(taken)
    return times


def _report(operation: str, times: dict[str, list[float]], options: argparse.Namespace) -> str:
    rows = [
        [
            name,
            f"{median(taken):.3f}",
            f"{percentile(taken, 0.05):.3f}",
            f"{percentile(taken, 0.95):.3f}",
        ]
        for name, taken in times.items()
    ]
    more, p = mann_whitney(times[KNOWN], times[UNKNOWN])
    control, control_p = mann_whitney(times[KNOWN], times[AGAIN])
    apart = median(times[KNOWN]) - median(times[UNKNOWN])
    verdict = (
        f"Known against unknown (Mann-Whitney): **p = {p:.3f}**; a known one takes longer with "
        f"probability {more:.3f}, medians {apart:+.3f} ms apart. "
        f"**They can{'' if p < SUSPICIOUS else 'not'} be told apart** with {options.samples} "
        "samples of each."
    )
    control_and_how = (
        f"For comparison, known against known: p = {control_p:.3f}, probability {control:.3f}. "
        f"BCRYPT_ROUNDS={options.bcrypt_rounds}, one request at a time, every address used once."
    )
    table = grid(("address", "median ms", "5 % ms", "95 % ms"), rows)
    title = f"Whether the time of `{operation}` tells who has an account"
    return report(title, table, [verdict, control_and_how], {}).rstrip()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--bcrypt-rounds", type=int, default=8)
    run_script(main, parser)
