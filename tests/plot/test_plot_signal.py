"""What is drawn of a signal: the numbers, and where on the axes they are."""

import dataclasses

import librosa
import numpy as np
import pytest

from aural import plot
from aural.audio.features import MelOptions, MFCCOptions, log_mel, power_spectrogram
from aural.errors import InputError, UnknownName
from aural.plot import signal
from aural.plot.canvas import MAX_VALUES
from aural.plot.signal import (
    cepstral_framing,
    frames_a_column,
    framing,
    mel_framing,
    mel_position,
    powers,
)
from aural.types import Audio, Span

RATE = 16000


def centre(axes, column: int, columns: int) -> float:
    """The time in the middle of an image's column."""
    left, right, _, _ = axes.images[0].get_extent()
    return left + (right - left) * (column + 0.5) / columns


def test_few_samples_are_drawn_one_by_one(tone: Audio) -> None:
    part = Audio(tone.samples[:3000], RATE)
    (axes,) = plot.waveform(part, start=2.0).axes
    x, y = axes.lines[0].get_data()
    assert np.array_equal(y, part.samples)
    assert np.allclose(x, 2 + np.arange(3000) / RATE)
    assert axes.get_xlim() == pytest.approx((2, 2 + 3000 / RATE))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time (s)", "amplitude")


def test_many_samples_are_drawn_as_their_range(tone: Audio) -> None:
    (axes,) = plot.waveform(tone).axes
    outline = axes.collections[0].get_paths()[0].vertices
    assert outline[:, 1].max() == tone.samples.max()
    assert outline[:, 1].min() == tone.samples.min()
    loud = outline[np.abs(outline[:, 1]) > 0.3, 0]
    assert loud.min() == pytest.approx(0.4, abs=0.001)
    assert loud.max() == pytest.approx(0.6, abs=0.001)


def test_each_channel_has_a_row_and_the_zoom_one_more(tone: Audio) -> None:
    stereo = Audio(np.stack([tone.samples, -tone.samples / 2]), RATE)
    axes = plot.waveform(stereo, zoom=Span(0.5, 0.51)).axes
    assert [each.get_ylabel() for each in axes] == ["channel 0", "channel 1", "amplitude"]
    x, y = axes[2].lines[0].get_data()
    assert np.array_equal(y, tone.samples[8000:8160])
    assert x[0] == pytest.approx(0.5)
    assert axes[2].get_xlim() == pytest.approx((0.5, 0.51))


@pytest.mark.parametrize("zoom", [(-0.1, 0.2), (0.5, 0.5), (0.8, 1.2), (0.4, 0.3), (2.0, 3.0)])
def test_a_zoom_lies_within(tone: Audio, zoom: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="give a stretch of 0 to 1 s"):
        plot.waveform(tone, zoom=Span(*zoom))


def test_a_spectrogram_is_librosas_in_db_at_its_time_and_frequency(speech: Audio) -> None:
    """Within 1e-3 dB where librosa is not at its floor: float32 against float64 windows."""
    axes = plot.spectrogram(speech, start=3.0).axes[0]
    shown = axes.images[0].get_array()
    chosen = framing(RATE)
    assert (chosen.win_length, chosen.hop_length, chosen.n_fft) == (400, 160, 512)
    power = np.abs(
        librosa.stft(
            speech.samples, n_fft=512, hop_length=160, win_length=400, pad_mode="reflect"
        )
    ) ** 2  # fmt: skip
    expected = librosa.power_to_db(power, ref=np.max, amin=1e-20, top_db=80)
    assert shown.shape == expected.shape
    assert np.abs(shown - expected).max() < 1e-2
    left, right, bottom, top = axes.images[0].get_extent()
    assert (left, right) == pytest.approx((3 - 0.005, 3 + (shown.shape[1] - 0.5) * 0.01))
    width = RATE / 512 / 1000
    assert (bottom, top) == pytest.approx((-width / 2, 8 + width / 2))
    assert axes.get_xlim() == pytest.approx((3, 3 + speech.duration))
    assert axes.get_ylim() == pytest.approx((0, 8))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time (s)", "frequency (kHz)")
    assert axes.images[0].get_clim() == (-80, 0)


def test_a_tone_is_where_it_sounds(tone: Audio) -> None:
    axes = plot.spectrogram(tone, max_hertz=4000).axes[0]
    shown = np.asarray(axes.images[0].get_array())
    row, column = np.unravel_index(shown.argmax(), shown.shape)
    _, _, bottom, top = axes.images[0].get_extent()
    assert bottom + (top - bottom) * (row + 0.5) / len(shown) == pytest.approx(2.0, abs=0.02)
    assert 0.4 < centre(axes, column, shown.shape[1]) < 0.6
    loud = np.flatnonzero(shown[row] > -6)
    assert centre(axes, loud[0], shown.shape[1]) == pytest.approx(0.4, abs=0.012)
    assert centre(axes, loud[-1], shown.shape[1]) == pytest.approx(0.6, abs=0.012)
    assert axes.get_ylim() == (0, 4)
    with pytest.raises(InputError, match="max_hertz"):
        plot.spectrogram(tone, max_hertz=9000)


def test_mel_bands_are_named_by_their_centres(tone: Audio) -> None:
    axes = plot.mel(tone).axes[0]
    shown = np.asarray(axes.images[0].get_array())
    assert shown.shape == (80, 101)
    named = dict(
        zip([t.get_text() for t in axes.get_yticklabels()], axes.get_yticks(), strict=True)
    )
    assert set(named) == {"0.25", "0.5", "1", "2", "4"}
    loudest = shown.mean(axis=1).argmax()
    assert named["2"] == pytest.approx(loudest, abs=0.5)
    edges = librosa.mel_frequencies(n_mels=82, fmin=0, fmax=8000)
    at = mel_position(edges[1:-1], mel_framing(RATE))
    assert at == pytest.approx(np.arange(80), abs=1e-9)


def test_a_presets_numbers_are_shown_as_they_are(speech: Audio) -> None:
    axes = plot.mel(speech, options="whisper").axes[0]
    expected = log_mel(speech.samples, "whisper")
    assert np.array_equal(axes.images[0].get_array(), expected)
    assert axes.images[0].get_clim() == (expected.min(), expected.max())
    with pytest.raises(UnknownName, match="whisper-128"):
        plot.mel(speech, options="wishper")
    with pytest.raises(InputError, match="22050 Hz and the audio has 16000"):
        plot.mel(speech, options="librosa")


def test_mfcc_and_its_slopes(speech: Audio) -> None:
    """Against librosa: float32 rounding over a DCT of 40 dB values, 0.02 of values to 400."""
    axes = plot.mfcc_deltas(speech).axes
    chosen = cepstral_framing(RATE).log_mel.mel
    mel = librosa.feature.melspectrogram(
        y=speech.samples, sr=RATE, n_fft=512, hop_length=160, win_length=400, n_mels=40,
        pad_mode="reflect",
    )  # fmt: skip
    assert chosen.n_mels == 40
    values = librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=13)
    slopes = librosa.feature.delta(values, width=9)
    assert np.abs(axes[0].lines[0].get_ydata() - values[0]).max() < 0.05
    assert np.allclose(axes[0].lines[0].get_xdata(), 0.01 * np.arange(values.shape[1]))
    for panel, expected in zip(
        axes[1:4], (values, slopes, librosa.feature.delta(slopes, width=9)), strict=True
    ):
        assert np.abs(panel.images[0].get_array() - expected[1:]).max() < 0.05
        low, high = panel.images[0].get_clim()
        assert low == -high, "0 is the middle colour"
        assert panel.images[0].get_extent()[2:] == [0.5, 12.5]
    with pytest.raises(InputError, match="fewer than width"):
        plot.mfcc_deltas(Audio(speech.samples[:400], RATE))
    with pytest.raises(InputError, match="n_mfcc is 1"):
        plot.mfcc_deltas(speech, options=MFCCOptions(cepstral_framing(RATE).log_mel, n_mfcc=1))


def test_before_and_after_share_their_scales(tone: Audio) -> None:
    quiet = Audio(tone.samples / 10, RATE)
    before, after = plot.Version("before", tone), plot.Version("20 dB quieter", quiet)
    axes = plot.before_after(before, after).axes
    assert axes[0].get_ylim() == axes[1].get_ylim()
    assert axes[2].images[0].get_array().max() == pytest.approx(0, abs=1e-4)
    assert axes[3].images[0].get_array().max() == pytest.approx(-20, abs=1e-3)
    assert [axes[0].get_title(loc="left"), axes[1].get_title(loc="left")] == [
        "before",
        "20 dB quieter",
    ]
    with pytest.raises(InputError, match="different sample rates"):
        plot.before_after(before, plot.Version("x", Audio(tone.samples, 8000)))


def test_silence_is_a_picture_too() -> None:
    silence = Audio(np.zeros(8000, np.float32), RATE)
    assert plot.waveform(silence).axes[0].get_ylim() == (-1.05, 1.05)
    assert (plot.spectrogram(silence).axes[0].images[0].get_array() == -80).all()
    assert (plot.mel(silence).axes[0].images[0].get_array() == -80).all()
    both = plot.before_after(plot.Version("a", silence), plot.Version("b", silence))
    assert (both.axes[2].images[0].get_array() == -80).all()
    assert plot.encode(plot.mfcc_deltas(silence))


@pytest.mark.parametrize("draw", [plot.waveform, plot.spectrogram, plot.mel])
@pytest.mark.parametrize(
    ("samples", "told"),
    [
        (np.zeros(0, np.float32), "no sample"),
        (np.zeros((2, 0), np.float32), "no sample"),
        (np.array([0, np.nan], np.float32), "NaN or infinite"),
        (np.array([0, np.inf], np.float32), "NaN or infinite"),
        (np.zeros(100, np.int16), "int16 samples"),
        (np.zeros((1, 1, 9), np.float32), r"shape \(1, 1, 9\)"),
        (np.zeros((9, 100), np.float32), "9 channels"),
    ],
)
def test_what_can_not_be_drawn(draw, samples: np.ndarray, told: str) -> None:
    with pytest.raises(InputError, match=told):
        draw(Audio(samples, RATE))


def test_spectra_are_of_one_channel_and_bounded() -> None:
    with pytest.raises(InputError, match="2 channels; choose one"):
        plot.spectrogram(Audio(np.zeros((2, 100), np.float32), RATE))
    with pytest.raises(InputError, match="too much for one picture"):
        plot.spectrogram(Audio(np.zeros(700_000, np.float32), 1000))


@pytest.mark.parametrize("rate", [1000, 8000, 44100, 192000])
@pytest.mark.parametrize("count", [1, 2, 100])
def test_short_recordings_at_odd_rates(rate: int, count: int) -> None:
    audio = Audio(np.full(count, 0.1, np.float32), rate)
    axes = plot.spectrogram(audio).axes[0]
    assert axes.get_xlim() == pytest.approx((0, count / rate))
    assert plot.waveform(audio).axes


def test_the_filterbank_is_the_bank() -> None:
    options = MelOptions(n_mels=10, n_fft=2048, norm=None)
    curve, bank = plot.filterbank(options).axes
    filters = librosa.filters.mel(sr=RATE, n_fft=2048, n_mels=10, norm=None)
    assert len(bank.lines) == 10
    for line, row in zip(bank.lines, filters, strict=True):
        hertz, weight = line.get_data()
        bins = np.round(np.asarray(hertz) * 1000 * 2048 / RATE).astype(int)
        assert np.allclose(weight, row[bins], atol=1e-6)
        assert row.sum() == pytest.approx(row[bins].sum(), abs=1e-4), "all of the triangle is drawn"
    for line, htk in zip(curve.lines, (True, False), strict=True):
        hertz, mels = line.get_data()
        one = librosa.hz_to_mel(1000, htk=htk)
        assert np.allclose(mels, librosa.hz_to_mel(1000 * np.asarray(hertz), htk=htk) / one)


def test_learned_filters_are_sorted_by_what_they_pass() -> None:
    hertz = np.array([3000, 500, 6000, 1500])
    taps = np.hanning(256) * np.cos(2 * np.pi * hertz[:, None] * np.arange(256) / RATE)
    axes = plot.learned_filters(taps, RATE).axes[0]
    shown = np.asarray(axes.images[0].get_array())
    assert shown.max(axis=0) == pytest.approx(np.zeros(4))
    best = shown.argmax(axis=0) * RATE / 512
    assert best == pytest.approx(np.sort(hertz), abs=32)
    for wrong in (taps[0], taps[:0], taps.astype(int), taps * np.nan):
        with pytest.raises(InputError):
            plot.learned_filters(wrong, RATE)
    with pytest.raises(InputError, match="sample_rate"):
        plot.learned_filters(taps, 0)
    assert plot.learned_filters(np.zeros((2, 8)), RATE)


@pytest.mark.parametrize("center", [True, False])
def test_a_long_spectrogram_has_the_highest_of_several_frames(
    monkeypatch: pytest.MonkeyPatch, center: bool
) -> None:
    """As the maximum over groups of all frames' powers; exact, and at their times."""
    audio = Audio(np.random.default_rng(0).normal(0, 0.1, 5 * RATE).astype(np.float32), RATE)
    options = dataclasses.replace(framing(RATE), center=center)
    every = power_spectrogram(audio.samples, options)
    monkeypatch.setattr(signal, "MAX_COLUMNS", 80)
    frames = every.shape[1]
    assert frames_a_column(options, audio.samples.size) == 7
    expected = [every[:, at : at + 7].max(axis=1) for at in range(0, frames, 7)]
    found = powers(audio.samples, options)
    assert np.array_equal(found, np.stack(expected, axis=1))
    axes = plot.spectrogram(audio, options=options).axes[0]
    left, right, _, _ = axes.images[0].get_extent()
    assert left == pytest.approx(-0.005)
    assert (right - left) / found.shape[1] == pytest.approx(0.07)


def test_a_spectrogram_of_ten_minutes_is_bounded() -> None:
    for rate, seconds in ((48_000, 600), (192_000, 600), (8000, 80)):
        options = framing(rate)
        group = frames_a_column(options, rate * seconds)
        columns = -(-options.frames(rate * seconds) // group)
        assert columns * options.bins <= MAX_VALUES
        assert columns > 3000


def test_a_waveform_is_bounded_too() -> None:
    with pytest.raises(InputError, match="too much for one picture"):
        plot.waveform(Audio(np.zeros(700_000, np.float32), 1000))


def test_banks_and_filters_are_bounded_before_they_are_made() -> None:
    for wrong, told in (
        ({"n_mels": 2000, "n_fft": 4096}, "n_mels is 2000; a picture"),
        ({"n_mels": 20, "n_fft": 1 << 20}, "n_fft is 1048576"),
    ):
        with pytest.raises(InputError, match=told):
            plot.filterbank(MelOptions(**wrong))
    for shape in ((4096, 65_536), (1, 1 << 26), (5000, 4)):
        taps = np.broadcast_to(np.float32(1), shape)
        with pytest.raises(InputError, match="take a part"):
            plot.learned_filters(taps, RATE)
    with pytest.raises(InputError, match="beyond"):
        plot.learned_filters(np.full((2, 8), 1e308), RATE)
    many = np.random.default_rng(0).normal(size=(600, 64))
    shown = plot.learned_filters(many, RATE).axes[0].images[0].get_array()
    response = np.abs(np.fft.rfft(many, 512))
    levels = 20 * np.log10(response / response.max(axis=1, keepdims=True)).clip(-2)
    expected = levels[np.argsort(response.argmax(axis=1), kind="stable")]
    assert np.abs(shown.T - expected).max() < 1e-9
