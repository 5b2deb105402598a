"""Tokens that are guessed ahead and verified together; see docs/adr/0015-speculation.md."""
