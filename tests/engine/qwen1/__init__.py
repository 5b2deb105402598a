"""The first Qwen against goldens: what its original code computed (goldens/README.md)."""
