"""The few commands of IMAP (RFC 9051) that the probe uses.

aioimaplib, which is maintained, has no STARTTLS, and connects by itself.
"""

from __future__ import annotations

import base64
import re

from attrs import define, field

from tocsin_net._dialogue import Dialogue, quoted
from tocsin_net._trouble import Trouble

_CAPABILITY = re.compile(r"(?:\* |\[)CAPABILITY ([^\]]*)", re.IGNORECASE)
_QUOTABLE = re.compile(r'[^"\\\x00-\x1f\x7f-\U0010ffff]*')


@define
class ImapClient:
    """Commands on a dialogue.

    Attributes:
        dialogue: the connection.
        capabilities: what the server offers, in upper case.
    """

    dialogue: Dialogue
    capabilities: frozenset[str] = field(init=False, default=frozenset[str]())
    _number: int = field(init=False, default=0)

    async def greeting(self) -> str:
        """Return the greeting.

        Raises:
            Trouble: the server speaks another protocol, or takes no connections.
            EOFError, OSError: the connection ended.
        """
        line = await self.dialogue.line()
        if re.match(r"\* BYE\b", line, re.IGNORECASE):
            raise Trouble(f"the server takes no connections: {quoted(line)}")
        if not re.match(r"\* (OK|PREAUTH)\b", line, re.IGNORECASE):
            raise Trouble(f"expected a greeting of IMAP, got {quoted(line)}")
        return line

    async def capability(self) -> None:
        """Ask what the server offers. Raises as :meth:`command`."""
        self.capabilities = frozenset()
        await self.command("CAPABILITY")

    async def login(self, user: str, password: str) -> None:
        """Log in, by AUTHENTICATE PLAIN if it is offered, else by LOGIN.

        Raises:
            Trouble: the server offers neither, or refuses the login.
            EOFError, OSError: the connection ended.
        """
        if "AUTH=PLAIN" in self.capabilities:
            response = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
            tag = await self._begin("AUTHENTICATE PLAIN")
            line = await self.dialogue.line()
            while line.startswith("* "):
                line = await self.dialogue.line()
            if line.startswith("+"):
                await self.dialogue.send(response)
                line = await self._end(tag)
        elif "LOGINDISABLED" in self.capabilities:
            raise Trouble("the server permits no login here; see the option security")
        elif not _QUOTABLE.fullmatch(user + password):
            raise Trouble("the server offers only LOGIN, which cannot carry this user or password")
        else:
            tag = await self._begin(f'LOGIN "{user}" "{password}"')
            line = await self._end(tag)
        if not _is_ok(line, tag):
            # A server may repeat in its answer what it was sent.
            raise Trouble("the server refuses the login" + _code(line, tag))

    async def command(self, text: str) -> str:
        """Send a command and return the line that completes it.

        Raises:
            Trouble: the server refuses it.
            EOFError, OSError: the connection ended.
        """
        tag = await self._begin(text)
        line = await self._end(tag)
        if not _is_ok(line, tag):
            raise Trouble(f"the server refuses {text}: {quoted(line)}")
        return line

    async def _begin(self, text: str) -> str:
        self._number += 1
        tag = f"t{self._number}"
        await self.dialogue.send(f"{tag} {text}")
        return tag

    async def _end(self, tag: str) -> str:
        while True:
            line = await self.dialogue.line()
            if (offered := _CAPABILITY.match(line)) is not None:
                self.capabilities = frozenset(offered[1].upper().split())
            if line.startswith(f"{tag} "):
                return line
            if not line.startswith(("* ", "+")):
                raise Trouble(f"expected an answer of IMAP, got {quoted(line)}")


def _is_ok(line: str, tag: str) -> bool:
    return re.match(rf"{tag} OK\b", line, re.IGNORECASE) is not None


def _code(line: str, tag: str) -> str:
    """Return the response code of an answer (RFC 5530), such as AUTHENTICATIONFAILED, or empty."""
    found = re.match(rf"{tag} (?:NO|BAD) \[([A-Z-]{{1,40}})\]", line, re.IGNORECASE)
    return f" ({found[1].upper()})" if found else ""
