"""Weights and the forms people have them in: records, classic and v0.2 networks, Keras, ONNX; the shipped files."""
