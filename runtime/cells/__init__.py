"""Cells of several planes at work: their compiled updates. What cells there are: `rpucc.cells`."""
