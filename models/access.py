"""Who acts, and what each role may do.

The table is the only place that maps roles to rights; verbs ask it through `Actor.require`, lists
through the `visible_to` of the record they show.
"""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from models.errors import Forbidden


class Role(StrEnum):
    """What an agent, or the token of an integration, is in its workspace."""

    AGENT = "AGENT"
    OPERATOR = "OPERATOR"
    AUDITOR = "AUDITOR"
    MARKETING = "MARKETING"
    ADMIN = "ADMIN"
    INTEGRATION = "INTEGRATION"


class ActorKind(StrEnum):
    """What kind of party caused a fact."""

    AGENT = "AGENT"
    INTEGRATION = "INTEGRATION"
    CONTACT = "CONTACT"
    WORKFLOW = "WORKFLOW"
    SYSTEM = "SYSTEM"


class Right(StrEnum):
    """What may be asked for, beyond what an agent does with its own conversations."""

    SEE_ALL = "see every conversation"
    WORK_ALL = "work every conversation"
    ASSIGN_OTHERS = "assign conversations to others"
    RECEIVE_MESSAGES = "feed messages in"
    SET_OTHERS_AVAILABILITY = "set the availability of others"
    NOTE_ALL = "add notes to every conversation"
    CONFIGURE = "change teams, agents, channels and settings"
    READ_SETTINGS = "read teams, agents, channels and settings"
    CREATE_GROUPS = "create sales groups"
    GRANT_ACCESS = "choose passwords, invite, or make administrators"
    HOLD_CONVERSATIONS = "hold conversations"
    SET_OWN_AVAILABILITY = "set one's own availability"
    SET_OWNERS = "set the owner of contacts"
    READ_CONTACTS = "read every contact"
    EDIT_CONTACTS = "edit every contact"
    TAG_CONTACTS = "tag every contact"
    SAVE_SEGMENTS = "save segments"
    READ_LOG = "read the log of the workspace"
    READ_OWN_LOG = "read one's own part of the log"
    SEE_TICKETS = "see every ticket"
    WORK_TICKETS = "open tickets and work them"
    READ_REPORTS = "read the reports of the workspace"
    READ_OWN_REPORTS = "read reports of one's own work"


_RIGHTS: dict[Role, frozenset[Right]] = {
    Role.AGENT: frozenset(
        {
            Right.READ_SETTINGS,
            Right.HOLD_CONVERSATIONS,
            Right.SET_OWN_AVAILABILITY,
            Right.WORK_TICKETS,
            Right.READ_OWN_LOG,
            Right.READ_OWN_REPORTS,
        }
    ),
    Role.OPERATOR: frozenset(
        {
            Right.SEE_ALL,
            Right.WORK_ALL,
            Right.NOTE_ALL,
            Right.HOLD_CONVERSATIONS,
            Right.ASSIGN_OTHERS,
            Right.SET_OWN_AVAILABILITY,
            Right.SET_OTHERS_AVAILABILITY,
            Right.READ_SETTINGS,
            Right.READ_CONTACTS,
            Right.EDIT_CONTACTS,
            Right.TAG_CONTACTS,
            Right.SAVE_SEGMENTS,
            Right.SET_OWNERS,
            Right.READ_LOG,
            Right.SEE_TICKETS,
            Right.WORK_TICKETS,
            Right.READ_REPORTS,
        }
    ),
    Role.AUDITOR: frozenset(
        {
            Right.SEE_ALL,
            Right.NOTE_ALL,
            Right.READ_SETTINGS,
            Right.READ_CONTACTS,
            Right.READ_LOG,
            Right.SEE_TICKETS,
            Right.READ_REPORTS,
        }
    ),
    Role.MARKETING: frozenset(
        {
            Right.READ_SETTINGS,
            Right.READ_CONTACTS,
            Right.TAG_CONTACTS,
            Right.SAVE_SEGMENTS,
            Right.READ_LOG,
            Right.READ_REPORTS,
        }
    ),
    Role.ADMIN: frozenset(Right),
}

# An integration has no role of a person: each scope of its token opens its own rights.
_SCOPES: dict[str, frozenset[Right]] = {
    "conversations:read": frozenset({Right.SEE_ALL, Right.READ_LOG}),
    "conversations:write": frozenset({Right.SEE_ALL, Right.WORK_ALL, Right.NOTE_ALL}),
    "conversations:assign": frozenset({Right.SEE_ALL, Right.ASSIGN_OTHERS}),
    "messages:receive": frozenset({Right.RECEIVE_MESSAGES}),
    "contacts:read": frozenset({Right.READ_CONTACTS}),
    "contacts:write": frozenset(
        {Right.READ_CONTACTS, Right.EDIT_CONTACTS, Right.TAG_CONTACTS, Right.SAVE_SEGMENTS}
    ),
    "contacts:own": frozenset({Right.READ_CONTACTS, Right.SET_OWNERS}),
    "presence:write": frozenset({Right.SET_OTHERS_AVAILABILITY}),
    "settings:read": frozenset({Right.READ_SETTINGS}),
    "settings:write": frozenset({Right.READ_SETTINGS, Right.CONFIGURE}),
    "reports:read": frozenset({Right.READ_LOG, Right.READ_REPORTS}),
    "tickets:read": frozenset({Right.SEE_TICKETS}),
    "tickets:write": frozenset({Right.SEE_TICKETS, Right.WORK_TICKETS}),
}
SCOPES = tuple(_SCOPES)


# The roles that set owners where their workspace says so.
OWNER_SETTERS = (Role.AGENT, Role.AUDITOR, Role.MARKETING)
# The roles that conversations are given to.
HOLDERS = [role.value for role, rights in _RIGHTS.items() if Right.HOLD_CONVERSATIONS in rights]
# The same of an agent `a` in SQL.
IS_HOLDER = f"a.role IN ({', '.join(repr(role) for role in HOLDERS)})"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts in a workspace; `id` is an agent's, token's, contact's or workflow's, or none."""

    kind: ActorKind
    workspace_id: UUID
    id: UUID | None = None
    role: Role | None = None
    scopes: frozenset[str] = frozenset()
    token_id: UUID | None = None

    @classmethod
    def system(cls, workspace_id: UUID) -> "Actor":
        return cls(ActorKind.SYSTEM, workspace_id)

    @classmethod
    def workflow(cls, workspace_id: UUID, workflow_id: UUID) -> "Actor":
        return cls(ActorKind.WORKFLOW, workspace_id, workflow_id)

    @classmethod
    def contact(cls, workspace_id: UUID, contact_id: UUID) -> "Actor":
        return cls(ActorKind.CONTACT, workspace_id, contact_id)

    @property
    def agent_id(self) -> UUID | None:
        """The agent who acts, if a person does."""
        return self.id if self.kind is ActorKind.AGENT else None

    def may(self, right: Right) -> bool:
        if self.kind in (ActorKind.SYSTEM, ActorKind.WORKFLOW):
            return True
        if self.kind is ActorKind.INTEGRATION:
            return any(right in _SCOPES.get(scope, ()) for scope in self.scopes)
        return self.role is not None and right in _RIGHTS.get(self.role, ())

    def require(self, right: Right) -> None:
        """Raise Forbidden unless this actor has the right."""
        if not self.may(right):
            raise Forbidden(right.value)
