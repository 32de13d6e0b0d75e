"""The sliding window, as GIF and as a page."""

import base64
import hashlib
import html
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from aural import plot
from aural.errors import InputError, UnknownName
from aural.types import Audio


@pytest.fixture(scope="module")
def moving(tone: Audio) -> plot.Animation:
    part = Audio(tone.samples[6000:10_000], tone.sample_rate)
    return plot.sliding_windows(part, start=0.375, pictures=8, title="tone")


def test_the_window_moves_on_and_the_spectrogram_grows(moving: plot.Animation) -> None:
    pictures = moving.pictures.astype(int)
    assert pictures.shape == (8, 420, 720, 3)
    coloured = [
        np.flatnonzero((np.ptp(each[180:370, 60:550], axis=2) > 60).any(axis=0))
        for each in pictures
    ]
    ends = [columns.max() for columns in coloured]
    assert ends == sorted(ends)
    assert len(set(ends)) == 8
    windows = [
        np.flatnonzero((each[20:140, 60:570, 0] - each[20:140, 60:570, 2] > 30).any(axis=0))
        for each in pictures
    ]
    middles = [columns.mean() for columns in windows[1:-1]]
    steps = np.diff(middles)
    assert (steps > 0).all()
    assert np.ptp(steps) < 25, "at an even pace, but for a hop of 20 dots"
    for middle, end in zip(middles, ends[1:-1], strict=True):
        assert end == pytest.approx(middle + 10, abs=12), "the column lies under the window"


def test_what_does_not_move_stays(moving: plot.Animation) -> None:
    labels = moving.pictures[:, 380:]
    assert (labels[..., :580, :] == labels[:1, :, :580]).all()


def test_a_gif_holds_the_pictures(moving: plot.Animation, tmp_path: Path) -> None:
    path = tmp_path / "moving.gif"
    plot.save_animation(moving, path)
    with Image.open(path) as gif:
        assert gif.n_frames == 8
        assert gif.info["loop"] == 0
        assert gif.info["duration"] == round(1000 * moving.seconds)
        for found, expected in zip(ImageSequence.Iterator(gif), moving.pictures, strict=True):
            difference = np.abs(np.asarray(found.convert("RGB")).astype(int) - expected)
            assert difference.mean() < 1
    assert path.read_bytes() == plot.encode_animation(moving)


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_a_page_holds_the_pictures_and_fetches_nothing(moving: plot.Animation) -> None:
    text = plot.encode_animation(moving, "html").decode()
    page = Page(text)
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 8
    for attributes, expected in zip(images, moving.pictures, strict=True):
        data = base64.b64decode(attributes["src"].removeprefix("data:image/png;base64,"))
        with Image.open(io.BytesIO(data)) as picture:
            shown = np.asarray(picture.convert("RGB")).astype(int)
        assert np.abs(shown - expected).mean() < 1
        assert attributes["alt"]
    assert "http:" not in text
    assert "https:" not in text
    (policy,) = [a["content"] for t, a in page.tags if a.get("http-equiv")]
    assert policy.startswith("default-src 'none'")
    for name in ("style", "script"):
        (inside,) = re.findall(rf"<{name}>(.*?)</{name}>", text, re.S)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert html.escape(moving.description) in text


def test_bounds(tone: Audio, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give 1 to 240"):
        plot.sliding_windows(tone, pictures=0)
    with pytest.raises(InputError, match="give 1 to 240"):
        plot.sliding_windows(tone, pictures=100_000)
    long = Audio(np.zeros(31 * 16000, np.float32), 16000)
    with pytest.raises(InputError, match="at most 3000 frames"):
        plot.sliding_windows(long)
    one = plot.sliding_windows(Audio(tone.samples[:1], 16000))
    assert len(one.pictures) == 1
    assert plot.encode_animation(one)
    with pytest.raises(UnknownName, match="gif, html"):
        plot.encode_animation(one, "mp4")
    with pytest.raises(InputError, match=r"\.gif or \.html"):
        plot.save_animation(one, tmp_path / "x.png")
