"""One request to a web server, and in one clause why it came to nothing."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from daemon import __version__

_MOST_REDIRECTS = 5
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""states of a server that pass"""
_NO_SUCH_RANGE = 416
_NO_NETWORK = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN})
"""without one, waiting helps nobody"""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for."""

    waits: tuple[float, ...] = (1.0, 4.0, 16.0)
    """seconds before each further try"""
    stall: float = 30.0
    """seconds without a byte that end a try"""
    longest_wait: float = 60.0
    """seconds; a server that asks for more is given up"""


class DownloadError(Exception):
    """Why a file did not come from a URL; the message is a clause that begins with the host."""

    def __init__(self, sentence: str, *, again: bool = False, after: float | None = None) -> None:
        super().__init__(sentence)
        self.again = again
        """another try may help"""
        self.after = after
        """seconds to wait before, as the server says"""
        self.unreachable = False
        """no server answered"""


class RestartError(DownloadError):
    """What is there cannot be resumed."""


@contextmanager
def opened(url: str, have: int, patience: Patience) -> Iterator[HTTPResponse]:
    """The answer to a request for what is missing."""
    headers = {"User-Agent": f"ospreyd/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    opener = build_opener(_Redirects(), HTTPSHandler(context=ssl.create_default_context()))
    host = host_of(url)
    try:
        # an https URL of the catalogue, or a mirror's http; _Redirects leads nowhere else
        with opener.open(Request(url, headers=headers), timeout=patience.stall) as response:  # noqa: S310
            yield response
    except HTTPError as error:
        with error:
            raise _of_status(error, host, have, patience) from None
    except URLError as error:
        raise _of_network(error.reason, host, patience) from None
    except HTTPException:
        raise DownloadError(f"{host}: the connection ended without a proper answer", again=True) from None
    except OSError as error:
        raise _of_network(error, host, patience) from None


class _Redirects(HTTPRedirectHandler):
    """A few, and never from an encrypted connection to one that is not."""

    max_redirections = max_repeats = _MOST_REDIRECTS

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        """Raises DownloadError for one that is not followed."""
        scheme = urlsplit(newurl).scheme
        if scheme not in ("http", "https") or (req.type == "https" and scheme != "https"):
            fp.close()
            raise DownloadError(f"{host_of(req.full_url)}: redirects to {scheme}, which is not followed from https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _of_status(error: HTTPError, host: str, have: int, patience: Patience) -> DownloadError:
    if error.code == _NO_SUCH_RANGE and have:
        return RestartError(f"{host}: 416: has no such range")
    if error.code in (301, 302, 303, 307, 308):
        return DownloadError(f"{host}: redirects more than {_MOST_REDIRECTS} times, or to what is no web address")
    if error.code in (404, 410):
        return DownloadError(f"{host}: {error.code}: gone from there")
    if error.code not in _AGAIN:
        return DownloadError(f"{host}: {error.code}: {error.reason}")
    after = _retry_after(error.headers.get("Retry-After", ""))
    if after is not None and after > patience.longest_wait:
        return DownloadError(f"{host}: {error.code}: asks to wait {after:.0f} s")
    return DownloadError(f"{host}: {error.code}: {error.reason}", again=True, after=after)


def _retry_after(text: str) -> float | None:
    """Seconds; None where the server says nothing that can be read."""
    if text.isdecimal():
        return max(float(text), 0.001)
    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.001)
    except ValueError:
        return None


def _of_network(reason: object, host: str, patience: Patience) -> DownloadError:
    if isinstance(reason, DownloadError):
        return reason
    if isinstance(reason, ssl.SSLCertVerificationError):
        said = f"{host}: its certificate is not valid ({reason.verify_message}); is the clock of this machine right?"
        return DownloadError(said)
    if isinstance(reason, TimeoutError):
        return DownloadError(f"{host}: sent nothing for {patience.stall:.0f} s", again=True)
    if isinstance(reason, socket.gaierror):
        error = DownloadError(f"{host} cannot be reached: name not found")
    else:
        number = reason.errno if isinstance(reason, OSError) else None
        why = (reason.strerror if isinstance(reason, OSError) else None) or str(reason) or type(reason).__name__
        error = DownloadError(f"{host} cannot be reached: {why}", again=number not in _NO_NETWORK)
    error.unreachable = True
    return error


def host_of(url: str) -> str:
    return urlsplit(url).hostname or url
