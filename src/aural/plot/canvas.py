"""What every figure is drawn on: one style, alt text, and files that are whole and repeatable.

matplotlib comes with the extra `plot` and is imported when the first figure is drawn. pyplot is
never used, so nothing is global but the style, which is set while a figure is drawn or saved and
put back after that, one figure at a time. Colours are told apart by colour-blind eyes too: Okabe
and Ito's for series, viridis and cividis for values, PuOr where 0 is the middle.
"""

from __future__ import annotations

import io
import os
import secrets
import threading
import unicodedata
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from aural.errors import InputError, MissingExtra, UnknownName
from aural.plot.palette import paletted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
T = TypeVar("T")

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MAPS = {"spectrum": "viridis", "matrix": "cividis", "signed": "PuOr_r"}
GREY = "#606060"
DPI = 100
WIDTH = 8.0
FORMATS = ("png", "svg")
MAX_DPI = 600
MAX_VALUES = 20_000_000
MAX_NUMBER = 1e9
"""On an axis: beyond any time, frequency or error there is, and safe to calculate with."""

_STYLE: dict[str, Any] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "axes.formatter.useoffset": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "figure.dpi": DPI,
    "figure.facecolor": "white",
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "lines.linewidth": 1.2,
    "text.parse_math": False,  # a label is a label, whatever signs it holds
    "svg.hashsalt": "aural",
    "svg.fonttype": "path",
    "path.simplify": True,
}
_MORE_FONTS = ("Noto Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans Arabic")
_drawing = threading.RLock()


@dataclass(frozen=True)
class Limit:
    """A value to compare with, and what it is called; InputError beyond MAX_NUMBER."""

    name: str
    value: float

    def __post_init__(self) -> None:
        if not abs(self.value) <= MAX_NUMBER:
            raise InputError(
                f"{label(self.name)!r} is {self.value:g}; give {-MAX_NUMBER:g} to {MAX_NUMBER:g}"
            )


@contextmanager
def style() -> Iterator[None]:
    """Draw and save under the style of this module, whatever a matplotlibrc says.

    Raises MissingExtra without matplotlib.
    """
    try:
        import matplotlib
        from matplotlib import font_manager
    except ImportError as error:
        raise MissingExtra("plot", "matplotlib") from error
    parameters: Any = matplotlib.rcParams
    with _drawing, matplotlib.rc_context():
        matplotlib.rcdefaults()
        there = set(font_manager.get_font_names())
        fonts = ["DejaVu Sans", *(name for name in _MORE_FONTS if name in there)]
        parameters.update(_STYLE | {"font.family": fonts})
        yield


def check_installed() -> None:
    """Raise MissingExtra without matplotlib."""
    with style():
        pass


def drawn(function: Callable[P, T]) -> Callable[P, T]:
    """The function, drawing in our style."""

    @wraps(function)
    def draw(*args: P.args, **kwargs: P.kwargs) -> T:
        with style():
            return function(*args, **kwargs)

    return draw


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure; inches, at DPI dots each."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def canvas_of(figure: Figure) -> Any:
    """Its Agg canvas, which draws and measures."""
    return figure.canvas


def describe(figure: Figure, text: str) -> Figure:
    """The figure with its alt text, which its files hold too."""
    figure.set_label(label(text, 500))
    return figure


def alt_text(figure: Figure) -> str:
    """One sentence for those who can't see the figure."""
    return str(figure.get_label())


def label(text: object, limit: int = 40) -> str:
    """The text in one line of at most limit characters, its control characters escaped."""
    shown = "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
        else char
        for char in str(text)
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def whole_numbers(axis: Any) -> None:
    """Ticks of an axis that counts."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins="auto", integer=True, steps=[1, 2, 4, 5, 10]))


def image(
    axes: Axes,
    values: np.ndarray,
    extent: tuple[float, float, float, float],
    *,
    colours: str,
    limits: tuple[float, float] | None = None,
    name: str = "",
) -> None:
    """Values of shape (row, column) from the lower left, with a colour bar where it has a name."""
    low, high = limits or (None, None)
    drawn_image = axes.imshow(
        values,
        aspect="auto",
        origin="lower",
        extent=extent,
        cmap=MAPS[colours],
        vmin=low,
        vmax=high,
        interpolation="nearest" if values.shape[-1] < WIDTH * DPI else "antialiased",
        rasterized=True,
    )
    if name:
        bar = axes.figure.colorbar(drawn_image, ax=axes, pad=0.01, aspect=24, fraction=0.08)
        bar.set_label(name)
        bar.outline.set_linewidth(0.5)


def encode(figure: Figure, form: str = "png", *, dpi: int = DPI) -> bytes:
    """The figure as a PNG (of 255 colours) or SVG file; the same figure gives the same bytes.

    Its alt text is the PNG's Description and the SVG's title. Raises UnknownName for another
    format. A letter that no font here has becomes a box, and a UserWarning says so.
    """
    if form not in FORMATS:
        raise UnknownName("format of a figure", form, FORMATS)
    if not 20 <= dpi <= MAX_DPI:
        raise InputError(f"dpi is {dpi}; give 20 to {MAX_DPI}")
    if form == "png":
        return _png(figure, dpi)
    about = {"Title": alt_text(figure) or None, "Creator": None, "Date": None}
    target = io.BytesIO()
    with style(), glyphs_told():
        figure.savefig(target, format="svg", dpi=dpi, metadata=about)
    return target.getvalue()


def _png(figure: Figure, dpi: int) -> bytes:
    """In a palette: a third of the bytes."""
    from PIL import PngImagePlugin

    pixels = _dots(figure, dpi)
    (made,) = paletted([pixels], pixels)
    text = PngImagePlugin.PngInfo()
    if description := alt_text(figure):
        text.add_itxt("Description", description)
    target = io.BytesIO()
    made.save(target, "PNG", optimize=True, pnginfo=text, dpi=(dpi, dpi))
    return target.getvalue()


def _dots(figure: Figure, dpi: int) -> np.ndarray:
    """uint8 of shape (height, width, 3)."""
    import numpy as np

    before = figure.dpi
    canvas = canvas_of(figure)
    try:
        figure.dpi = dpi
        with style(), glyphs_told():
            canvas.draw()
        return np.array(canvas.buffer_rgba())[..., :3]
    finally:
        figure.dpi = before


@contextmanager
def glyphs_told() -> Iterator[None]:
    """One warning in place of one for each letter that no font has."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield
    missing = [each for each in found if "missing from font" in str(each.message)]
    for each in found:
        if each not in missing:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    if missing:
        message = "some letters are in no font that is installed here and appear as boxes"
        warnings.warn(message, UserWarning, stacklevel=2)


def format_of(path: str | os.PathLike[str], allowed: tuple[str, ...] = FORMATS) -> str:
    """The format that a file's name ends in; InputError where it is none of those allowed."""
    suffix = Path(path).suffix.lower().lstrip(".")
    if suffix not in allowed:
        named = " or ".join(f".{each}" for each in allowed)
        raise InputError(f"{os.fspath(path)!r} can't be written: give a name that ends in {named}")
    return suffix


def save(figure: Figure, path: str | os.PathLike[str], *, dpi: int = DPI) -> None:
    """Write the figure to a .png or .svg file, which appears whole or not at all.

    Raises InputError for another ending, and where the file can't be written.
    """
    write_whole(path, encode(figure, format_of(path), dpi=dpi))


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Put content at the path through a file beside it, so that no reader meets half of it."""
    target = Path(path)
    part = target.with_name(f".{target.name[-60:]}.{secrets.token_hex(4)}.part")
    try:
        if target.exists() and not target.is_file():
            raise InputError(f"{str(target)!r} is no regular file; give another name to write to")
        try:
            part.write_bytes(content)
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"{str(target)!r} can't be written ({error.strerror})") from error
