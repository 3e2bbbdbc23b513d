"""One exchange with an API server over the pool that the `kubernetes` package configures.

What an exchange that went wrong may have done is the one thing that this module has to tell: `NotSent` is
proof that the server has read nothing, everything else is `Lost`. urllib3 is asked directly, and not
ApiClient.call_api, whose signature changed in version 37, nor RESTClientObject.request, which repeats by
urllib3's own rules (three times, a read also after a cut connection) and knows few content types. Its
attribute `pool_manager` is the same from 34 to 37, and with it TLS, client certificates and proxies are the
library's. Nothing is repeated here: api.py decides that.

Each wait for the server is limited, and the whole body too. Of the headers only each wait is: a server that
dribbles them byte by byte is not expected, for it is the one that holds our whole release.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from ssl import SSLCertVerificationError
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager
    from urllib3.exceptions import HTTPError

CONNECT_SECONDS: Final = 5.0
_CHUNK: Final = 65536


class NotSent(Exception):
    """The server has read nothing of the request: there was no connection."""


class Lost(Exception):
    """There was no whole answer; what was asked may have been done."""


class Untrusted(Exception):
    """The server's certificate is not signed by the authority that we were told, or is for another."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Door:
    """An API server's address, the connections to it, and our credentials; safe to share between threads."""

    def __init__(
        self, server: str, *, pool: PoolManager, credentials: Callable[[], Mapping[str, str]]
    ) -> None:
        self.server = server
        self._pool = pool
        self._credentials = credentials

    def exchange(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None, seconds: float
    ) -> Reply:
        """Send one request and return the whole answer; `seconds` is for the first byte, and for the rest.

        Raises: NotSent, Lost, Untrusted.
        """
        response = self.open(method, path, headers=headers, body=body, seconds=seconds)
        until, body_read = time.monotonic() + seconds, bytearray()
        with closing(response):  # one that was read to its end has given its connection back already
            for part in parts_of(response, seconds=seconds, decode=True):
                body_read += part
                if time.monotonic() > until:
                    raise Lost(f"no whole answer within {seconds:g} s")
        return Reply(
            response.status,
            {name.lower(): value for name, value in response.headers.items()},
            bytes(body_read),
        )

    def open(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None, seconds: float
    ) -> BaseHTTPResponse:
        """Send one request and return its answer with the body unread; whoever gets it closes it.

        Raises: NotSent, Lost, Untrusted.
        """
        from urllib3 import Timeout  # noqa: PLC0415 - comes with kubernetes, loaded when a plan names it
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        try:
            return self._pool.request(
                method,
                self.server + path,
                body=body,
                headers={**headers, **self._credentials()},
                timeout=Timeout(connect=CONNECT_SECONDS, read=seconds),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except HTTPError as error:
            raise _meaning_of(error, seconds=seconds) from error


def parts_of(response: BaseHTTPResponse, *, seconds: float, decode: bool) -> Iterator[bytes]:
    """Yield the body of an opened answer as it comes. Raises: Lost where it ends too early or pauses."""
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    try:
        while part := response.read1(_CHUNK, decode_content=decode):
            yield part
    except HTTPError as error:
        raise _meaning_of(error, seconds=seconds) from error


def _meaning_of(error: HTTPError, *, seconds: float) -> Exception:
    from urllib3.exceptions import (  # noqa: PLC0415
        ConnectTimeoutError,
        NewConnectionError,
        ProxyError,
        ReadTimeoutError,
    )

    cause = error.original_error if isinstance(error, ProxyError) else error
    if isinstance(cause, (NewConnectionError, ConnectTimeoutError, ConnectionRefusedError)):
        return NotSent(_words(cause))
    if any(isinstance(each, SSLCertVerificationError) for each in (cause, *cause.args)):
        return Untrusted(_words(cause))
    if isinstance(cause, ReadTimeoutError):
        return Lost(f"no answer within {seconds:g} s")
    return Lost(_words(cause))


def _words(error: BaseException) -> str:
    """Return the innermost reason that has words: urllib3 wraps what the system said in its own."""
    inner = error.__cause__ or error.__context__
    if isinstance(inner, OSError):
        return inner.strerror or str(inner) or type(inner).__name__
    return str(error) or type(error).__name__
