"""The page, plots and tables of published experiments."""
