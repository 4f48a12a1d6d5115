"""The words of the domain that the schema shows as enums, each value with a sentence."""

from models.access import ActorKind, Role
from models.assignment import Ending
from models.base import IdlePeriod, Line
from models.channel import ChannelKind, ChannelStatus
from models.closure import Cause
from models.conversation import Status, TicketLink
from models.decision import Availability, Distribution, Outcome, Rule, TieBreak, Verdict
from models.message import Delivery, Direction
from models.precedence import Reason
from models.ticket.action import ActionKind
from models.ticket.record import TicketPriority, TicketStatus
from resolvers.enums import described

__all__ = [
    "ActionKind",
    "ActorKind",
    "Availability",
    "Cause",
    "ChannelKind",
    "ChannelStatus",
    "Delivery",
    "Direction",
    "Distribution",
    "Ending",
    "IdlePeriod",
    "Line",
    "Outcome",
    "Reason",
    "Role",
    "Rule",
    "Status",
    "TicketLink",
    "TicketPriority",
    "TicketStatus",
    "TieBreak",
    "Verdict",
]

described(
    ActorKind,
    "ActorKind",
    AGENT="A person.",
    INTEGRATION="A script.",
    CONTACT="A customer.",
    WORKFLOW="A step of a workflow.",
    SYSTEM="Relevo itself: distribution and timers.",
)
described(
    TicketStatus,
    "TicketStatus",
    OPEN="To be worked on.",
    PENDING="Waiting for somebody else.",
    RESOLVED="Solved.",
    CLOSED="Done with.",
)
described(
    TicketPriority,
    "TicketPriority",
    LOW="Can wait.",
    NORMAL="Like most.",
    HIGH="Before most.",
    URGENT="Before all others.",
)
described(
    TicketLink,
    "TicketLinkStatus",
    PROPOSED="The customer named it; it does not count until somebody confirms it.",
    CONFIRMED="It counts.",
)
described(
    ActionKind,
    "TicketActionKind",
    HISTORY="What was said in a conversation until it closed; only a closing adds it.",
    PUBLIC="For the requester too.",
    INTERNAL="For colleagues only.",
)
described(Line, "ConversationLine", SALES="Commercial attention.", SUPPORT="Support desk.")
described(
    Status,
    "ConversationStatus",
    BOT="With the bot.",
    QUEUED="Waiting in a queue.",
    ASSIGNED="Held by an agent.",
    SNOOZED="Put off until a time or the customer's next message.",
    CLOSED="Ended.",
)
described(
    Role,
    "AgentRole",
    AGENT="Works conversations.",
    OPERATOR="Supervises.",
    AUDITOR="Reads everything and adds notes.",
    MARKETING="Reads and tags contacts; sees no conversations.",
    ADMIN="Configures.",
    INTEGRATION="A script, not a person.",
)
described(
    Availability,
    "AgentAvailability",
    ONLINE="Working.",
    AWAY="Not at the desk.",
    OFFLINE="Not working, or without a live connection.",
)
described(
    Distribution,
    "TeamDistribution",
    MANUAL="Agents pick from the queue.",
    ROUND_ROBIN="Members in turn.",
    LEAST_OPEN="Whoever holds the fewest.",
)
described(
    ChannelKind,
    "ChannelKind",
    **{kind.name: f"{kind.replace('_', ' ').title()} accounts." for kind in ChannelKind},
)
described(
    ChannelStatus,
    "ChannelStatus",
    CONNECTED="Ready; can be given a target.",
    PENDING="Not connected yet.",
    DISCONNECTED="No longer connected.",
)
described(
    Direction,
    "MessageDirection",
    INBOUND="From the customer.",
    OUTBOUND="To the customer.",
    NOTE="Private: never delivered.",
)
described(
    Delivery,
    "MessageDelivery",
    PENDING="Not with the carrier yet.",
    SENT="With the carrier.",
    DELIVERED="On the customer's device.",
    READ="Read by the customer.",
    FAILED="Could not be delivered.",
)
described(
    Cause,
    "ClosureCause",
    AGENT="A person.",
    INTEGRATION="A script.",
    INACTIVE="Nothing happened for the idle period.",
    WORKFLOW="A step of a workflow.",
)
described(
    Ending,
    "AssignmentEnding",
    CLOSED="The conversation closed.",
    TRANSFERRED="Handed over.",
    UNASSIGNED="Given back to its queue, or to the bot.",
    TIMED_OUT="Not answered in time.",
    AGENT_LEFT="The agent's account was deactivated.",
    REASSIGNED="Given to somebody else, by hand or by a workflow.",
)
described(
    Rule,
    "RoutingRule",
    OWNER="The explicit owner of the contact.",
    STICKY="Who held the contact's last conversation.",
    BOT="The bot answers first.",
    HANDED_OFF="The bot named a team.",
    WORKFLOW="A workflow assigned it.",
    CHANNEL_TARGET="The channel's target.",
    TODOS="Nobody was assigned.",
    PICKED="An agent took it.",
    ASSIGNED_BY_HAND="A supervisor gave it.",
    TRANSFERRED="It was handed over.",
    UNASSIGNED="It was given back.",
    REOPENED="It was opened again.",
    BOT_PAUSED="An agent took it from the bot.",
    OPENED_BY_HAND="An agent opened it.",
    WOKEN="Its snooze ended.",
    LINE_SET="Its line was changed.",
    ANSWER_TIMEOUT="Its agent did not answer in time.",
    AGENT_DEACTIVATED="Its agent's account was deactivated.",
    TEAM_DELETED="Its team was deleted.",
    WORKFLOW_TIMEOUT="No workflow lets it wait any longer: its team's own way counts.",
)
described(
    Outcome,
    "DecisionOutcome",
    ASSIGNED="Somebody got it.",
    WAITING_FOR_PICK="It waits for somebody to pick it.",
    NOBODY_ELIGIBLE="It waits until somebody is eligible.",
    RESERVED="It waits for the contact's owner.",
    WITH_BOT="The bot has it.",
)
described(
    Reason,
    "PassedOverReason",
    OWNER_INACTIVE="The owner is not active.",
    OWNER_OF_OTHER_LINE="The owner team is of the other line.",
    OWNER_ABSENT="The owner is not connected; one who is merely away would get it.",
    BOT_FIRST="The bot comes before the owner.",
    STICKY_INACTIVE="The last agent is not active.",
    STICKY_EXPIRED="The reassignment window is over.",
    STICKY_ABSENT="The last agent is away.",
    WORKFLOW_TARGET_INACTIVE="Whom a workflow assigns to is not active.",
    WORKFLOW_LINE_NOT_SERVED="The channel does not serve the line that a workflow assigns to.",
    TARGET_INACTIVE="The channel's target is not active.",
)
described(
    Verdict,
    "CandidateVerdict",
    CHOSEN="The winner.",
    LOST_TURN="Not next in order.",
    LOST_LOAD="Holds more.",
    LOST_TIE="As light, and later.",
    INACTIVE="Account not active.",
    OUTSIDE_HOURS="Outside the business hours.",
    OFFLINE="Not connected or offline.",
    AWAY="Away.",
    NOT_ACCEPTING="Takes no new ones.",
    AT_CAPACITY="Holds as many as its limit.",
    SKIPPED_AFTER_TIMEOUT="Let this conversation wait too long; passed over for a while.",
    NOT_MEMBER="Not among the team's candidates.",
    RESERVED="It waits for its contact's owner; may pick it.",
    NOT_CONSIDERED="The rule named somebody without comparing.",
    MAY_PICK="Nothing stands against it; agents pick here.",
)
described(
    TieBreak,
    "TieBreak",
    NEXT_IN_ORDER="The next member in order.",
    SMALLEST_LOAD="The smallest load.",
    LONGEST_WITHOUT_ASSIGNMENT="The longest time without an assignment.",
    SMALLER_ID="The smaller id.",
)
described(
    IdlePeriod,
    "IdlePeriod",
    NEVER="Never closes.",
    ONE_DAY="1 day.",
    THREE_DAYS="3 days.",
    SEVEN_DAYS="7 days.",
    FOURTEEN_DAYS="14 days.",
    THIRTY_DAYS="30 days.",
)
