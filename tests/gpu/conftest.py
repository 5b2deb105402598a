"""The engine's fixtures, for tests on a card."""

from tests.engine.conftest import made, started

__all__ = ["made", "started"]
