"""The engine: torch and transformers, no Qt, no SQLite.

Importing this package is cheap. `qwen_desktop.engine.start` brings torch in.
"""
