"""Doors into frameworks, of voice agents and of clusters: a file each, which needs its own extra and nobody imports."""
