"""One server with the demo checkpoint for all tests of this folder that leave it as it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.serve.process import Served, served


@pytest.fixture(scope="session")
def server(no_network: None) -> Iterator[Served]:
    """`qwen-desktop serve` with the demo checkpoint, without a key."""
    with served() as found:
        yield found


@pytest.fixture
def client(server: Served) -> Iterator[OpenAI]:
    """The official client, asking `server`; it never tries twice."""
    with OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=120) as found:
        yield found
