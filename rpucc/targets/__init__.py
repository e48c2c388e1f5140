"""The targets that ship with rpucc: one TOML file a preset, read by `rpucc.target.load`.

Adding a preset is adding a file whose name is its `name`. No code belongs here.
"""
