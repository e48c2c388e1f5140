"""Experiments as data: published results that `rpucc reproduce` trains again and compares.

One TOML file an experiment, named as its `name`; adding one is adding a file. `schema` says what a
file may hold, `load` reads it, `configuration` names a run by what determines its numbers,
`outcome` takes means and compares them, `store` keeps the raw metrics. Nothing here trains: that is
rpucc.runs.tasks.
"""
