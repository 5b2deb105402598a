"""Matrices as integer codes: what files hold, how they are kept in memory and multiplied."""
