"""The catalogue of events: what happened, for each kind, and what its type shows of that."""

from models.event import AUDIT, Kind
from resolvers.enums import described

__all__ = ["Kind"]

_TOLD: dict[Kind, str] = {
    Kind.CONVERSATION_OPENED: (
        "A conversation began, because a contact wrote or because a person opened it; in "
        "`toTeam`, if it has one."
    ),
    Kind.CONVERSATION_QUEUED: (
        "A conversation began to wait in `toQueue`; `rule` says what led it there."
    ),
    Kind.CONVERSATION_STRANDED: (
        "A conversation waits in a team that distributes, and nobody is eligible any more."
    ),
    Kind.CONVERSATION_ASSIGNED: (
        "`toAgent` holds a conversation now, given by `rule`; from `fromQueue` if it waited, from "
        "`fromAgent` if another held it."
    ),
    Kind.CONVERSATION_UNASSIGNED: (
        "`fromAgent` does not hold a conversation any more, which went back to `toQueue` with its "
        "waiting time."
    ),
    Kind.CONVERSATION_TRANSFERRED: (
        "A conversation was handed over to `toAgent`, or to `toTeam` and its `toQueue`."
    ),
    Kind.CONVERSATION_CLOSED: (
        "A conversation ended, out of `fromQueue` if it waited, from `fromAgent` if somebody held "
        "it; `cause` and `closingReason` say why."
    ),
    Kind.CONVERSATION_REOPENED: (
        "A closed conversation goes on, because its contact came back or because somebody "
        "reopened it: with `toAgent`, or in `toTeam` and its `toQueue`."
    ),
    Kind.CONVERSATION_HANDED_OFF: (
        "The bot gave a conversation to people: to `toAgent`, or to `toTeam` and its `toQueue`."
    ),
    Kind.CONVERSATION_SNOOZED: (
        "A conversation was put off, `until` a time or until its contact writes; it does not "
        "count as load meanwhile."
    ),
    Kind.CONVERSATION_WOKEN: "A snooze ended, and `toAgent` holds the conversation again.",
    Kind.CONVERSATION_LINE_SET: (
        "A conversation is of the other line of attention now, in `toTeam`."
    ),
    Kind.CONVERSATION_TAGGED: "A conversation got the `tags`, which it had not before.",
    Kind.CONVERSATION_UNTAGGED: "A conversation lost the `tags`.",
    Kind.TICKET_LINKED: (
        "A conversation has the `ticket`, which counts for closing, instead of `fromTicket` if it "
        "had another."
    ),
    Kind.TICKET_UNLINKED: "A conversation has no ticket any more; `ticket` is the one it had.",
    Kind.TICKET_LINK_PROPOSED: (
        "A customer named the `ticket` of a conversation, which counts once an agent confirms it."
    ),
    Kind.TICKET_LINK_CONFIRMED: (
        "An agent confirmed the `ticket` that was proposed for a conversation."
    ),
    Kind.TICKET_LINK_REJECTED: "The `ticket` that was proposed for a conversation is not its own.",
    Kind.WORKFLOW_RUN_STARTED: "Somebody began the `run` of a workflow by hand.",
    Kind.WORKFLOW_RUN_ENDED: "The `run` of a workflow came to its end.",
    Kind.WORKFLOW_RUN_FAILED: "The `run` of a workflow was stopped; `failure` says by what.",
    Kind.WEBHOOK_REQUESTED: (
        "The `run` of a workflow came to a step, at `stepPlace`, that tells integrators."
    ),
    Kind.IDLE_REMINDED: (
        "A conversation closes soon unless something happens in it; once for each time that it "
        "falls quiet."
    ),
    Kind.BOT_PAUSED: "An agent took a conversation from the bot, and is its `toAgent`.",
    Kind.BOT_RESUMED: "`fromAgent` gave a conversation back to the bot.",
    Kind.MESSAGE_RECEIVED: "The customer wrote the `message`, in the `conversation`.",
    Kind.MESSAGE_SENT: "The customer was sent the `message`, by an agent, a script or a workflow.",
    Kind.NOTE_ADDED: "Somebody added the `message`, a note that customers never see.",
    Kind.MESSAGE_DELIVERY_SET: "The carrier told how far the `message` got: its `delivery`.",
    Kind.AGENT_CREATED: "The `agent` joined the workspace.",
    Kind.AGENT_UPDATED: "The name, role, capacity, hours or idle period of the `agent` changed.",
    Kind.AGENT_DEACTIVATED: (
        "The account of the `agent` ended; what it held went back to its queues."
    ),
    Kind.AGENT_REACTIVATED: "The account of the `agent` lives again.",
    Kind.AGENT_PASSWORD_SET: "The `agent` has another password, and its sessions ended.",
    Kind.AGENT_AVAILABILITY_CHANGED: (
        "The `agent` said that it is there, away or gone, or whether it accepts new conversations."
    ),
    Kind.AGENT_CONNECTED: "The first device of the `agent` connected.",
    Kind.AGENT_DISCONNECTED: (
        "The last device of the `agent` fell silent, `since` a time before that was noticed, or "
        "its account ended."
    ),
    Kind.TEAM_CREATED: "The `team` was made: a group or a department.",
    Kind.TEAM_UPDATED: "The settings of the `team` changed, or its place among the groups.",
    Kind.TEAM_DELETED: (
        "The team with the `subjectId` was deleted; the `team` took over from it, if one did."
    ),
    Kind.MEMBER_ADDED: "The `agent` became a member of the `team`.",
    Kind.MEMBER_REMOVED: "The `agent` is not a member of the `team` any more.",
    Kind.MEMBERS_REORDERED: "The members of the `team` come in another order, in which it rotates.",
    Kind.CHANNEL_CREATED: "The channel with the `subjectId` was connected.",
    Kind.CHANNEL_UPDATED: (
        "The name, the status or the default line of the channel with the `subjectId` changed."
    ),
    Kind.CHANNEL_ASSIGNED: (
        "The channel with the `subjectId` got the `team` or the `agent` as the target of one of "
        "its lines, or none."
    ),
    Kind.CHANNEL_BOT_SET: "The bot of the channel with the `subjectId` was switched on or off.",
    Kind.CONTACT_CREATED: (
        "The `contact` was added, by hand or because it wrote for the first time."
    ),
    Kind.CONTACT_UPDATED: "The details, the fields or the identities of the `contact` changed.",
    Kind.CONTACT_OWNER_SET: (
        "The `contact` belongs to `toOwner` instead of `fromOwner`; once for each of its open "
        "conversations, which stay where they are."
    ),
    Kind.CONTACT_TAGGED: "The `contact` got the `tags`, which it had not before.",
    Kind.CONTACT_UNTAGGED: "The `contact` lost the `tags`.",
    Kind.CONTACT_MERGED: (
        "`mergedContact` lives on in `survivor`; once for each of its conversations."
    ),
    Kind.CONTACT_SPLIT: (
        "`mergedContact` is one of its own again, apart from `survivor`; once for each "
        "conversation that it got back."
    ),
    Kind.TAG_CREATED: "The tag with the `subjectId` was used for the first time.",
    Kind.CONTACT_FIELD_CREATED: "The field of contacts with the `subjectId` was defined.",
    Kind.CONTACT_FIELD_UPDATED: (
        "The name or the choices of the field of contacts with the `subjectId` changed."
    ),
    Kind.CONTACT_FIELD_DELETED: (
        "The field of contacts with the `subjectId` was deleted, with all its values."
    ),
    Kind.SEGMENT_CREATED: "The filter of contacts with the `subjectId` was saved.",
    Kind.SEGMENT_UPDATED: "The saved filter of contacts with the `subjectId` changed.",
    Kind.SEGMENT_DELETED: "The saved filter of contacts with the `subjectId` was deleted.",
    Kind.TICKET_CREATED: "The `ticket` was opened, with the next number.",
    Kind.TICKET_UPDATED: (
        "Something about the `ticket` changed: what it says, whose it is, how it stands."
    ),
    Kind.TICKET_ACTION_ADDED: (
        "The `ticket` has another action: a public or internal one, or the history of a "
        "conversation that closed."
    ),
    Kind.SNIPPET_CREATED: "The canned reply with the `subjectId` was added.",
    Kind.SNIPPET_UPDATED: "The name or the text of the canned reply with the `subjectId` changed.",
    Kind.SNIPPET_DELETED: "The canned reply with the `subjectId` was deleted.",
    Kind.WORKFLOW_CREATED: "The workflow with the `subjectId` was written, and does not run yet.",
    Kind.WORKFLOW_UPDATED: (
        "The workflow with the `subjectId` was written anew, renamed or moved; what runs is as "
        "published."
    ),
    Kind.WORKFLOW_PUBLISHED: "The workflow with the `subjectId` runs from now on as it is written.",
    Kind.WORKFLOW_ARCHIVED: "The workflow with the `subjectId` runs no more.",
    Kind.WEBHOOK_CREATED: "The `webhook` was added, and is sent what happens from this event on.",
    Kind.WEBHOOK_UPDATED: (
        "What `changed` of the `webhook` is another now, or an `interruption` kept events from it, "
        "of which it is told too."
    ),
    Kind.WEBHOOK_DELETED: "The webhook with the `deletedId` is sent nothing more.",
    Kind.WEBHOOK_TESTED: "Somebody tries the `webhook`, which is sent this whatever its filter.",
    Kind.WEBHOOK_REDELIVERED: (
        "The `webhook` is sent again what it was sent, beginning with `fromSeq`."
    ),
    Kind.WEBHOOK_DISABLED: (
        "The `webhook` is sent nothing more until somebody resumes it; `lastFailure` says why."
    ),
    Kind.CLOSING_REASON_CREATED: "The closing reason with the `subjectId` was added.",
    Kind.CLOSING_REASON_UPDATED: (
        "The closing reason with the `subjectId` was renamed, or is offered or not."
    ),
    Kind.CLOSING_REASON_DELETED: (
        "The closing reason with the `subjectId`, which no closing gave, was deleted."
    ),
    Kind.WORKSPACE_UPDATED: "A setting of the whole workspace, whose `subjectId` it is, changed.",
    Kind.OTHER: "Something that only a newer version of Relevo knows the name of.",
    Kind.TOKEN_CREATED: (
        "A session, an invitation or the token of a script was made, with the `subjectId`; of the "
        "`agent` unless it is a script's."
    ),
    Kind.TOKEN_REVOKED: (
        "The token with the `subjectId` ended before its time; of the `agent` unless it was a "
        "script's."
    ),
}
described(
    Kind,
    "EventKind",
    **{kind.name: _TOLD[kind] + (" Kept for ever." if kind in AUDIT else "") for kind in Kind},
)
