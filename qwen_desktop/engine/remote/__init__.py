"""Servers that answer in place of a checkpoint, over OpenAI's protocol. No torch here.

Importing this package is cheap; the client comes with the first request. All that leaves this
machine leaves from here, and only to the address of the connection that a request names.
"""

from qwen_desktop.engine.remote.engine import RemoteEngine

__all__ = ["RemoteEngine"]
