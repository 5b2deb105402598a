"""Three servers for all tests of this folder that leave them as they are: each takes seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.engine.checkpoints import THINKING_OPEN, chatty_checkpoint, make_tokenizer
from tests.serve.process import DEMO, Served, served

FRIEND = "http://localhost:3000"


@pytest.fixture(scope="session")
def server(no_network: None) -> Iterator[Served]:
    """`qwen-desktop serve` with the demo checkpoint, without a key."""
    with served() as found:
        yield found


@pytest.fixture(scope="session")
def thinker(no_network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A checkpoint that thinks, of random weights: it hardly ever ends by itself."""
    folder = chatty_checkpoint(tmp_path_factory.mktemp("thinker") / "Thinker")
    make_tokenizer(THINKING_OPEN).save_pretrained(folder)
    with served(folder) as found:
        yield found


@pytest.fixture(scope="session")
def keyed_server(no_network: None) -> Iterator[Served]:
    """The demo checkpoint for who has the key; pages of FRIEND may ask too."""
    with served(DEMO, "--generate-key", "--allow-origin", FRIEND) as found:
        yield found


@pytest.fixture
def client(server: Served) -> Iterator[OpenAI]:
    """The official client, asking `server`; it never tries twice."""
    with OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=120) as found:
        yield found
