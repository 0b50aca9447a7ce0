"""Doors into the frameworks of voice agents, one file each; each needs its own extra, and nothing else imports it."""
