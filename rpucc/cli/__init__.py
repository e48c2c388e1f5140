"""The command line: `main.py` has the table of commands, each command has a file of its own."""
