"""Servers that answer in place of an open checkpoint: connections, their models, how they stand.

Frozen values, standard library only. The key of a connection is in none of them: it is looked up by
the id of the connection when it is needed, and goes nowhere but into the request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import urlsplit, urlunsplit

from qwen_desktop.chat.messages import new_id


class ServerKind(str, Enum):
    """What program answers at an address. They take different fields beside OpenAI's own."""

    AUTO = "auto"  # guessed from what the server says of itself
    VLLM = "vllm"
    SGLANG = "sglang"
    TGI = "tgi"
    OLLAMA = "ollama"
    LLAMA_SERVER = "llama-server"
    DASHSCOPE = "dashscope"
    QWEN_DESKTOP = "qwen-desktop"
    OPENAI = "openai"  # any other that speaks OpenAI's protocol

    @property
    def label(self) -> str:
        """Its own name for people; the same in every language. "" for AUTO."""
        return _LABELS.get(self, "")


_LABELS = {
    ServerKind.VLLM: "vLLM",
    ServerKind.SGLANG: "SGLang",
    ServerKind.TGI: "Text Generation Inference",
    ServerKind.OLLAMA: "Ollama",
    ServerKind.LLAMA_SERVER: "llama-server",
    ServerKind.DASHSCOPE: "DashScope",
    ServerKind.QWEN_DESKTOP: "Qwen Desktop",
    ServerKind.OPENAI: "OpenAI-compatible",
}


@dataclass(frozen=True)
class Timeouts:
    """Seconds to wait. A long prompt is read for minutes before its first token comes."""

    connect: float = 10.0
    first_token: float = 600.0
    between_tokens: float = 120.0


@dataclass(frozen=True)
class Connection:
    """A server by the name the user gave it. `address` is the base of its API: http://host:8000/v1.

    `kind` AUTO: the engine finds out. `model` is the one offered first, "" for the server's first.
    """

    name: str
    address: str
    id: str = field(default_factory=new_id)
    kind: ServerKind = ServerKind.AUTO
    model: str = ""
    timeouts: Timeouts = Timeouts()

    @property
    def base(self) -> str:
        """The address that is asked: with a scheme and, where there is no path, with /v1.

        Without user, password, query and fragment.
        """
        return normal_address(self.address)

    @property
    def host(self) -> str:
        """The server for people: its name, and the port where one is given."""
        return urlsplit(self.base).netloc

    @property
    def origin(self) -> str:
        """The server for programs: scheme, name and port, as browsers tell servers apart."""
        split = urlsplit(self.base)
        return f"{split.scheme}://{split.netloc}".lower()

    @property
    def key_name(self) -> str:
        """What its key is called: another server is another key, whatever a file says of the id."""
        return f"connection {self.id} {self.origin}"

    @property
    def is_here(self) -> bool:
        """Whether the address is this machine itself."""
        return is_loopback(urlsplit(self.base).hostname or "")

    @property
    def is_near(self) -> bool:
        """Whether the address can only be of this machine, or of the network it is in."""
        import ipaddress

        host = (urlsplit(self.base).hostname or "").lower()
        try:
            return ipaddress.ip_address(host).is_private
        except ValueError:
            return self.is_here or "." not in host or host.endswith((".local", ".lan", ".internal"))


@dataclass(frozen=True)
class RemoteTarget:
    """The model of a server that a request goes to. `context_length` 0: nobody has told it."""

    connection: Connection
    model: str
    context_length: int = 0


@dataclass(frozen=True)
class RemoteModel:
    """A model that a server offers. What the server does not tell is 0 or ""."""

    name: str
    context_length: int = 0
    owner: str = ""


@dataclass(frozen=True)
class ServerState:
    """How a server stands, by its own count. None: it does not tell."""

    kv_usage: float | None = None  # share of its KV memory in use, 0 to 1
    running: int | None = None  # requests that are being answered
    waiting: int | None = None  # requests in its queue


@dataclass(frozen=True)
class ConnectionTest:
    """What a test of a connection found. `latency` is that of the list of models, in seconds."""

    latency: float
    models: tuple[RemoteModel, ...]
    kind: ServerKind
    version: str = ""  # of the server, "" where it does not tell


def normal_address(address: str) -> str:
    """The base of an API as it is asked, from what a person typed; "" where it is none.

    http for this machine where no scheme is given, else https. An address without a path gets
    /v1; one that was copied with the path of a method loses that.
    """
    text = address.strip()
    if text and "://" not in text:
        host = text.partition("/")[0].rpartition("@")[2]
        bare = host.rpartition(":")[0] if host.count(":") == 1 else host.partition("]")[0]
        here = is_loopback((bare or host).strip("[]"))
        text = f"{'http' if here else 'https'}://{text}"
    try:
        split = urlsplit(text)
        fine = split.scheme in ("http", "https") and split.hostname and split.port != 0
    except ValueError:
        return ""
    if not fine or any(c.isspace() or ord(c) < 32 for c in text):
        return ""
    path = split.path.rstrip("/")
    for method in ("/chat/completions", "/completions", "/models"):
        path = path.removesuffix(method)
    return urlunsplit((split.scheme, split.netloc.rpartition("@")[2], path or "/v1", "", ""))


def is_of_dashscope(connection: Connection) -> bool:
    """Whether an address is of Alibaba Cloud, whose service says nothing of what it is."""
    host = (urlsplit(connection.base).hostname or "").lower()
    return host.endswith((".aliyuncs.com", ".aliyun.com"))


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, is this machine by definition."""
    import ipaddress

    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
