"""Files of figures: what is in them, that they repeat, and that they are whole or not there."""

import io
import os
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aural import plot
from aural.errors import InputError, MissingExtra, UnknownName
from aural.plot.canvas import COLOURS, label, new_figure, style, write_whole
from aural.plot.palette import paletted
from aural.types import Audio

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '<script>alert(1)</script> $\\frac{"& \x1b[2J \u202e'


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB")).astype(int)


def test_a_png_is_a_picture_with_its_alt_text(tone: Audio) -> None:
    figure = plot.waveform(tone, title="a tone")
    png = plot.encode(figure)
    shown = pixels(png)
    assert shown.shape == (240, 800, 3)
    assert shown.std() > 20
    assert (shown[0, 0] == 255).all(), "white stays white in the palette"
    blue = tuple(int(COLOURS[0][i : i + 2], 16) for i in (1, 3, 5))
    assert (shown == blue).all(axis=2).sum() > 100
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.info["Description"] == plot.alt_text(figure)
    assert "1.00 s" in plot.alt_text(figure)
    assert "a tone" in plot.alt_text(figure)


def test_an_svg_is_xml_without_scripts_dates_and_addresses(tone: Audio) -> None:
    figure = plot.waveform(tone, title=HOSTILE)
    svg = plot.encode(figure, "svg")
    root = ET.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert root.find(f"{SVG}title").text == plot.alt_text(figure)
    assert not root.findall(f".//{SVG}script")
    text = svg.decode()
    assert "date" not in text
    assert "\x1b" not in text
    links = [v for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")]
    assert all(link.startswith(("#", "data:image/png")) for link in links)


def test_the_same_figure_gives_the_same_bytes_in_another_process(
    tone: Audio, tmp_path: Path
) -> None:
    """Also under a matplotlibrc that would change everything."""
    (tmp_path / "matplotlibrc").write_text("font.size: 30\naxes.facecolor: red\n")
    code = f"""
import sys, numpy as np
from aural import plot
from aural.types import Audio
samples = np.frombuffer(sys.stdin.buffer.read(), np.float32)
figure = plot.spectrogram(Audio(samples, {tone.sample_rate}))
sys.stdout.buffer.write(plot.encode(figure, "png") + plot.encode(figure, "svg"))
assert "matplotlib.pyplot" not in sys.modules
"""
    made = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        input=tone.samples.tobytes(),
        capture_output=True,
        check=True,
        timeout=60,
        env={**os.environ, "MPLCONFIGDIR": str(tmp_path), "PYTHONHASHSEED": "7"},
    )
    figure = plot.spectrogram(tone)
    assert made.stdout == plot.encode(figure, "png") + plot.encode(figure, "svg")


def test_drawing_leaves_matplotlib_as_it_was(tone: Audio) -> None:
    import matplotlib

    with matplotlib.rc_context({"font.size": 33.0, "svg.hashsalt": "mine"}):
        before = dict(matplotlib.rcParams)
        plot.encode(plot.waveform(tone), "svg")
        assert dict(matplotlib.rcParams) == before


def test_a_file_is_whole_or_not_there(
    tone: Audio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = plot.waveform(tone)
    path = tmp_path / "tone.PNG"
    plot.save(figure, path)
    before = path.read_bytes()
    assert before == plot.encode(figure)

    def full(self: Path, content: bytes) -> None:
        with self.open("wb") as file:
            file.write(content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left"):
        plot.save(figure, path, dpi=50)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["tone.PNG"]


@pytest.mark.parametrize("name", ["tone.jpg", "tone", "tone.pdf", "tone.svg.gz", ".png"])
def test_other_files_are_refused(name: str, tone: Audio, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.png or \.svg"):
        plot.save(plot.waveform(tone), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_places_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be written"):
        write_whole(tmp_path / "no folder" / "x.png", b"")
    (tmp_path / "x.png").mkdir()
    with pytest.raises(InputError, match="no regular file"):
        write_whole(tmp_path / "x.png", b"")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't be written"):
        write_whole(tmp_path / "file" / "x.png", b"")


def test_options_out_of_range(tone: Audio) -> None:
    figure = plot.waveform(tone)
    with pytest.raises(UnknownName, match="png, svg"):
        plot.encode(figure, "pdf")
    with pytest.raises(InputError, match="dpi is 5"):
        plot.encode(figure, dpi=5)
    with pytest.raises(InputError, match="dpi is 100000"):
        plot.encode(figure, dpi=100_000)


def test_a_label_is_one_short_line() -> None:
    assert label("a\nb\x00\u202ec") == r"a\nb\x00\u202ec"
    assert label("x" * 100, 10) == "x" * 9 + "…"
    assert label("naïve 東京 😀") == "naïve 東京 😀"


def test_letters_without_a_font_are_told_once(tone: Audio) -> None:
    figure = plot.waveform(tone, title="\U00012000\U00012001\U00012002")  # cuneiform
    with pytest.warns(UserWarning, match="appear as boxes") as told:
        plot.encode(figure)
    assert len(told) == 1


def test_other_warnings_come_through() -> None:
    with style():
        figure = new_figure(1.0)

    class Odd(type(figure.text(0, 0, ""))):
        def draw(self, renderer: object) -> None:
            warnings.warn("odd", RuntimeWarning, stacklevel=1)

    figure.add_artist(Odd(0, 0, "x"))
    with pytest.warns(RuntimeWarning, match="odd"):
        plot.encode(figure)


def test_without_matplotlib_the_pip_line_is_told(
    tone: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"pip install 'aural\[plot\]'"):
        plot.waveform(tone)


def test_importing_plot_loads_no_matplotlib() -> None:
    code = "import sys, aural.plot; print({'matplotlib', 'sklearn', 'torch'} & set(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "set()"


def test_a_palette_keeps_what_fits_and_is_near_elsewhere() -> None:
    few = np.zeros((20, 20, 3), np.uint8)
    few[:10] = (1, 2, 3)
    few[0, :, 0] = np.arange(20)
    (made,) = paletted([few], few)
    assert np.array_equal(np.asarray(made.convert("RGB")), few)

    rng = np.random.default_rng(0)
    many = np.full((200, 200, 3), 255, np.uint8)
    many[50:] = rng.integers(100, 140, (150, 200, 3))
    (made,) = paletted([many], many)
    found = np.asarray(made.convert("RGB")).astype(int)
    assert (found[:50] == 255).all(), "the commonest colour is exact"
    assert np.abs(found - many).mean() < 6
    palette = np.unique(found.reshape(-1, 3), axis=0)
    assert len(palette) <= 255
    some = many.reshape(-1, 3)[10_000::997].astype(int)
    nearest = np.abs(some[:, None] - palette).astype(float) ** 2
    chosen = found.reshape(-1, 3)[10_000::997]
    assert np.allclose(((some - chosen) ** 2).sum(axis=1), nearest.sum(axis=2).min(axis=1))
