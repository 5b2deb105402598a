"""Chatting in a terminal: `qwen-desktop chat`. The engine and the store of the window, no Qt."""
