"""Run folders and experiments: trainings that are kept, found again and compared."""
