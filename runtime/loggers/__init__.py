"""What writes a training down as it goes, of one interface: callbacks of `Trainer.fit`.

A logger is any object with some of the methods `on_start(run)`, `on_step(step)`,
`on_layer_stats(stats)`, `on_epoch(metrics)` and `on_finish(ended)`; those here are a file each. Not
for checkpoints, which are the trainer's.
"""
