"""A forward of the dense Qwens (the first one, Qwen2, Qwen2.5, Qwen3) with little around it.

A token of a small model is seven matrix products a layer and many tiny operations; in the modules
of transformers a call, a hook or a copy stands beside each of them. Here a layer is one function
(`forward.py`) over weights that stay those of the module, joined where inputs are the same
(`linears.py`), angles come from a table (`angles.py`), and attention repeats no heads
(`attention.py`). On a CUDA card a token is a CUDA graph (`step.py`, `graphs.py`), begun with before
the last one has been read (`runner.py`). What this does not cover (`facts.py`) runs on the module.
"""
