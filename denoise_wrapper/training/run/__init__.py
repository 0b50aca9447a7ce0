"""What every training run needs: loop, optimisers, curves, cards, wheels."""
