"""Reads conversations out of files of this program and of others. No Qt, no SQL."""
