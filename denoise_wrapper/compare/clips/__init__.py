"""Clips to compare on: sets, inputs, results of other programs."""
