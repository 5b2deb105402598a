"""The chat pane: a virtualised view with one widget per Markdown block."""
