"""The importer's steps, one concern a file; `rpucc.passes.importer` puts them in order."""
