"""DTLN: the dual-signal transformation LSTM network, trained and exported as an ONNX pair."""
