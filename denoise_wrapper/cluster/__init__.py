"""Many files on many machines: what is to be done, what became of it, and where it lies."""
