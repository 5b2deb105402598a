"""The first Qwen (model_type "qwen"), which transformers does not know.

It computes as Qwen2 does but for two things that reach past its training length: queries are
scaled by the logarithm of their position (logn), and the base of the rotary embedding grows with
the length of the prompt (dynamic NTK). Names of weights and configuration, the vocabulary and the
rules of a prompt are its own. Nothing here runs code of a checkpoint or writes into its folder.

facts.py and names.py know neither torch nor transformers.
"""

QWEN1 = "qwen"  # its model_type
