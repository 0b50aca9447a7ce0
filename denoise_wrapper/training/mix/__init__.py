"""Clips made of a corpus: mixing, noises, rooms, filters, and who hears which."""
