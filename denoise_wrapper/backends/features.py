"""Features and target gains of RNNoise networks, for training."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper._native import ffi, lib
from denoise_wrapper.backends.base import Float32
from denoise_wrapper.backends.native import FRAME, check_status, floats
from denoise_wrapper.errors import AudioError, ConfigError


@dataclass(frozen=True)
class Extracted:
    """Features and targets of n frames; F features and B bands as its network has them.

    Energies have the scale of the features: powers of int16 samples / 960, summed over a band.
    """

    features: Float32  # (n, F), zero in frames too quiet to be run
    gains: Float32  # (n, B), 0 to 1, or -1 where there is no right answer
    clean_energy: Float32  # (n, B), of the clean bands
    energy: Float32  # (n, B), of the noisy bands
    pitch_energy: Float32  # (n, B), of the noisy bands one pitch period ago
    coherence: Float32  # (n, B), of the noisy bands and themselves one pitch period ago


@dataclass(frozen=True)
class Spectra:
    """Spectra of n frames: complex64 (n, 481), 50 Hz a bin, of the 20 ms that end with it; scaled as energies."""

    noisy: NDArray[np.complex64]
    pitch: NDArray[np.complex64]  # of the noisy signal one pitch period ago
    clean: NDArray[np.complex64]


class FeatureExtractor:
    """Features and targets of a network, computed by the engine's own code; one signal, one thread at a time.

    family: the network, `classic` (42 features, 22 bands) or `v0.2` (65 features, 32 bands).
    """

    def __init__(self, family: str = "classic") -> None:
        sizes = {"classic": (lib.DN_FEATURES, lib.DN_BANDS), "v0.2": (lib.DN_V02_FEATURES, lib.DN_V02_BANDS)}
        if family not in sizes:
            raise ConfigError(f"the family of a network is {' or '.join(sizes)}, not {family!r}")
        self.features, self.bands = sizes[family]
        out = ffi.new("dn_extractor **")
        check_status(lib.dn_extractor_create(lib.DN_V02 if family == "v0.2" else lib.DN_CLASSIC, out))
        self._extractor = ffi.gc(out[0], lib.dn_extractor_destroy)

    def extract(self, noisy: Float32, clean: Float32) -> Extracted:
        """Features and targets of whole frames; memory carries on from call to call.

        noisy, clean: float32 (n * 480,), 48 kHz, full scale +-1, in time with each other.
        Raises AudioError for other shapes or types, or a sample that is not finite (nothing has changed then).
        """
        return self.extract_spectra(noisy, clean, spectra=False)[0]

    def extract_spectra(self, noisy: Float32, clean: Float32, spectra: bool = True) -> tuple[Extracted, Spectra | None]:
        """Give the spectra too that features and targets come from: see `extract`."""
        for what, signal in (("noisy", noisy), ("clean", clean)):
            if signal.ndim != 1 or signal.dtype != np.float32 or signal.shape != noisy.shape or len(signal) % FRAME:
                raise AudioError(
                    f"noisy and clean are both float32 (n * {FRAME},); {what} is {signal.dtype} {signal.shape}"
                )
        frames, widths = len(noisy) // FRAME, {"features": self.features}
        arrays = {item.name: np.empty((frames, widths.get(item.name, self.bands)), np.float32)
                  for item in dataclasses.fields(Extracted)}  # fmt: skip
        shape = (frames, lib.DN_BINS) if spectra else (0, lib.DN_BINS)
        bins = [np.empty(shape, np.complex64) for _ in range(3)]
        if frames:
            out = ffi.new("dn_extracted *", {name: floats(array) for name, array in arrays.items()})
            if spectra:
                out.spectrum, out.pitch_spectrum, out.clean_spectrum = (floats(array) for array in bins)
            noisy, clean = np.ascontiguousarray(noisy), np.ascontiguousarray(clean)
            check_status(lib.dn_extract(self._extractor, floats(noisy), floats(clean), frames, out), noisy, clean)
        return Extracted(**arrays), Spectra(*bins) if spectra else None
