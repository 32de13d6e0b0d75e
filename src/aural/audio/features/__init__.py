"""Samples become features: spectra, mel and log-mel, MFCC and deltas, offline and in streams.

Conventions: samples are float32 of shape (..., time), spectrograms (..., row, frame) with a row
for each bin, mel or coefficient; float64 stays float64. NumPy arrays and torch tensors go through
the same formulas: of a tensor the result is a tensor on its device, with gradients. Each of the
leading dimensions is a recording by itself.

One frame's result never depends on its neighbours (but for the last bits of constant-Q and chroma,
which are BLAS products) or on how the recording was cut, so a stream fed in any chunks gives the
offline result, of NumPy arrays bit for bit. A sample that is not finite makes what is not finite
of the frames it is in, and of no others; of the constant-Q transform, of the frames near it. With
NumPy the work is done in blocks of frames that stay in the processor's cache; that, float32
transforms and a product with only the non-zero part of the filters is where the speed comes from.
"""

from aural.audio.features.batch import (
    Batch,
    batches_by_length,
    frame_mask,
    length_mask,
    pad_batch,
    padding_ratio,
)
from aural.audio.features.cqt import (
    CQTOptions,
    CQTStream,
    chroma,
    chroma_cqt,
    chroma_filters,
    cqt,
)
from aural.audio.features.mel import (
    PRESETS,
    Conditioning,
    LogMelOptions,
    LogMelStream,
    MelOptions,
    MelStream,
    hz_to_mel,
    kaldi_options,
    log_mel,
    mel_filters,
    mel_spectrogram,
    mel_to_hz,
    whisper_log_mel,
)
from aural.audio.features.mfcc import (
    MFCC_PRESETS,
    DeltaStream,
    MFCCOptions,
    MFCCStream,
    delta,
    mfcc,
)
from aural.audio.features.normalise import cmvn, sliding_cmvn, z_normalise
from aural.audio.features.stft import (
    BLOCK_FRAMES,
    FrameStream,
    STFTOptions,
    amplitude_to_db,
    db_to_amplitude,
    db_to_power,
    frame,
    griffin_lim,
    istft,
    power_spectrogram,
    power_to_db,
    stft,
    window,
)

__all__ = [
    "BLOCK_FRAMES",
    "MFCC_PRESETS",
    "PRESETS",
    "Batch",
    "CQTOptions",
    "CQTStream",
    "Conditioning",
    "DeltaStream",
    "FrameStream",
    "LogMelOptions",
    "LogMelStream",
    "MFCCOptions",
    "MFCCStream",
    "MelOptions",
    "MelStream",
    "STFTOptions",
    "amplitude_to_db",
    "batches_by_length",
    "chroma",
    "chroma_cqt",
    "chroma_filters",
    "cmvn",
    "cqt",
    "db_to_amplitude",
    "db_to_power",
    "delta",
    "frame",
    "frame_mask",
    "griffin_lim",
    "hz_to_mel",
    "istft",
    "kaldi_options",
    "length_mask",
    "log_mel",
    "mel_filters",
    "mel_spectrogram",
    "mel_to_hz",
    "mfcc",
    "pad_batch",
    "padding_ratio",
    "power_spectrogram",
    "power_to_db",
    "sliding_cmvn",
    "stft",
    "whisper_log_mel",
    "window",
    "z_normalise",
]
