"""The plan as one page of HTML that needs nothing else: no network, no fonts, no libraries.

`page.py` puts it together, `sections.py` has its parts, `document.py` what any page of ours has
around it; `page.css`, `tip.js` and `page.js` are its looks and
what moves.
"""

from rpucc.report.html.page import page

__all__ = ["page"]
