"""What cannot be done when its time has come stops nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from models import Conversation, Workspace
from models.base import IdlePeriod
from models.conversation import Status
from models.database import fetch
from models.idle import close_idle
from models.idle_reminder import remind_idle
from tests.conftest import Clock
from tests.factories import a_conversation

BATCH = 100


async def test_one_that_cannot_be_closed_stops_no_other(workspace: Workspace, clock: Clock) -> None:
    await Workspace.filter(id=workspace.id).update(idle_period_days=IdlePeriod.ONE_DAY)
    conversations = [await a_conversation(workspace) for _ in range(5)]
    await clock.travel(days=1)

    async with refusing("closures", "conversation_id", conversations[0].id):
        assert await close_idle(BATCH) == 4
        with pytest.raises(Exception, match="refused"):
            await close_idle(BATCH)
    [left] = await Conversation.exclude(status=Status.CLOSED)
    assert left.id == conversations[0].id
    assert await close_idle(BATCH) == 1


async def test_several_that_cannot_be_closed_stop_no_other_and_are_told(
    workspace: Workspace, clock: Clock
) -> None:
    await Workspace.filter(id=workspace.id).update(idle_period_days=IdlePeriod.ONE_DAY)
    conversations = [await a_conversation(workspace) for _ in range(5)]
    await clock.travel(days=1)
    refused = [conversations[1].id, conversations[4].id]

    async with refusing("closures", "conversation_id", *refused):
        assert await close_idle(BATCH) == 3
        with pytest.raises(ExceptionGroup) as raised:
            await close_idle(BATCH)

    assert len(raised.value.exceptions) == 2


async def test_one_that_cannot_be_reminded_stops_no_other(
    workspace: Workspace, clock: Clock
) -> None:
    await Workspace.filter(id=workspace.id).update(
        idle_period_days=IdlePeriod.ONE_DAY, idle_reminder_before_minutes=60
    )
    conversations = [await a_conversation(workspace) for _ in range(3)]
    await clock.travel(hours=23, minutes=30)

    async with refusing("conversations", "reminded_at IS NULL OR id", conversations[0].id):
        assert await remind_idle(BATCH) == 2
    assert await remind_idle(BATCH) == 1


@asynccontextmanager
async def refusing(table: str, column: str, *ids: UUID) -> AsyncIterator[None]:
    """Meanwhile rows of these cannot be written."""
    named = ", ".join(f"'{id}'" for id in ids)
    await fetch(f"ALTER TABLE {table} ADD CONSTRAINT refused CHECK ({column} NOT IN ({named}))")
    try:
        yield
    finally:
        await fetch(f"ALTER TABLE {table} DROP CONSTRAINT refused")
