"""The classic RNNoise network: features, model, training."""
