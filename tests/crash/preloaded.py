"""What the processes have imported when they begin: they are forked from one that has done it."""

import PySide6.QtWidgets  # noqa: F401

import qwen_desktop.bridge.chats
import qwen_desktop.engine.engine
import qwen_desktop.storage.store  # noqa: F401
