"""Where the numbers of a program came from, and how they go back into the model of the user.

A compilation reads constants of a file, moves, scales and adds them up, and what is on arrays in
the end has another shape and size. Passes note what they do (`terms.py`, `matrix.py`, `notes.py`);
a program carries the notes and the model that it was compiled from (`source.py`), and `restore.py`
goes the way back with the numbers of a trained machine.

| file | what it holds |
| --- | --- |
| `view.py` | which elements of a constant a constant's elements are |
| `terms.py` | a constant as a sum of moved and scaled constants of the file |
| `matrix.py` | the matrix of a layer as rows of its weight, a bias and copies |
| `notes.py` | both on values while a program is compiled, and in its metadata |
| `source.py` | the model that a program was compiled from, in its metadata |
| `restore.py` | weights of a machine in that model |
| `place.py` | where in its graph they go |
| `keep.py` | what is kept of both at the end of a compilation |
| `export.py` | the result, as an object and as files |

Not for what passes make of a model: those are `rpucc/passes`.
"""
