"""A compilation target: which arrays, converters, devices and policies a model is compiled for.

`target.py` is a target as a whole, `sections.py` its tables, `keys.py` what tables have in common,
`values.py` the types of single values; `load.py`, `overrides.py` and `messages.py` read files and
`--set`, and say what is wrong with them. Not for what the values do: the passes and the runtime.
"""
