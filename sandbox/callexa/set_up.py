"""Makes a Callexa account from a scenario."""

from __future__ import annotations

from sandbox.addresses import normal_address
from sandbox.callexa.account import WEEK, CallexaAccount, Reply, Survey
from sandbox.clock import Clock
from sandbox.effects import Effects
from sandbox.scenario_callexa import CallexaModel


def callexa_account(model: CallexaModel, effects: Effects, clock: Clock) -> CallexaAccount:
    """Return the account of a scenario."""
    account = CallexaAccount(effects, clock)
    for one in model.surveys:
        replies = {
            normal_address(reply.email): Reply(normal_address(reply.email), reply.after, reply.rating, reply.comment)
            for reply in one.replies
        }
        account.surveys[one.id] = Survey(one.id, one.name, one.min_distance_weeks * WEEK, replies)
    return account
