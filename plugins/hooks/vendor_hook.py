"""What the hooks of HTTP vendors share: a session without Airflow's own signing, and the Test button."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from airflow.providers.http.hooks.http import HttpHook
from requests import Session

from hooks.account import Account, ConnectionValues
from hooks.connection_check import check
from hooks.protocols.shared import Conversation
from hooks.transport import SyncTransport

Result = TypeVar("Result")


class VendorHook(HttpHook):
    """A vendor's account, one request at a time; delivery uses the targets instead."""

    read_account: Callable[[str, ConnectionValues], Account]
    """Reads and checks a connection. :raises WrongCredentials: it cannot be used."""
    poll_minutes: ClassVar[float] = 60.0
    """Minutes between two polls of an account whose connection names none; of no use where nothing is polled."""

    def __init__(self, conn_id: str, **kwargs: Any) -> None:
        super().__init__(http_conn_id=conn_id, **kwargs)
        self._transport: SyncTransport | None = None

    def account(self) -> Account:
        """Return what the connection says. :raises WrongCredentials: it cannot be used."""
        return type(self).read_account(self.http_conn_id, self.get_connection(self.http_conn_id))

    @abstractmethod
    def sign_in(self) -> str:
        """Make one signed read and return the account's name. :raises TargetError:"""

    def get_conn(self, headers: dict[Any, Any] | None = None, extra_options: dict[str, Any] | None = None) -> Session:
        """Return a plain session.

        Airflow's own would send login and password as Basic auth and the extra fields, keys among
        them, as headers; the vendor's protocol signs its requests itself.
        """
        self.base_url = self.account().base_url
        self._base_url_initialized = True
        session: Session = self._configure_session_from_mount_adapters(Session())
        session.headers.update({**self.default_headers, **(headers or {})})
        return session

    def carry(self, operation: Conversation[Result]) -> Result:
        """Drive one operation. :raises TargetError: see :mod:`handoff.errors`."""
        if self._transport is None:
            timeout = self.account().timeout
            self._transport = SyncTransport(self.get_conn(), self.http_conn_id, self.base_url, timeout=timeout)
        return self._transport.run(operation)

    def test_connection(self) -> tuple[bool, str]:
        """Say whether the connection works, has wrong credentials, or cannot connect; never raises."""
        return check(self.hook_name, self.sign_in)
