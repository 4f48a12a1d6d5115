"""A recorded day of our own invention, small enough to be replayed within a second or two."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

CONTACTS = 40
# All of them write here: the only agent of its team has room for half, the others wait.
CROWDED = ("messenger-pagina", "MESSENGER")
# And every third one somewhere else as well.
QUIET = (
    ("whatsapp-ventas", "WHATSAPP"),
    ("whatsapp-soporte", "WHATSAPP"),
    ("instagram-marca", "INSTAGRAM"),
    ("webchat-tienda", "WEBCHAT"),
    ("rcs-avisos", "RCS"),
)
QUIET_EVERY = 3
THINGS = ("a blue kettle", "two garden chairs", "the tall lamp", "a box of tiles", "the oak shelf")
WISHES = (
    "Hello, do you still sell {}?",
    "How soon could {} be at my door?",
    "Then {} it is, unless there is a cheaper colour.",
    "My neighbour says {} came scratched, is yours the same batch?",
    "And would you take {} back after a month?",
)
REPLIES = (
    "Good day! I am looking up {} for you.",
    "The van with {} leaves on Thursday.",
    "I have put {} aside under your name.",
    "We checked {} this morning: not a scratch.",
    "Of course, {} may come back within sixty days.",
)
QUESTIONS_MIN = 2
UNFINISHED_EVERY = 10
REPEATED_EVERY = 12
SECONDS_APART = 0.5

Fields = dict[str, object]


@dataclass(frozen=True)
class Recording:
    """A file, and what a server that takes all of it should have counted."""

    file: Path
    lines: int
    inbound: int
    duplicates: int


def record(
    file: Path,
    *,
    contacts: int = CONTACTS,
    visits: range = range(1),
    questions_max: int = len(WISHES),
) -> Recording:
    """Write a day of its own: its contacts are named after the file, and its messages as well.

    With more than one visit everybody comes back once all have gone; recordings in files of one
    name continue each other when their `visits` do.
    """
    turns = [turn for visit in visits for turn in _turns(file.stem, contacts, visit, questions_max)]
    inbound = [turn for turn in turns if turn["direction"] == "INBOUND"]
    repeated = {str(turn["externalId"]) for turn in inbound[::REPEATED_EVERY]}
    delivered = list(_delivered(turns, repeated))
    file.write_text("".join(json.dumps(fields) + "\n" for fields in delivered))
    return Recording(file, len(delivered), len(inbound), len(repeated))


def _turns(day: str, contacts: int, visit: int, questions_max: int) -> Iterator[Fields]:
    """All dialogues at once, a turn of each in each round."""
    channels = [(number, CROWDED) for number in range(contacts)]
    channels += [(number, QUIET[number % len(QUIET)]) for number in range(0, contacts, QUIET_EVERY)]
    dialogues = [_dialogue(day, number, visit, it, questions_max) for number, it in channels]
    return (turn for turns in zip_longest(*dialogues) for turn in turns if turn)


def _dialogue(
    day: str, number: int, visit: int, channel: tuple[str, str], questions_max: int
) -> Iterator[Fields]:
    """Question and answer in turn; some are longer than others, and some never come to an end."""
    name, kind = channel
    thing = THINGS[number % len(THINGS)]
    questions = min(QUESTIONS_MIN + number % 3, questions_max)
    pairs = list(zip(WISHES, REPLIES, strict=True))[:questions]
    is_finished = number % UNFINISHED_EVERY != 0
    for position, sentence in enumerate(chain.from_iterable(pairs)):
        yield {
            "channel": name,
            "kind": kind,
            "contact": f"{day}-contact-{number}",
            "direction": "OUTBOUND" if position % 2 else "INBOUND",
            "externalId": f"{day}-{visit}-{number}-{name}-{position}",
            "topic": thing,
            "text": sentence.format(thing),
            "last": is_finished and position == 2 * len(pairs) - 1,
        }


def _delivered(turns: list[Fields], repeated: set[str]) -> Iterator[Fields]:
    """In the order of the day; what a carrier repeats comes twice in a row."""
    for number, turn in enumerate(turns):
        timed = {"at": number * SECONDS_APART, **turn}
        yield timed
        if turn["externalId"] in repeated:
            yield timed
