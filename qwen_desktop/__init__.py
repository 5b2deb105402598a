"""Qwen Desktop: a native chat client for Qwen checkpoint folders. This module imports nothing."""

__version__ = "0.1.0"
