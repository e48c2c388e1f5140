"""The targets that ship with rpucc: one TOML file a preset, read by `rpucc.target`.

Adding a preset is adding a file whose name is its `name`. No code belongs here.
"""
