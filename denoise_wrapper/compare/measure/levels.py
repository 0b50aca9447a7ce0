"""Levels of a cleaned clip: where somebody speaks, beside what it was, and where nobody does.

Audio is mono, float64 (n,), the signals in time with each other, of any lengths; levels are those up to 8 kHz. dBFS: a
square wave of full scale has 0.

Speech is found from the clean reference, see `speech.speech_labels`. Without one it is guessed from the noisy
clip, by its level: the loudest fifth of it is taken for speech, the quietest for pauses. On clips of which it is known,
at 0 to 15 dB, 97 and 98 % of these were; the speech level came out within 0.6 dB (standard deviation) of that with
the reference, and the noise 4 dB lower on average, as noise that comes and goes has its own quiet stretches.
"""

from __future__ import annotations

import math

import numpy as np

from denoise_wrapper.compare.measure.metrics import RATE, Float64, check_signal, to_rate
from denoise_wrapper.compare.measure.speech import LABEL_S, Labels, speech_labels, without_hum
from denoise_wrapper.errors import AudioError

SILENT_DB = -100.0  # dBFS; what is quieter counts as that: 16 bits hold no less
GONE_DB = -60.0  # speech of which less is left counts as that
MOST_GAIN_DB = 20.0  # that makes speech as loud; what needs more has lost it
STEP = round(LABEL_S * RATE)
LEAST = 10  # labels of speech, or of pause, with which a level can be measured: 0.1 s
AFTER, BEFORE = 10, 5  # labels next to speech that are no pause: a room's echo, the breath taken
FIFTH = 20.0  # percent of a noisy clip
SMOOTH = 15  # labels over which its level is taken, about as long as a syllable
STANDS_OUT = 2.0  # times the power of the quietest stretches that speech in noise has, or cannot be told
FRAME = 512  # samples of a spectrum
BATCH = 1024  # spectra at a time


def speech_and_pauses(reference: Float64, rate: int, *, clean: bool) -> tuple[Labels, Labels]:
    """For every 10 ms, the last cut off, whether somebody speaks, and whether surely nobody does: bool (labels,) each.

    reference: the clean clip, or if clean is false a noisy one. What is neither is the 100 ms after speech and the
    50 ms before, or the three fifths between loud and quiet. Raises AudioError if it holds what is no sound.
    """
    reference = to_rate(reference, rate)
    count = len(reference) // STEP
    if not count or _still(reference):
        return np.zeros(count, np.bool_), np.ones(count, np.bool_)
    check_signal(reference, "the reference" if clean else "the noisy clip")
    if clean:
        speech = speech_labels(reference)
        near = np.convolve(speech, np.ones(AFTER + BEFORE + 1))[BEFORE : BEFORE + count] > 0.5
        return speech, ~near
    power = np.square(without_hum(reference, RATE)[: count * STEP].reshape(count, STEP)).mean(axis=1)
    window = np.ones(min(SMOOTH, count))
    level = np.convolve(power, window, "same") / np.convolve(np.ones(count), window, "same")
    quiet, loud = np.percentile(level, [FIFTH, 100.0 - FIFTH])
    return level >= loud, level <= quiet


def levels(
    estimate: Float64, source: Float64, clean: Float64 | None, rate: int
) -> tuple[dict[str, float], dict[str, str]]:
    """PAUSES, SPEECH and RMS of a cleaned clip; NaN for what cannot be measured, and why.

    estimate: the cleaned clip. source: the noisy one. clean: its reference, None if there is none. All at rate.

    PAUSES: dBFS where nobody speaks, the mean power. RMS: dBFS of it all. SPEECH: dB by which the speech has become
    louder than the reference has it, see `_kept_db`; without a reference, than the noisy clip has it, by the power
    where somebody speaks less that where nobody does, as the noise goes on under the speech.
    """
    estimate = to_rate(estimate, rate)
    reference = source if clean is None else clean
    values, reasons = dict.fromkeys(("PAUSES", "SPEECH", "RMS"), math.nan), {}
    try:
        check_signal(estimate, "the clip")
        values["RMS"] = _level_db(_power(estimate))
        speech, pauses = speech_and_pauses(reference, rate, clean=clean is not None)
    except AudioError as error:
        return values, {name: str(error) for name, value in values.items() if math.isnan(value)}
    try:
        values["PAUSES"] = _level_db(_power(_cut(estimate, pauses, "pauses")))
    except AudioError as error:
        reasons["PAUSES"] = str(error)
    try:
        values["SPEECH"] = _speech_db(estimate, to_rate(reference, rate), speech, None if clean is not None else pauses)
    except AudioError as error:
        reasons["SPEECH"] = str(error)
    return values, reasons


def loudness_db(estimate: Float64, reference: Float64, rate: int, *, clean: bool = True) -> float:
    """Gain in dB with which an estimate's speech is as loud as the reference's, at most 20 dB either way.

    reference: the clean clip, or if clean is false the noisy one. Both at rate. 0 if it cannot be measured.
    """
    values, _ = levels(estimate, reference, reference if clean else None, rate)
    return even_gain_db(values["SPEECH"])


def even_gain_db(speech_db: float) -> float:
    """The gain that `loudness_db` has, of a SPEECH that is known already; 0 of NaN."""
    return 0.0 if math.isnan(speech_db) else min(MOST_GAIN_DB, max(-MOST_GAIN_DB, -speech_db))


def _speech_db(estimate: Float64, reference: Float64, speech: Labels, pauses: Labels | None) -> float:
    """Change of the speech's level. pauses: of a noisy reference, whose noise is to be taken off; else None."""
    if _still(reference):
        raise AudioError("the reference is silent" if pauses is None else "the noisy clip is silent")
    if pauses is None:
        _cut(estimate, speech, "speech")
        return _kept_db(estimate, reference, speech)
    after, before = (
        (_power(_cut(signal, speech, "speech")), _power(_cut(signal, pauses, "pauses")))
        for signal in (estimate, reference)
    )
    if before[0] <= STANDS_OUT * before[1]:
        raise AudioError("without a reference, no speech can be told from the noise")
    return _ratio_db((after[0] - after[1]) / (before[0] - before[1]))


def _kept_db(estimate: Float64, clean: Float64, speech: Labels) -> float:
    """The part of the clean speech that an estimate with other things in it holds, in dB of that.

    At each frequency the factor of the clean spectra in the estimate's, by projection over all frames of speech, and
    then the power of all frequencies together: noise, which does not go with the speech, hardly counts. Nor does a
    delay much shorter than a frame of 32 ms, as a factor turns the phase too.
    """
    cross, power = np.zeros(FRAME // 2 + 1, np.complex128), np.zeros(FRAME // 2 + 1)
    window, before = np.hanning(FRAME), (FRAME - STEP) // 2
    middle = np.flatnonzero(speech[: min(len(estimate), len(clean)) // STEP])
    both = [
        np.lib.stride_tricks.sliding_window_view(np.pad(signal, (before, FRAME)), FRAME) for signal in (estimate, clean)
    ]
    for at in range(0, len(middle), BATCH):
        estimated, wanted = (np.fft.rfft(frames[middle[at : at + BATCH] * STEP] * window) for frames in both)
        cross += (estimated * wanted.conj()).sum(axis=0)
        power += np.square(np.abs(wanted)).sum(axis=0)
    present = power > 0.0
    return _ratio_db(float((np.abs(cross[present]) ** 2 / power[present]).sum() / power.sum()))


def _cut(signal: Float64, labels: Labels, what: str) -> Float64:
    """The stretches of a signal that labels tell, (labels, STEP). Raises AudioError if they are too short."""
    count = min(len(signal) // STEP, len(labels))
    stretches = signal[: count * STEP].reshape(count, STEP)[labels[:count]]
    if len(stretches) < LEAST:
        raise AudioError(f"{LEAST * LABEL_S:g} s of {what} are needed, and there are {len(stretches) * LABEL_S:g} s")
    return stretches


def _still(signal: Float64) -> bool:
    return bool(signal.max() == signal.min()) if len(signal) else True


def _power(signal: Float64) -> float:
    return float(np.square(signal).mean())


def _level_db(power: float) -> float:
    return max(SILENT_DB, 10.0 * math.log10(max(power, 1e-30)))


def _ratio_db(ratio: float) -> float:
    return max(GONE_DB, 10.0 * math.log10(max(ratio, 1e-30)))
