"""What an operation yields besides requests: work to do once for many, and work to do aside.

A login or the reading of an account's tags is wanted by every operation that starts while
it is under way. Such an operation yields :class:`Shared`; the transport starts the work for
the first one and gives its result, or its error, to all who asked meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from hooks.protocols.wire import Request

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Shared:
    """Work to do once for all operations of one transport that want it now.

    :param key: the same for the same work, e.g. ``"login"``.
    :param start: begins the work; called for the first who asks.
    """

    key: str
    start: Callable[[], Generator[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class Aside:
    """Work without I/O that takes long, such as understanding a large answer; nobody else has to wait for it.

    :param work: gives the result; it may run in another thread.
    """

    work: Callable[[], Any]


Conversation = Generator[Request | Shared | Aside, Any, Result]
"""An operation (see :mod:`hooks.protocols.wire`) that may also yield :class:`Shared` work, or :class:`Aside`."""
