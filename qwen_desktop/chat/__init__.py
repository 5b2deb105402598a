"""Pure values: messages, conversation tree, generation events, settings. Standard library only."""
