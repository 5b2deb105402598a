"""The window. QtWidgets only; asks the bridge, never the engine or the store."""
