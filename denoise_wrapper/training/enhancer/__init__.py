"""The third family: a full-band network on bands that grow with frequency, and its training."""
