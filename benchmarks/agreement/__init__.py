"""Statistical agreement with aihwkit: means, variances and response curves of both, compared.

aihwkit draws its own random numbers, so runs cannot be compared, only distributions. `cases.py`
says what is sampled, `ours.py` and `theirs.py` sample it (the latter in the interpreter that has
aihwkit), `compare.py` judges, `page.py` writes docs/results/aihwkit-agreement.md.
"""
