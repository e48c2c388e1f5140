"""Instructions of the CPU: `read.py`, `update.py` the cycles, `windows.py` im2col,
`shares.py` copies that learn on their own, `fused.py` activations, pools and their gradients,
`head.py` the loss. Which nodes are fused: `runtime/chains`; the table of all: `runtime/cpu.py`.
"""
