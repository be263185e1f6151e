"""The question whether a DAG is paused, over the wire between a task and its supervisor."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import CommsDecoder, DagResult
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from operators.pauses import pauses_of
from tests.support.domain import a_rule
from tests.support.tasks import context_of


class Supervisor:
    """Answers every question for a DAG, each after ``answer`` is set."""

    def __init__(self, side: socket.socket) -> None:
        self.asked: list[dict[str, Any]] = []
        self.paused, self.answer = True, threading.Event()
        self._side = side
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while head := self._side.recv(4):
            number, body, *_ = msgspec.msgpack.decode(self._side.recv(int.from_bytes(head, "big")))
            self.asked.append(body)
            self.answer.wait(10)
            dag = DagResult(
                dag_id=body["dag_id"], is_paused=self.paused, bundle_name=None, bundle_version=None,
                relative_fileloc=None, owners=None, tags=[], next_dagrun=None,
            )  # fmt: skip
            reply = msgspec.msgpack.encode([number, dag.model_dump(), None])
            self._side.sendall(len(reply).to_bytes(4, "big") + reply)


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """A supervisor at the other end of the task's socket."""
    mine, its = socket.socketpair()
    with mine, its:
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", CommsDecoder(socket=mine), raising=False)
        yield Supervisor(its)
        mine.shutdown(socket.SHUT_RDWR)


async def test_the_dag_of_the_rule_is_asked_for(supervisor: Supervisor) -> None:
    supervisor.answer.set()
    paused = pauses_of(context_of(a_rule()) | {"ti": RuntimeTaskInstance})
    assert await paused("test_rule") is True
    supervisor.paused = False
    assert await paused("test_rule") is False
    assert supervisor.asked == [{"dag_id": "handoff_test_rule", "type": "GetDag"}] * 2


async def test_a_question_that_is_cancelled_does_not_leave_its_answer_to_the_next_one(supervisor: Supervisor) -> None:
    paused = pauses_of(context_of(a_rule()) | {"ti": RuntimeTaskInstance})
    first = asyncio.ensure_future(paused("first"))
    while not supervisor.asked:
        await asyncio.sleep(0.01)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    supervisor.answer.set()
    second: DagResult = await asyncio.to_thread(RuntimeTaskInstance.get_dag, "handoff_second")
    assert second.dag_id == "handoff_second"
