"""Compiler passes: one file a pass; `pipeline.py` lists them in order."""
