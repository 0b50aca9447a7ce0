"""Parts of every training run: its loop, checkpoints, log, optimisers, rates, curves, cards, wheels."""
