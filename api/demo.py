"""The demo workspace: something to sign in to, made once through the same verbs as everything."""

import json
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from api.child import private
from models.access import SCOPES, Actor, Role
from models.agent import Agent
from models.base import Line
from models.channel import Channel, ChannelKind, Target
from models.closure import ClosingReason
from models.database import fetchval, tx
from models.decision import Availability, Distribution
from models.errors import Unauthenticated
from models.membership import Membership
from models.team import Team
from models.token import Token, actor_of
from models.workspace import Workspace

NAME = "Demo"
# A demo is made to be tried; a real workspace chooses its own passwords.
PASSWORD = "relevo-demo"  # noqa: S105 - printed at every start, on purpose
TOKEN_NAME = "Demo integration"  # noqa: S105 - a name
# Only one process founds the demo, however many start at once.
LOCK_KEY = 7_311_204_906

_AGENTS = (
    ("Ana Prado", "ana", Role.AGENT, ("Store", "Online", "Technical")),
    ("Bruno Reis", "bruno", Role.AGENT, ("Store", "Technical", "Billing")),
    ("Carla Nunes", "carla", Role.AGENT, ("Store", "Online", "Billing")),
    ("Diego Sousa", "diego", Role.AGENT, ("Online", "Billing", "Wholesale")),
    ("Olga Lima", "olga", Role.OPERATOR, ()),
    ("Rita Costa", "rita", Role.ADMIN, ()),
)
_CHANNELS = (
    (ChannelKind.WHATSAPP, "whatsapp-ventas", Line.SALES, "Store"),
    (ChannelKind.WHATSAPP, "whatsapp-soporte", Line.SUPPORT, "Technical"),
    (ChannelKind.INSTAGRAM, "instagram-marca", Line.SALES, "Online"),
    (ChannelKind.MESSENGER, "messenger-pagina", Line.SALES, "Wholesale"),
    (ChannelKind.WEBCHAT, "webchat-tienda", Line.SALES, None),
    (ChannelKind.RCS, "rcs-avisos", Line.SALES, None),
    (ChannelKind.TELEGRAM, "telegram", Line.SUPPORT, "Billing"),
    (ChannelKind.EMAIL, "email", Line.SUPPORT, "Billing"),
    (ChannelKind.SMS, "sms", Line.SUPPORT, None),
    (ChannelKind.GOOGLE_BUSINESS, "google", Line.SALES, None),
)
_REASONS = ("Solved", "Sold", "Not interested", "Wrong number")


class DemoAgent(NamedTuple):
    """A sign-in of the demo."""

    email: str
    password: str
    role: str


class Demo(NamedTuple):
    """Everything to try the demo with."""

    agents: list[DemoAgent]
    token: str


async def ensure(home: Path) -> Demo:
    """The demo workspace, created the first time, and an integration token for everything.

    The token is kept in a private file below `home`, for the database has only its hash, and stays
    the same while it is valid. Where nothing can be kept, each call issues one more.
    """
    async with tx() as transaction:
        await transaction.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
        workspace_id = await fetchval("SELECT id FROM workspaces WHERE name = $1", NAME)
        if workspace_id is None:
            workspace_id = await _found()
        token = await _token(Actor.system(workspace_id), home / "demo.json")
    return Demo([DemoAgent(_email(n), PASSWORD, role) for _, n, role, _ in _AGENTS], token)


async def _found() -> UUID:
    workspace = await Workspace.found(NAME)
    by = Actor.system(workspace.id)
    teams = await _teams(by)
    for name, handle, role, memberships in _AGENTS:
        agent = await Agent.add(
            by=by, name=name, email=_email(handle), password=PASSWORD, role=role
        )
        for team in memberships:
            await Membership.add(by=by, team=teams[team], agent_id=agent.id)
        await Agent.set_availability(agent.id, by=by, availability=Availability.ONLINE)
    for kind, name, line, target in _CHANNELS:
        channel = await Channel.add(by=by, kind=kind, name=name, default_line=line)
        if target is not None:
            await channel.assign(line, Target(team_id=teams[target].id), by=by)
    for reason in _REASONS:
        await ClosingReason.add(by=by, name=reason)
    todos = await Team.todos(workspace.id, Line.SALES)
    await Team.change(todos.id, by=by, distribution=Distribution.LEAST_OPEN)
    return workspace.id


async def _teams(by: Actor) -> dict[str, Team]:
    store = await Team.add(
        by=by, line=Line.SALES, name="Store", distribution=Distribution.ROUND_ROBIN
    )
    return {
        "Store": store,
        "Online": await Team.add(
            by=by, line=Line.SALES, name="Online", distribution=Distribution.ROUND_ROBIN
        ),
        "Wholesale": await Team.add(
            by=by,
            line=Line.SALES,
            name="Wholesale",
            parent=store,
            distribution=Distribution.LEAST_OPEN,
        ),
        "Technical": await Team.add(
            by=by,
            line=Line.SUPPORT,
            name="Technical",
            priority=8,
            distribution=Distribution.LEAST_OPEN,
        ),
        "Billing": await Team.add(
            by=by,
            line=Line.SUPPORT,
            name="Billing",
            priority=3,
            distribution=Distribution.ROUND_ROBIN,
        ),
    }


async def _token(by: Actor, file: Path) -> str:
    kept = _kept(file)
    if kept and await _opens_everything(kept, by.workspace_id):
        return kept
    _, secret = await Token.issue(by=by, name=TOKEN_NAME, scopes=SCOPES)
    _keep(file, secret)
    return secret


async def _opens_everything(secret: str, workspace_id: UUID) -> bool:
    """Whether it is still valid, of this database's demo, and has every scope of this version."""
    try:
        actor, _ = await actor_of(secret)
    except Unauthenticated:
        return False
    return actor.workspace_id == workspace_id and actor.scopes.issuperset(SCOPES)


def _kept(file: Path) -> str | None:
    try:
        return str(json.loads(file.expanduser().read_text())["token"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(file: Path, secret: str) -> None:
    with suppress(OSError), open(file.expanduser(), "w", opener=private) as kept:
        json.dump({"token": secret}, kept)


def _email(handle: str) -> str:
    return f"{handle}@demo.example"
