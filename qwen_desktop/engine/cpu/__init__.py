"""The decode step of dense models on a CPU, compiled by numba: read `step.py` first."""
