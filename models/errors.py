"""Everything the domain says no with.

    DomainError                     code = the class name in upper snake case
    ├── RequestError                a broken request or a missing right: the request fails
    │   ├── Unauthenticated
    │   ├── Forbidden
    │   ├── BadUserInput
    │   ├── Busy                    retryable
    │   ├── OutcomeUnknown
    │   └── InvalidCursor           reason, and where to go on, in the extensions
    └── RuleViolation               a rule says no: the caller reads it as a userError
        ├── NotFound
        ├── InvalidCredentials
        ├── IdempotencyKeyReused
        ├── ChannelNotConnected  LineNotSupported  TargetNotAllowed  TargetInactive
        │   TeamHasChannel
        ├── TeamCycle  TeamTooDeep  PriorityOutOfRange  TeamInactive  AlreadyMember  NotMember
        ├── WindowOutOfRange  AgentInactive  EmailTaken  CapacityOutOfRange
        ├── RoleCannotHold  InvitationInvalid  InUse  LastAdmin  LimitReached
        ├── ConversationAlreadyOpen  ConversationClosed  ConversationNotClosed
        │   ConversationChanged  ConversationNotQueued  ConversationNotAssigned
        │   ConversationNotWithBot  ConversationNotSnoozed  ConversationNotHeld
        │   SnoozeOutOfRange  MessageNotOutbound
        ├── AgentAtCapacity  TeamDistributesAutomatically  TargetUnavailable
        │   AlreadyAssigned  TransferNotAllowed  ChannelNotHeld
        ├── ContactUnknownToChannel  ContactNotMerged  ContactMerged  FieldValueInvalid
        │   IdentityTaken
        ├── ClosingReasonRequired  ClosingReasonInactive  SummaryRequired  NameTaken
        ├── PreviewRequired  PreviewStale
        ├── TicketRequired  TicketLinkPending  TicketLinkNotProposed  TicketNotLinked
        │   AlreadyLinked  RequesterRequired  TicketChanged
        ├── WorkflowInvalid  WorkflowNotActive  WorkflowNotManual  WorkflowArchived
        │   WorkflowChanged  WorkflowRanAlready  ConversationRequired  VariableUnknown
        └── WebhookTargetNotAllowed  WebhookChanged  WebhookNotActive  RedeliveryOutOfRange

Facts that help the caller (the present holder, the channel held) travel in `facts`: names in
lower camel case to ids, numbers and enum values.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

_word_boundary = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
USES_LISTED_MAX = 20
Fact = str | int | UUID | list[UUID] | list[str] | None


class DomainError(Exception):
    """Something the domain refuses, with the facts that explain it."""

    code: ClassVar[str] = "DOMAIN_ERROR"
    retryable: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        if "code" not in cls.__dict__:
            cls.code = _word_boundary.sub("_", cls.__name__).upper()

    def __init__(self, message: str, *, path: str | None = None, **facts: Fact) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.facts: Mapping[str, Fact] = facts


class RequestError(DomainError):
    """The request cannot be served at all."""


class Unauthenticated(RequestError):
    def __init__(self, message: str = "Sign in first: send a valid bearer token.") -> None:
        super().__init__(message)


class Forbidden(RequestError):
    def __init__(self, what: str) -> None:
        super().__init__(f"You may not {what}.")


class BadUserInput(RequestError):
    def __init__(self, message: str, *, path: str | None = None) -> None:
        super().__init__(message, path=path)


class Busy(RequestError):
    code = "TIMEOUT"
    retryable = True

    def __init__(self) -> None:
        super().__init__("The server is busy: try again.")


class OutcomeUnknown(RequestError):
    """The connection was lost while the command committed; it may or may not have happened."""

    code = "TIMEOUT"

    def __init__(self) -> None:
        super().__init__(
            "The connection was lost while this was being stored: look whether it happened before "
            "you send it again. With an idempotencyKey it is safe to repeat."
        )


class InvalidCursor(RequestError):
    def __init__(
        self,
        message: str = "This cursor is not from this list: start again without it.",
        **facts: str,
    ) -> None:
        super().__init__(message, **facts)

    @classmethod
    def of_other_history(cls) -> "InvalidCursor":
        return cls(
            "This cursor is of another history, such as before a restore: start again without it.",
            reason="OTHER_HISTORY",
        )

    @classmethod
    def too_old(cls, floor: str) -> "InvalidCursor":
        """`floor` is the cursor after which the log begins now."""
        return cls(
            "The log no longer holds everything after this cursor: read what you follow anew, and "
            "go on after the cursor of `extensions.goOnAfter`.",
            reason="TOO_OLD",
            goOnAfter=floor,
        )


class RuleViolation(DomainError):
    """A rule of the domain says no; nothing was changed."""


class NotFound(RuleViolation):
    """What an id names is missing, or not visible to you."""

    def __init__(self, what: str, *, path: str | None = None) -> None:
        super().__init__(f"There is no such {what}.", path=path)


class InvalidCredentials(RuleViolation):
    """The address or the password is wrong, or the account is not active."""

    def __init__(self) -> None:
        super().__init__("The e-mail address or the password is wrong.")


class IdempotencyKeyReused(RuleViolation):
    """The key came before, with another input."""

    def __init__(self) -> None:
        super().__init__(
            "This idempotency key was used with another input.", path="input.idempotencyKey"
        )


class ChannelNotConnected(RuleViolation):
    """Only a connected channel can be given a target."""

    def __init__(self, *, status: str) -> None:
        super().__init__(f"The channel is {status}, not CONNECTED.", status=status)


class LineNotSupported(RuleViolation):
    """Channels of this kind do not serve the line."""

    def __init__(self, *, kind: str, line: str) -> None:
        super().__init__(f"{kind} channels do not serve {line}.", kind=kind, line=line)


class TargetNotAllowed(RuleViolation):
    """A target of this kind does not fit here."""


class TargetInactive(RuleViolation):
    """Only active targets are accepted."""

    def __init__(self) -> None:
        super().__init__("The target is not active.")


class TeamHasChannel(RuleViolation):
    """A group holds one channel at a time."""

    def __init__(self, *, channel_id: UUID, channel_name: str) -> None:
        super().__init__(
            f"The group already holds the channel {channel_name}: pass replace to move it.",
            channelId=channel_id,
        )


class TeamCycle(RuleViolation):
    """A group cannot be below itself."""

    def __init__(self) -> None:
        super().__init__("A group cannot be below itself.")


class TeamTooDeep(RuleViolation):
    """Groups nest only so deep."""

    def __init__(self, *, depth_max: int) -> None:
        super().__init__(f"Groups nest at most {depth_max} deep.", depthMax=depth_max)


class PriorityOutOfRange(RuleViolation):
    """A priority is 0 to 10, and a group has none."""

    def __init__(self) -> None:
        super().__init__("A department's priority is 0 to 10; a group has none.")


class TeamInactive(RuleViolation):
    """The team takes no conversations."""

    def __init__(self) -> None:
        super().__init__("The team is not active.")


class AlreadyMember(RuleViolation):
    """The agent is in the team already."""

    def __init__(self) -> None:
        super().__init__("The agent is already a member of this team.")


class NotMember(RuleViolation):
    """The agent is not in the team."""

    def __init__(self) -> None:
        super().__init__("The agent is not a member of this team.")


class WindowOutOfRange(RuleViolation):
    """A reassignment window is whole hours, up to 90 days."""

    def __init__(self, *, hours_max: int) -> None:
        super().__init__(
            f"A window is 1 to {hours_max} hours, or for ever.",
            path="input.reassignmentWindowHours",
        )


class AgentInactive(RuleViolation):
    """The agent's account is not active."""

    def __init__(self, *, agent_id: UUID) -> None:
        super().__init__("The agent is not active.", agentId=agent_id)


class EmailTaken(RuleViolation):
    """Addresses to sign in with are unique."""

    def __init__(self) -> None:
        super().__init__("Another agent signs in with this e-mail address.", path="input.email")


class CapacityOutOfRange(RuleViolation):
    """A capacity has bounds."""

    def __init__(self, *, capacity_max: int) -> None:
        super().__init__(f"A capacity is 0 to {capacity_max}.", path="input.capacity")


class RoleCannotHold(RuleViolation):
    """Auditors and marketing hold no conversations, and belong to no team."""

    def __init__(self, *, role: str) -> None:
        super().__init__(f"{role} holds no conversations.", role=role)


class InvitationInvalid(RuleViolation):
    """The invitation is unknown, used, replaced by a newer one, or too old."""

    def __init__(self) -> None:
        super().__init__("This invitation is not valid: ask for another.", path="input.invitation")


class InUse(RuleViolation):
    """Something still points to it: name a replacement, or change those first.

    Each use is told by its first ids and by its count, named by what it is: `channels` are told
    as `channelId` and `channelCount`.
    """

    def __init__(
        self,
        what: str,
        *,
        remedy: str = "name a replacement or change them first",
        **uses: tuple[list[UUID], int],
    ) -> None:
        listed = ", ".join(f"{count} {name}" for name, (_, count) in uses.items() if count)
        facts: dict[str, Any] = {}
        for name, (ids, count) in uses.items():
            if count:
                facts[f"{name.removesuffix('s')}Id"] = ids[:USES_LISTED_MAX]
                facts[f"{name.removesuffix('s')}Count"] = count
        super().__init__(f"The {what} is in use ({listed}): {remedy}.", **facts)


class LastAdmin(RuleViolation):
    """A workspace keeps somebody who configures it."""

    def __init__(self) -> None:
        super().__init__("This is the last active administrator: make another one first.")


class LimitReached(RuleViolation):
    """There are as many as there may be."""

    def __init__(self, what: str, *, limit: int) -> None:
        super().__init__(f"There are at most {limit} {what}.", limit=limit)


class ConversationAlreadyOpen(RuleViolation):
    """At most one conversation of a contact and channel is open."""

    def __init__(self, *, conversation_id: UUID) -> None:
        super().__init__(
            "The contact has an open conversation on this channel already: "
            "go on there, or close it.",
            conversationId=conversation_id,
        )


class ConversationClosed(RuleViolation):
    """A closed conversation takes no such command."""

    def __init__(self) -> None:
        super().__init__("The conversation is closed.")


class ConversationNotClosed(RuleViolation):
    """Only a closed conversation can be reopened."""

    def __init__(self) -> None:
        super().__init__("The conversation is not closed.")


class ConversationChanged(RuleViolation):
    """It is no longer the version that you saw."""

    def __init__(self, *, version: int, holder_id: UUID | None, status: str) -> None:
        super().__init__(
            "The conversation changed since you saw it.",
            currentVersion=version,
            holderId=holder_id,
            status=status,
        )


class ConversationNotQueued(RuleViolation):
    """It does not wait in a queue, perhaps no longer."""

    def __init__(self, *, holder_id: UUID | None, status: str) -> None:
        super().__init__(
            "The conversation is not waiting in a queue.", holderId=holder_id, status=status
        )


class ConversationNotWithBot(RuleViolation):
    """Only what the bot has can be handed off or taken from it."""

    def __init__(self, *, status: str) -> None:
        super().__init__("The conversation is not with the bot.", status=status)


class ConversationNotSnoozed(RuleViolation):
    """Only what is snoozed can be woken."""

    def __init__(self, *, status: str) -> None:
        super().__init__("The conversation is not snoozed.", status=status)


class ConversationNotHeld(RuleViolation):
    """An agent works what it holds, and what it may pick."""

    def __init__(self, *, holder_id: UUID | None) -> None:
        super().__init__("You do not hold the conversation.", holderId=holder_id)


class SnoozeOutOfRange(RuleViolation):
    """A snooze ends in the future, and not too far in it."""

    def __init__(self, *, days_max: int) -> None:
        super().__init__(
            f"A snooze ends after now, and within {days_max} days.",
            path="input.until",
            daysMax=days_max,
        )


class MessageNotOutbound(RuleViolation):
    """Only answers to the customer are delivered."""

    def __init__(self, *, direction: str) -> None:
        super().__init__(
            "Only answers to the customer are delivered.",
            path="input.messageId",
            direction=direction,
        )


class ConversationNotAssigned(RuleViolation):
    """Nobody holds it."""

    def __init__(self, *, status: str) -> None:
        super().__init__("Nobody holds the conversation.", status=status)


class AlreadyAssigned(RuleViolation):
    """Whoever should get it holds it already."""

    def __init__(self, *, holder_id: UUID | None) -> None:
        super().__init__("The agent already holds the conversation.", holderId=holder_id)


class AgentAtCapacity(RuleViolation):
    """Whoever picks stays within its capacity."""

    def __init__(self, *, agent_id: UUID, load: int, limit: int) -> None:
        super().__init__(
            f"The agent holds {load} of at most {limit} conversations.",
            agentId=agent_id,
            load=load,
            limit=limit,
        )


class TeamDistributesAutomatically(RuleViolation):
    """Agents do not pick where conversations are given out."""

    def __init__(self) -> None:
        super().__init__("This queue distributes automatically: nobody picks from it.")


class TargetUnavailable(RuleViolation):
    """Transfers go to agents who are there, unless the workspace allows others."""

    def __init__(self, *, verdict: str) -> None:
        super().__init__("The agent is not available for a transfer.", verdict=verdict)


class TransferNotAllowed(RuleViolation):
    """The department lists others that it hands over to."""

    def __init__(self, *, allowed: list[UUID]) -> None:
        super().__init__("The department does not hand over to this one.", teamId=allowed)


class ChannelNotHeld(RuleViolation):
    """One opens conversations on channels that one's teams hold or inherit."""

    def __init__(self) -> None:
        super().__init__("None of your teams holds this channel.", path="input.channelId")


class ContactUnknownToChannel(RuleViolation):
    """The channel has no way to reach the contact."""

    def __init__(self) -> None:
        super().__init__(
            "The contact has no identity on this channel: say which one.", path="input.externalId"
        )


class IdentityTaken(RuleViolation):
    """A channel knows another contact by this identity."""

    def __init__(
        self, *, contact_id: UUID | None, channel_id: UUID, path: str = "input.identities"
    ) -> None:
        super().__init__(
            "This identity belongs to another contact.",
            path=path,
            contactId=contact_id,
            channelId=channel_id,
        )


class ContactNotMerged(RuleViolation):
    """Only what was merged can be split again."""

    def __init__(self) -> None:
        super().__init__("The contact is not merged into another.", path="input.contactId")


class ContactMerged(RuleViolation):
    """The contact lives on in another."""

    def __init__(self, *, contact_id: UUID) -> None:
        super().__init__("The contact was merged into another.", contactId=contact_id)


class FieldValueInvalid(RuleViolation):
    """A value must be of its field's type, and one of its choices."""

    def __init__(self, *, name: str, kind: str, path: str = "input.fields") -> None:
        super().__init__(f"{name} takes a {kind}.", path=path, field=name, kind=kind)


class VariableUnknown(RuleViolation):
    """Texts have variables of a few names, and no others."""

    def __init__(self, *, names: list[str], known: Sequence[str], path: str = "input.text") -> None:
        unknown = ", ".join(name or "without a name" for name in names)
        super().__init__(
            f"There is no variable {unknown}: there are {', '.join(known)}.",
            path=path,
            variable=names,
        )


class NameTaken(RuleViolation):
    """Such names are unique."""

    def __init__(self) -> None:
        super().__init__("This name is in use.", path="input.name")


class PreviewRequired(RuleViolation):
    """Whoever shortens an idle period has seen what that closes."""

    def __init__(self, *, closes_at_once: int) -> None:
        super().__init__(
            "Look at the preview of a shorter idle period first, and send its token.",
            path="input.previewToken",
            closesAtOnce=closes_at_once,
        )


class PreviewStale(RuleViolation):
    """What was seen is no longer so: it is too long ago, or something changed."""

    def __init__(self, *, closes_at_once: int) -> None:
        super().__init__(
            "The preview is of something else, too old, or more would close by now: look again.",
            path="input.previewToken",
            closesAtOnce=closes_at_once,
        )
