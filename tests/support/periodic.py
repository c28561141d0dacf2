"""Runs the periodic tasks of a server at once."""

from app.composition import Portico
from app.periodic import PURGE_SECONDS


async def tidy(portico: Portico) -> None:
    """Delete expired rows, as every server does every ten minutes."""
    for task in portico.periodic()[PURGE_SECONDS]:
        await task()
