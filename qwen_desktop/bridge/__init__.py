"""Between window and machinery. QtCore only, and the only place with threads."""
