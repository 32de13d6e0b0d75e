"""Features of a trained network: the preset's log-mel, normalised as the formula says."""

import numpy as np
import pytest

from aural.audio.features import log_mel
from aural.errors import InputError, UnknownName
from aural.nn.acoustic import RunningMean, features_of, frame_rate
from aural.nn.exported import FeatureOptions

RNG = np.random.default_rng(0)
NOISE = RNG.normal(0, 0.1, 8000).astype(np.float32)


def test_a_preset_as_it_is() -> None:
    found = features_of(NOISE, FeatureOptions(normalise="none"))
    assert found.dtype == np.float32
    assert found.shape == (48, 80)  # 25 ms every 10 ms, within half a second
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, log_mel(NOISE, "kaldi").T)
    for name, n_mels in (("whisper", 80), ("torchaudio", 40)):
        found = features_of(NOISE, FeatureOptions(name, n_mels, normalise="none"))
        assert found.shape[1] == n_mels
    np.testing.assert_array_equal(
        features_of(NOISE, FeatureOptions("whisper", normalise="none")), log_mel(NOISE).T
    )


def test_normalised() -> None:
    plain = features_of(NOISE, FeatureOptions(normalise="none")).astype(np.float64)
    rows = features_of(NOISE, FeatureOptions(normalise="rows"))
    whole = features_of(NOISE, FeatureOptions(normalise="utterance"))
    want = (plain - plain.mean(axis=0)) / plain.std(axis=0)
    np.testing.assert_allclose(rows, want, atol=2e-4)
    np.testing.assert_allclose(whole, (plain - plain.mean()) / plain.std(), atol=2e-4)


def test_running_mean() -> None:
    plain = features_of(NOISE, FeatureOptions(normalise="none")).astype(np.float64)
    found = features_of(NOISE, FeatureOptions(normalise="running"))
    want = [row - plain[: i + 1].mean(axis=0) for i, row in enumerate(plain)]
    np.testing.assert_allclose(found, want, atol=1e-5)
    stream = RunningMean(80)
    pieces = [stream.push(piece.T) for piece in np.split(plain.astype(np.float32), [0, 1, 7, 7])]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1).T, found)


def test_samples_as_they_are() -> None:
    plain = FeatureOptions("samples", 1, 8000, "none")
    found = features_of(NOISE, plain)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:, 0], NOISE)
    assert frame_rate(plain) == 8000
    normal = features_of(NOISE.astype(np.float64), FeatureOptions("samples", 1, normalise="rows"))
    assert normal.mean() == pytest.approx(0, abs=1e-5)
    assert normal.std() == pytest.approx(1, abs=1e-4)
    assert features_of(NOISE[:0], plain).shape == (0, 1)
    with pytest.raises(InputError, match="n_mels is 40; samples are one row: give 1"):
        features_of(NOISE, FeatureOptions("samples", 40))


def test_kaldi_at_any_rate_and_the_others_at_their_own() -> None:
    telephone = FeatureOptions(n_mels=64, sample_rate=8000)
    assert features_of(NOISE, telephone).shape == (98, 64)
    assert frame_rate(telephone) == 100
    assert frame_rate(FeatureOptions("torchaudio", 128)) == 80
    with pytest.raises(InputError, match="'whisper' is made at 16000 Hz, and 'kaldi' at any rate"):
        features_of(NOISE, FeatureOptions("whisper", sample_rate=8000))
    with pytest.raises(UnknownName, match="kaldi"):
        features_of(NOISE, FeatureOptions("mystery"))


def test_odd_samples() -> None:
    assert features_of(NOISE[:0], FeatureOptions()).shape == (0, 80)
    assert features_of(NOISE[:399], FeatureOptions()).shape == (0, 80)
    one = features_of(NOISE[:400].astype(np.float64), FeatureOptions())
    assert one.dtype == np.float32
    assert (one == 0).all()  # alone a frame has no spread
    assert np.isnan(features_of(np.full(800, np.nan, np.float32), FeatureOptions())).any()
    for wrong in (np.zeros(800, np.int16), np.zeros((2, 800), np.float32)):
        with pytest.raises(InputError, match="give floats of"):
            features_of(wrong, FeatureOptions())
