"""What a request without a complete answer means, and its cause in words."""

from __future__ import annotations

import aiohttp
import requests
from urllib3.exceptions import NameResolutionError, NewConnectionError

from handoff.errors import TargetError, Transient, UnknownOutcome
from hooks.protocols.wire import Request

CAUSES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    ((aiohttp.ClientConnectorDNSError, NameResolutionError), "the host name is not known"),
    ((aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch, requests.exceptions.SSLError), "TLS failed"),
    ((aiohttp.ConnectionTimeoutError, requests.ConnectTimeout), "no connection in time"),
    ((aiohttp.ClientConnectorError, NewConnectionError), "the connection was refused"),
    ((TimeoutError, requests.Timeout), "no complete answer in time"),
    ((aiohttp.ClientPayloadError, requests.exceptions.ChunkedEncodingError), "the answer broke off"),
    ((aiohttp.ClientConnectionError, requests.ConnectionError, OSError), "the connection was closed before an answer"),
)


class AnswerTooLarge(Exception):
    """An answer of more bytes than its request allows."""


def lost(account: str, request: Request, cause: BaseException, sent: bool) -> TargetError:
    """Return the error for a request without a complete answer.

    The cause is named but not kept: its text may hold the URL, and with it an address.

    :param sent: the request, or a part of it, may have left this machine.
    """
    if isinstance(cause, AnswerTooLarge):
        words = f"the answer is larger than {request.most_bytes / 1024**2:g} MiB and was not read"
    else:
        words = next((text for kinds, text in CAUSES if isinstance(cause, kinds)), type(cause).__name__)
    return (UnknownOutcome if sent and request.changes else Transient)(account, request.operation, words)
