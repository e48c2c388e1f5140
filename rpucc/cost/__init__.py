"""Schedule and cost: when each array works, how long, and what it takes; derived, never stored.

* `timing`, `pipeline`, `energy`: pure functions of plain numbers.
* `dependencies`, `digital`, `traffic`: the numbers that only the graph has.
* `network`: the cost of a whole program.

Not for how the network lies on the arrays (rpucc/plan/plan.py). Every formula: docs/cost.md.
"""
