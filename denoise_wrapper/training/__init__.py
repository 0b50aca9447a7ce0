"""Training: audio folders in, models that the engine loads out. Needs the `training` extra; nothing imports this."""
