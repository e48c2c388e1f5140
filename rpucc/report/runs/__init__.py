"""A training as a page: how it went, what became of its weights, what it answers; and several runs.

`run_report.py` has what is shown, `page.py` and `compare.py` put the pages together from sections,
each in a file. Not for gathering any of it: that is rpucc.runs.
"""
