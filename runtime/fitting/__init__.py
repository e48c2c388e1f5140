"""Devices from measurements: curves are read, models fitted to them, spreads and noise told apart.

`curves` and `read` have the data, `models` what is fitted, `filter_template.py.txt` and
`likelihood` how likely a curve is, `estimate` and `population` the parameters, `residuals` and
`fit` which model describes the data and which does not.
"""
