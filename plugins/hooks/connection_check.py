"""The Test button of a connection: works, wrong credentials, or cannot connect."""

from __future__ import annotations

from collections.abc import Callable

from handoff.errors import HandoffError, RateLimited, Refused, WrongCredentials


def check(vendor: str, sign_in: Callable[[], str]) -> tuple[bool, str]:
    """Try a connection and say in one sentence what came of it; never raises.

    :param sign_in: makes one signed read and returns the account's name.
    """
    try:
        return True, f"{vendor} works: signed in to {sign_in()}"
    except WrongCredentials as error:
        return False, f"Wrong credentials: {error}"
    except Refused as error:
        return False, f"{vendor} refused: {error}"
    except RateLimited as error:
        return False, f"{vendor} answers but asks to wait: {error}"
    except HandoffError as error:
        return False, f"Cannot connect: {error}"
    except Exception as error:
        return False, f"Cannot connect: {type(error).__name__} while the connection was read"
