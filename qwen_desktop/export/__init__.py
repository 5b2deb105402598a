"""Conversations as documents: Markdown, plain text, HTML. No Qt."""
