"""How Sphinx makes the documentation site of docs/.

    pip install '.[docs]'
    sphinx-build -W --keep-going -c docs/site docs build/site

The pages are the Markdown files of docs/, which read as well in a plain view of the repository:
what the site adds, `rpucc_site` beside this file writes while it is built.
"""

from __future__ import annotations

import sys
from pathlib import Path

import rpucc

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

project = "rpucc"
author = "the rpucc authors"
release = version = rpucc.__version__

extensions = ["myst_parser", "rpucc_site"]
root_doc = "README"
exclude_patterns = ["site"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

smartquotes = False  # they would make a dash of --set
highlight_language = "none"  # indented blocks are commands and what they print
maximum_signature_line_length = 80
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"rpucc {release}"
html_static_path = ["static"]
html_css_files = ["rpucc.css"]
html_copy_source = False
html_show_copyright = False
