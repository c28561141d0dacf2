"""A mailer that keeps the emails that it is asked to send, for tests to read."""

import re
from dataclasses import dataclass, field

from app.mail.mailer import Message

TOKEN = re.compile(r"pot_[A-Za-z0-9_-]{43}")


@dataclass(slots=True)
class Outbox:
    messages: list[Message] = field(default_factory=list[Message])

    async def send(self, message: Message) -> str:
        self.messages.append(message)
        return "kept"

    async def check(self) -> str:
        return "Emails are kept."

    @property
    def subjects(self) -> list[tuple[str, str]]:
        return [(message.to, message.subject) for message in self.messages]

    def token_for(self, email: str) -> str:
        """The token of the last link that was sent to an address."""
        found = [TOKEN.search(each.text) for each in self.messages if each.to == email]
        tokens = [match.group() for match in found if match]
        assert tokens, f"no link was sent to {email}"
        return tokens[-1]
