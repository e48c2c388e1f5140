"""How a network lies on the arrays: a row a layer (`layers.py`), and the whole (`plan.py`).

Derived from a program, never stored. Not for times and energies: those are of `rpucc.cost`.
"""
