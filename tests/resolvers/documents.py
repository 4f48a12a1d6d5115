"""One document for every query, mutation and subscription, made from the schema itself.

What a field is asked for is chosen here, so that a test can put any value into any argument of
any operation without knowing them one by one.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
    is_required_argument,
)

from resolvers.ids import encode
from resolvers.schema import schema
from tests.resolvers.client import Company

GRAPHQL: Any = schema._schema
ROOTS: dict[str, GraphQLObjectType] = {
    "query": GRAPHQL.query_type,
    "mutation": GRAPHQL.mutation_type,
    "subscription": GRAPHQL.subscription_type,
}
OBJECTS = (GraphQLObjectType, GraphQLInterfaceType)
Path = tuple[str, ...]

# Which type an argument or an input's field names by its id; `id` and `ids` are told by the field.
NAMED = {
    "agentId": "Agent",
    "agentIds": "Agent",
    "assigneeId": "Agent",
    "channelId": "Channel",
    "channelIds": "Channel",
    "closingReasonId": "ClosingReason",
    "contactId": "Contact",
    "fieldId": "ContactField",
    "conversationId": "Conversation",
    "conversationIds": "Conversation",
    "departmentId": "Team",
    "messageId": "Message",
    "mergedId": "Contact",
    "onBehalfOf": "Agent",
    "ownerAgentId": "Agent",
    "ownerTeamId": "Team",
    "parentId": "Team",
    "queueId": "Queue",
    "requesterId": "Contact",
    "survivorId": "Contact",
    "tagId": "Tag",
    "segmentId": "Segment",
    "snippetId": "Snippet",
    "tagIds": "Tag",
    "teamId": "Team",
    "ticketId": "Ticket",
    "teamIds": "Team",
    "transfersTo": "Team",
    "tokenId": "Token",
    "webhookId": "Webhook",
    "workflowId": "Workflow",
}


# What takes several values.
LISTS = (
    "agentIds",
    "channelIds",
    "contains",
    "conversationIds",
    "ids",
    "scopes",
    "tagIds",
    "tags",
    "teamIds",
    "transfersTo",
)


@dataclass(frozen=True)
class Operation:
    """A field of a root type with its arguments, and what it is asked for."""

    kind: str
    name: str

    @property
    def field(self) -> GraphQLField:
        field: GraphQLField = ROOTS[self.kind].fields[self.name]
        return field

    @property
    def document(self) -> str:
        arguments = self.field.args
        declared = ", ".join(f"${name}: {argument.type}" for name, argument in arguments.items())
        passed = ", ".join(f"{name}: ${name}" for name in arguments)
        head = f"({declared})" if declared else ""
        call = f"{self.name}({passed})" if passed else self.name
        return f"{self.kind} {head} {{ {call} {selection(self.field)} }}"

    def places(self, scalar: str) -> Iterator[Path]:
        """Where this operation takes values of a scalar type, as paths into its variables."""
        for name, argument in self.field.args.items():
            yield from _places((name,), get_named_type(argument.type), scalar)

    def type_named(self, place: Path) -> str:
        """The type that the id in a place is of; of `node` and `nodes` it is any."""
        if place[-1] in ("id", "ids"):
            returned = get_named_type(self.field.type).name
            return "Conversation" if returned == "Node" else returned
        if place[-1] == "replacementId":
            return "Team" if self.name.startswith("team") else "Agent"
        return NAMED[place[-1]]

    def __str__(self) -> str:
        return self.name


OPERATIONS = [Operation(kind, name) for kind, root in ROOTS.items() for name in root.fields]


def _places(path: Path, type: GraphQLNamedType, scalar: str) -> Iterator[Path]:
    if type.name == scalar:
        yield path
    if isinstance(type, GraphQLInputObjectType):
        for name, field in type.fields.items():
            yield from _places((*path, name), get_named_type(field.type), scalar)


def selection(field: GraphQLField, depth: int = 2, *, paged: bool = False) -> str:
    """The scalars below a field, and those of its objects a few steps deep.

    No page in a page, no parts of many kinds, and nothing that must be asked for something.
    """
    type = get_named_type(field.type)
    if isinstance(type, GraphQLUnionType):
        return f"{{ __typename {' '.join(map(_member, type.types))} }}"
    if not isinstance(type, OBJECTS):
        return ""
    parts = ["__typename"]
    asked = {name: part for name, part in type.fields.items() if not _needs_more(part)}
    for name, part in asked.items():
        below = get_named_type(part.type)
        if not isinstance(below, OBJECTS):
            parts += _plain(name, part, paged=paged)
        elif depth and not below.name.endswith("Connection"):
            # What an edge wraps is among the nodes of its page, too.
            below_it = 0 if below.name.endswith("Edge") else depth - (below.name != "PageInfo")
            in_page = paged or type.name.endswith("Connection")
            parts.append(f"{name} {selection(part, below_it, paged=in_page)}")
    return f"{{ {' '.join(parts)} }}"


def _plain(name: str, field: GraphQLField, *, paged: bool) -> list[str]:
    """A scalar, or parts of many kinds with their scalars."""
    if not isinstance(get_named_type(field.type), GraphQLUnionType):
        return [name]
    return [] if paged else [f"{name} {selection(field)}"]


def _needs_more(field: GraphQLField) -> bool:
    return any(is_required_argument(argument) for argument in field.args.values())


def _plain(name: str, field: GraphQLField, *, paged: bool) -> list[str]:
    """A scalar, or parts of many kinds with their scalars."""
    if not isinstance(get_named_type(field.type), GraphQLUnionType):
        return [name]
    return [] if paged else [f"{name} {selection(field)}"]


def _member(type: GraphQLObjectType) -> str:
    plain = ("String", "Int", "DateTime", "Boolean")
    fields = [name for name, f in type.fields.items() if get_named_type(f.type).name in plain]
    return f"... on {type.name} {{ {' '.join(fields)} }}"


def valid(operation: Operation, company: Company) -> dict[str, Any]:
    """Variables with which the company's administrator, or an integration, can run it."""
    pages = {"first": 2} if "first" in operation.field.args else {}
    variables: dict[str, Any] = deepcopy(VALID.get(operation.name, pages))
    for place in operation.places("ID"):
        if place in REQUIRED_IDS.get(operation.name, ()):
            put(variables, place, _usual(operation, place, company))
    return variables


def _usual(operation: Operation, place: Path, company: Company) -> str:
    type_name = operation.type_named(place)
    other = INSTEAD.get((operation.name, place[-1]))
    return str(encode(type_name, getattr(company, other).id)) if other else company.id(type_name)


def put(variables: dict[str, Any], place: Path, value: object) -> dict[str, Any]:
    """The variables with a value in a place, in a list where the place wants one."""
    *above, last = place
    inner = variables
    for outer, name in pairwise(("", *above)):
        if outer in ONE_OF and name not in inner:
            inner.clear()
        if not isinstance(inner.get(name), dict):
            inner[name] = deepcopy(BESIDE.get(name, {}))
        inner = inner[name]
    inner[last] = [value] if last in LISTS else value
    return variables


def _ids(*names: str) -> tuple[Path, ...]:
    return tuple(("input", name) for name in names)


_WRITTEN: tuple[Path, ...] = (
    ("input", "definition", "steps", "assign", "agentId"),
    ("input", "definition", "conditions", "contactField", "fieldId"),
)
REQUIRED_IDS: Mapping[str, tuple[Path, ...]] = {
    "agentDeactivate": _ids("agentId"),
    "agentInvite": _ids("agentId"),
    "agentReactivate": _ids("agentId"),
    "agentSetAvailability": _ids("agentId"),
    "agentUpdate": _ids("agentId"),
    "channelAssign": _ids("channelId"),
    "channelSetBot": _ids("channelId"),
    "channelUpdate": _ids("channelId"),
    "closingReasonDelete": _ids("closingReasonId"),
    "closingReasonUpdate": _ids("closingReasonId"),
    "contact": (("id",),),
    "contactMerge": _ids("survivorId", "mergedId"),
    "contactSetOwner": _ids("contactId"),
    "contactSplit": _ids("contactId"),
    "contactTag": _ids("contactId"),
    "contactUntag": _ids("contactId"),
    "contactCreate": (("input", "identities", "channelId"), ("input", "fields", "fieldId")),
    "contactFieldDelete": _ids("fieldId"),
    "contactFieldUpdate": _ids("fieldId"),
    "contactUpdate": (
        ("input", "contactId"),
        ("input", "fields", "fieldId"),
        ("input", "addIdentities", "channelId"),
    ),
    "conversation": (("id",),),
    "conversationAssign": _ids("conversationId", "agentId"),
    "conversationCanClose": (("conversationId",),),
    "conversationChanged": (("conversationId",),),
    "conversationClose": _ids("conversationId"),
    "conversationHandOff": _ids("conversationId"),
    "conversationLinkTicket": _ids("conversationId", "ticketId"),
    "conversationOpen": _ids("contactId", "channelId"),
    "conversationPauseBot": _ids("conversationId"),
    "conversationPick": _ids("conversationId"),
    "conversationProposeTicket": _ids("conversationId", "ticketId"),
    "conversationReopen": _ids("conversationId"),
    "conversationResumeBot": _ids("conversationId"),
    "conversationSetLine": _ids("conversationId"),
    "conversationSnooze": _ids("conversationId"),
    "conversationTransfer": _ids("conversationId", "teamId"),
    "conversationUnassign": _ids("conversationId"),
    "conversationUnlinkTicket": _ids("conversationId"),
    "conversationWake": _ids("conversationId"),
    "conversationsAssign": _ids("conversationIds", "agentId"),
    "conversationsClose": _ids("conversationIds"),
    "conversationTag": _ids("conversationId"),
    "conversationUntag": _ids("conversationId"),
    "messageReceive": _ids("channelId"),
    "messageSend": _ids("conversationId"),
    "messageSetDelivery": _ids("messageId"),
    "node": (("id",),),
    "nodes": (("ids",),),
    "noteAdd": _ids("conversationId"),
    "presenceBeat": _ids("agentId"),
    "idlePolicyPreview": _ids("teamId"),
    "routingPreview": _ids("channelId"),
    "whyNot": (("conversationId",), ("agentId",)),
    "queue": (("id",),),
    "queueChanged": (("queueId",),),
    "teamChanged": (("teamId",),),
    "ticketChanged": (("ticketId",),),
    "segmentCreate": (("input", "filter", "fields", "fieldId"),),
    "segmentDelete": _ids("segmentId"),
    "segmentUpdate": (("input", "segmentId"), ("input", "filter", "fields", "fieldId")),
    "snippetDelete": _ids("snippetId"),
    "snippetUpdate": _ids("snippetId"),
    "team": (("id",),),
    "teamDelete": _ids("teamId"),
    "teamMemberAdd": _ids("teamId", "agentId"),
    "teamMemberRemove": _ids("teamId", "agentId"),
    "teamMembersReorder": _ids("teamId", "agentIds"),
    "teamUpdate": _ids("teamId"),
    "ticket": (("by", "id"),),
    "ticketAddAction": _ids("ticketId"),
    "ticketCreate": _ids("requesterId"),
    "ticketLinkConfirm": _ids("conversationId"),
    "ticketLinkReject": _ids("conversationId"),
    "ticketUpdate": _ids("ticketId"),
    "tokenRevoke": _ids("tokenId"),
    "webhook": (("id",),),
    "webhookDelete": _ids("webhookId"),
    "webhookRedeliver": _ids("webhookId"),
    "webhookTest": _ids("webhookId"),
    "webhookUpdate": _ids("webhookId"),
    "workflowArchive": _ids("workflowId"),
    "workflowCreate": _WRITTEN,
    "workflowCreateFromTemplate": _ids("agentId", "tagId"),
    "workflowPublish": _ids("workflowId"),
    "workflowRun": _ids("workflowId", "conversationId"),
    "workflowUpdate": (*_ids("workflowId"), *_WRITTEN),
}
# Which of the company's records it takes where the usual one of that type would be refused.
INSTEAD: Mapping[tuple[str, str], str] = {
    ("contactMerge", "mergedId"): "twin",
    ("contactSplit", "contactId"): "merged",
    ("agentDeactivate", "agentId"): "leaver",
    ("agentInvite", "agentId"): "operator",
    ("closingReasonDelete", "closingReasonId"): "unused",
    ("teamDelete", "teamId"): "spare",
    ("contactFieldDelete", "fieldId"): "spare_field",
    ("conversationHandOff", "conversationId"): "with_bot",
    # The contact does not have one open there.
    ("conversationOpen", "channelId"): "desk",
    ("conversationPauseBot", "conversationId"): "also_with_bot",
    ("conversationResumeBot", "conversationId"): "escalated",
    # Whoever closes the usual one may have no ticket for it.
    ("conversationSetLine", "conversationId"): "to_the_other_line",
    ("conversationSnooze", "conversationId"): "to_put_off",
    ("conversationWake", "conversationId"): "snoozed",
    ("conversationProposeTicket", "conversationId"): "to_put_off",
    ("conversationUnlinkTicket", "conversationId"): "linked",
    ("ticketLinkConfirm", "conversationId"): "proposed",
    ("ticketLinkReject", "conversationId"): "also_proposed",
    ("conversationsAssign", "conversationIds"): "one_of_many",
    ("conversationsClose", "conversationIds"): "one_of_many",
    ("messageSetDelivery", "messageId"): "answer",
    ("segmentDelete", "segmentId"): "spare_segment",
    ("snippetDelete", "snippetId"): "spare_snippet",
    ("teamMemberAdd", "teamId"): "department",
    ("teamMemberRemove", "teamId"): "department",
    ("teamMemberRemove", "agentId"): "operator",
    ("webhookDelete", "webhookId"): "spare_webhook",
    ("workflowArchive", "workflowId"): "spare_workflow",
    ("workflowRun", "workflowId"): "manual_workflow",
}
# What takes exactly one of its fields: another one takes the place of what is there.
ONE_OF = ("conditions", "steps")
# What an object in a list must say beside a value that is put into it.
BESIDE: Mapping[str, dict[str, Any]] = {
    "assign": {"key": "a"},
    "botOff": {"key": "a"},
    "botOn": {"key": "a"},
    "branch": {"key": "a", "cases": []},
    "cases": {"conditions": []},
    "close": {"key": "a"},
    "contactField": {"fieldId": "", "operator": "EQUALS"},
    "contactTag": {"tagIds": []},
    "definition": {"trigger": "MANUAL", "steps": []},
    "hours": {"areOpen": True},
    "sendMessage": {"key": "a", "text": "Hello."},
    "setLine": {"key": "a", "line": "SALES"},
    "tag": {"key": "a", "tags": ["VIP"]},
    "unassign": {"key": "a"},
    "webhook": {"key": "a"},
    "addIdentities": {"externalId": "i-3"},
    "create": {"subject": "The light is out"},
    "fields": {"value": "Lima"},
    "identities": {"externalId": "i-3"},
    "removeIdentities": {"externalId": "i-3"},
}
_DEFINITION = {
    "trigger": "CONVERSATION_OPENED",
    "conditions": {"contactField": {"operator": "EQUALS", "value": "Lima"}},
    "steps": {"assign": {"key": "assign"}},
}
VALID: Mapping[str, dict[str, Any]] = {
    "agentCreate": {"input": {"name": "Grace", "email": "grace@example.com"}},
    "agentSetAvailability": {"input": {"availability": "AWAY"}},
    "agentUpdate": {"input": {"name": "Somebody"}},
    "channelAssign": {"input": {"line": "SALES"}},
    "channelCreate": {"input": {"name": "Shop", "kind": "WEBCHAT"}},
    "channelSetBot": {"input": {"isOn": True}},
    "channelUpdate": {"input": {"name": "Front desk"}},
    "closingReasonCreate": {"input": {"name": "Sold"}},
    "conversationOpen": {"input": {"externalId": "ada"}},
    "conversationSetLine": {"input": {"line": "SUPPORT"}},
    "contactTag": {"input": {"tags": ["Regular"]}},
    "contactUntag": {"input": {"tags": ["VIP"]}},
    "conversationTag": {"input": {"tags": ["VIP"]}},
    "conversationUntag": {"input": {"tags": ["VIP"]}},
    "closingReasonUpdate": {"input": {"name": "Gone"}},
    "contactCreate": {
        "input": {"name": "Ada", "identities": {"externalId": "i-1"}, "fields": {"value": "Lima"}}
    },
    "contactFieldCreate": {"input": {"name": "Size", "kind": "CHOICE", "choices": ["S", "L"]}},
    "contactFieldUpdate": {"input": {"name": "Town"}},
    "contactUpdate": {
        "input": {
            "name": "Ada",
            "fields": {"value": "Lima"},
            "addIdentities": {"externalId": "i-2"},
        }
    },
    "messageReceive": {
        "input": {"externalId": "m-1", "contact": {"externalId": "s-1"}, "text": "Hello?"}
    },
    "messageSend": {"input": {"text": "Hello."}},
    "messageSetDelivery": {"input": {"delivery": "SENT"}},
    "noteAdd": {"input": {"text": "Hm."}},
    "passwordReset": {"input": {"invitation": "rlv_none", "password": "long enough"}},
    "presenceBeat": {"input": {"device": "browser"}},
    "reports": {"scope": {"fromDay": "2026-11-01", "toDay": "2026-12-01", "groupBy": "DAY"}},
    "segmentCreate": {"input": {"name": "In Lima", "filter": {"fields": {"value": "Lima"}}}},
    "segmentUpdate": {"input": {"name": "At home", "filter": {"fields": {"value": "Lima"}}}},
    "signIn": {"input": {"email": "nobody@example.com", "password": "wrong"}},
    "signOut": {"input": {}},
    "snippetCreate": {"input": {"name": "Bye", "text": "Bye, {{contact.name|friend}}."}},
    "snippetUpdate": {"input": {"name": "Hello"}},
    "teamCreate": {"input": {"name": "North", "line": "SALES"}},
    "teamUpdate": {"input": {"name": "South"}},
    "ticketAddAction": {"input": {"text": "Done.", "kind": "PUBLIC"}},
    "ticketCreate": {"input": {"subject": "The light is out"}},
    "ticketUpdate": {"input": {"subject": "The light is on"}},
    "tokenCreate": {"input": {"name": "Script", "scopes": []}},
    "webhookCreate": {"input": {"name": "Till", "url": "https://example.com/till"}},
    "webhookRedeliver": {"input": {"fromSeq": 1}},
    "webhookUpdate": {"input": {"name": "Till", "rotateSecret": True}},
    "workflowCreate": {"input": {"name": "At home", "definition": _DEFINITION}},
    "workflowCreateFromTemplate": {"input": {"name": "VIP", "template": "DEDICATED_AGENT"}},
    "workflowUpdate": {"input": {"name": "In Lima", "definition": _DEFINITION}},
    "workspaceUpdate": {"input": {"name": "Acme and Sons"}},
}
