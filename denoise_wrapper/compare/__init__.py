"""Backends, models and settings, measured on sets of clips whose clean speech is known."""
