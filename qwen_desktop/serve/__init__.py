"""The local server: one loaded checkpoint as an OpenAI-compatible endpoint, and a page to chat at.

Start at `site.py`: what is asked for at which path. It knows values of `chat` and a protocol for
what generates (`source.py`); neither Qt nor torch. docs/server.md is for those who use it.
"""
