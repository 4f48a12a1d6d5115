"""The demo workspace: something to sign in to, made once through the same verbs as everything."""

from typing import NamedTuple
from uuid import UUID

from models.access import SCOPES, Actor, Role
from models.agent import Agent
from models.base import Line
from models.channel import Channel, ChannelKind, Target
from models.closure import ClosingReason
from models.database import fetchval, tx
from models.decision import Availability, Distribution
from models.membership import Membership
from models.team import Team
from models.token import Token
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


async def ensure() -> Demo:
    """The demo workspace, created the first time; a fresh integration token each time.

    The token of an earlier start is revoked: only its hash was ever stored.
    """
    async with tx() as transaction:
        await transaction.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
        workspace_id = await fetchval("SELECT id FROM workspaces WHERE name = $1", NAME)
        if workspace_id is None:
            workspace_id = await _found()
        token = await _token(Actor.system(workspace_id))
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


async def _token(by: Actor) -> str:
    for earlier in await Token.filter(
        workspace_id=by.workspace_id, name=TOKEN_NAME, revoked_at=None
    ):
        await Token.revoke(earlier.id, by=by)
    _, secret = await Token.issue(by=by, name=TOKEN_NAME, scopes=SCOPES)
    return secret


def _email(handle: str) -> str:
    return f"{handle}@demo.example"
