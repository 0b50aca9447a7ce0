"""The published DTLN as its first users run it: two sessions, called for each hop from Python, spectra by NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.signals import Float32

RATE, BLOCK, HOP = 16000, 512, 128
FILES = ("model_1.onnx", "model_2.onnx")


class PerHopLoop:
    """The loop with the pair of models in folder: a whole clip in, float32 at 16 kHz, one as long out."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.first, self.second = (
            onnxruntime.InferenceSession(folder / name, options, providers=["CPUExecutionProvider"]) for name in FILES
        )
        self.names = [[port.name for port in session.get_inputs()] for session in (self.first, self.second)]
        self.reset()

    def reset(self) -> None:
        self.state_1 = self.state_2 = np.zeros((1, 2, 128, 2), np.float32)
        self.newest, self.pending = np.zeros(BLOCK, np.float32), np.zeros(BLOCK, np.float32)

    def __call__(self, audio: Float32) -> Float32:
        self.reset()
        cleaned = np.zeros(len(audio), np.float32)
        for at in range(0, len(audio) - HOP + 1, HOP):
            cleaned[at : at + HOP] = self.hop(audio[at : at + HOP])
        return cleaned

    def hop(self, samples: Float32) -> Float32:
        (magnitude_name, state_1_name), (frame_name, state_2_name) = self.names
        self.newest[:-HOP] = self.newest[HOP:]
        self.newest[-HOP:] = samples
        spectrum = np.fft.rfft(self.newest)
        magnitude = np.abs(spectrum).reshape(1, 1, -1).astype(np.float32)
        phase = np.angle(spectrum)
        mask, self.state_1 = self.first.run(None, {magnitude_name: magnitude, state_1_name: self.state_1})
        frame = np.fft.irfft(magnitude * mask * np.exp(1j * phase)).astype(np.float32).reshape(1, 1, -1)
        answer, self.state_2 = self.second.run(None, {frame_name: frame, state_2_name: self.state_2})
        self.pending[:-HOP] = self.pending[HOP:]
        self.pending[-HOP:] = 0
        self.pending += np.squeeze(answer)
        return self.pending[:HOP].copy()
