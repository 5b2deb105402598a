"""What a conversation wants: how to meet the end of the context, and settings of its own.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from qwen_desktop.chat.settings import Value

TRIM_TO = 0.75  # of the budget: what is kept when something has to go, so that the prefix stays


class Policy(str, Enum):
    """What is left out of the prompt when the conversation no longer fits.

    Whole turns only; the system prompt, pinned messages and the last turn always stay.
    """

    DROP_OLDEST = "drop_oldest"
    KEEP_FIRST = "keep_first"  # the first turn and the newest ones; the middle goes
    ASK = "ask"  # nothing: the message is not sent, the user is asked


@dataclass(frozen=True)
class RemoteChoice:
    """A model of a server that answers a conversation, by the user's choice.

    `connection` is the id of a connection. `agreed` is the server of which the user knows that all
    of the conversation goes there; to another one nothing is sent.
    """

    connection: str
    model: str
    agreed: str = ""


@dataclass(frozen=True)
class ChatOptions:
    """Choices of one conversation. `values` are settings that differ from the general ones.

    `policy` None: as the settings say. `remote` None: the open checkpoint answers. It is kept with
    the conversation on this machine alone: no file that leaves has it.
    """

    policy: Policy | None = None
    values: Mapping[str, Value] = field(default_factory=lambda: MappingProxyType({}))
    remote: RemoteChoice | None = None
