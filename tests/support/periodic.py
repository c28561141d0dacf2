"""What a server does now and then, at once."""

from app.composition import Portico
from app.periodic import PURGE_SECONDS


async def tidy(portico: Portico) -> None:
    """Delete what has had its time, as every server does every ten minutes."""
    for task in portico.periodic()[PURGE_SECONDS]:
        await task()
