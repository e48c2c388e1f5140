"""Small problems on single arrays, as `rpucc reproduce` runs them (kind = "toy").

A module a problem. Devices, pulses, reads and transfers are those of `rpucc.Array`; here are only
targets, inputs and what is measured.
"""
