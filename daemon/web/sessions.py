"""Who is logged in: sessions in memory, passwords, and how often somebody may try."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import deque
from dataclasses import dataclass
from typing import Literal

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from pydantic import SecretStr

Role = Literal["view", "edit"]

LASTS = 12 * 3600.0  # seconds
_MOST = 20  # sessions
_WINDOW = 60.0  # seconds in which failures count
_FAILURES = 5  # of one address
_ALL_FAILURES = 30
_LONGEST_PASSWORD = 1024  # characters


@dataclass(frozen=True, slots=True)
class _Session:
    role: Role
    until: float
    """time.monotonic()"""


class Sessions:
    """By a token of 256 bits, of which only the hash is kept. Ends with the process."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}

    def begin(self, role: Role) -> str:
        """The token of a new session; the oldest one makes room."""
        token = secrets.token_urlsafe(32)
        while len(self._sessions) >= _MOST:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[_hash(token)] = _Session(role, time.monotonic() + LASTS)
        return token

    def role(self, token: str | None) -> Role | None:
        """What the session of a token may; None where there is none, or none any more."""
        session = self._sessions.get(_hash(token)) if token else None
        return session.role if session is not None and time.monotonic() < session.until else None

    def end(self, token: str | None) -> None:
        """The token is worth nothing from now on."""
        if token:
            self._sessions.pop(_hash(token), None)


class Passwords:
    """Hashed at the start, compared in another thread. A comparison takes 64 MiB: one at a time."""

    def __init__(self, edit: SecretStr | None, view: SecretStr | None) -> None:
        """`edit` lets in who may edit, `view` who may look; None: nobody."""
        self._hasher = PasswordHasher()
        given: tuple[tuple[Role, SecretStr | None], ...] = (("edit", edit), ("view", view))
        self._hashes: dict[Role, str] = {
            role: self._hasher.hash(password.get_secret_value()) for role, password in given if password is not None
        }

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._hashes)

    async def role(self, password: str) -> Role | None:
        """Whom the password lets in."""
        if len(password) > _LONGEST_PASSWORD:
            return None
        return await asyncio.to_thread(self._role, password)

    def _role(self, password: str) -> Role | None:
        return next((role for role, hashed in self._hashes.items() if self._is_right(hashed, password)), None)

    def _is_right(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except VerifyMismatchError:
            return False


class Failures:
    """How often somebody was not let in lately."""

    def __init__(self) -> None:
        self._failures: deque[tuple[float, str]] = deque(maxlen=1000)

    def wait(self, address: str, *, guessable: bool) -> int:
        """Seconds until the address may try again; 0: now. What cannot be guessed is not held up by others."""
        now = time.monotonic()
        while self._failures and now - self._failures[0][0] > _WINDOW:
            self._failures.popleft()
        own = [at for at, who in self._failures if who == address]
        due = [own[-_FAILURES]] if len(own) >= _FAILURES else []
        if guessable and len(self._failures) >= _ALL_FAILURES:
            due.append(self._failures[-_ALL_FAILURES][0])
        return int(max(due) + _WINDOW - now) + 1 if due else 0

    def add(self, address: str) -> None:
        """One more."""
        self._failures.append((time.monotonic(), address))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
