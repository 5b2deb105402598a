"""The demo checkpoint: made from the demo guide and measured here.

A tool for developers. Nothing else of the application imports it, and it imports nothing else of
the application; ``python -m qwen_desktop.demo`` is its front door.
"""
