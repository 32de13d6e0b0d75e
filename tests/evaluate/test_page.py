"""The page of a report: complete, in one file, and safe whatever a manifest holds."""

import base64
import hashlib
import html
import itertools
import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from aural.audio.read import read
from aural.audio.write import write
from aural.data.utterance import Utterance
from aural.errors import CorruptAudio, InputError
from aural.evaluate.page import compared, report_page, spread_of, text, worst_rows, write_page
from aural.evaluate.render import report_tables
from aural.evaluate.report import Report
from aural.evaluate.scoring import Row
from aural.evaluate.transcribe import Recogniser, evaluate_transcribe
from aural.metrics.wer import ErrorCounts
from aural.types import Audio, Segment, Transcript

HOSTILE = (
    "</p><script>alert('x')</script><img src=x onerror=\"alert(1)\"> & \x00\x1b[2J\u202e\ud800"
)
VOID = {"meta", "br", "img", "rect"}


class Page(HTMLParser):
    """Every tag in order; whether all that open are closed; the text outside of style."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def silent(row: Row) -> None:
    return None


def evaluated(utterances: list[Utterance], heard: dict[str, str], **more: object) -> Report:
    """The report on a recogniser that writes heard, or where that holds nothing the reference."""

    def hear(utterance: Utterance) -> Transcript:
        said = heard.get(utterance.id, utterance.text)
        if said == "FAIL":
            raise CorruptAudio(f"{utterance.audio}: damaged {HOSTILE}")
        return Transcript((Segment(0.0, 2.0, f" {said}"),), "en", 1.0, 2.0)

    more = {"resamples": 200, **more}
    return evaluate_transcribe(utterances, Recogniser("noisy/1", hear), **more)


def utterance(
    name: str, said: str, audio: Path = Path("/nowhere.wav"), **more: object
) -> Utterance:
    return Utterance(id=name, audio=audio, text=said, language="en", **more)


@pytest.fixture(scope="module")
def report() -> Report:
    utterances = [
        utterance("good", "we walked home again", speaker="anna"),
        utterance("some", "we walked home again", speaker="boris", metadata={"accent": "north"}),
        utterance("worst", "the cat sat on the mat today", speaker="boris"),
        utterance("lost", "nothing came of it", speaker="clara"),
    ]
    heard = {"some": "we talked home again", "worst": "the hat sat mat today and", "lost": "FAIL"}
    return evaluated(utterances, heard, by=["speaker"])


def test_the_page_holds_every_table_of_the_report(report: Report) -> None:
    page = Page(report_page(report, sound=silent))
    for table in report_tables(report):
        assert table.title in page.text
        if table.title == "Most errors":
            continue
        for row in table.rows:
            for cell in row:
                assert html.unescape(text(cell)) in page.text
        assert all(html.unescape(text(line)) in page.text for line in table.lines)
    counts = report.overall.wer.counts
    assert f"{100 * counts.rate:.2f} %" in page.text
    cells = page.all("th")
    assert cells
    assert all(cell.get("scope") in {"col", "row"} for cell in cells)
    assert ("html", {"lang": "en"}) in page.tags
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_it_fetches_nothing_and_runs_nothing(report: Report) -> None:
    source = report_page(report, sound=silent)
    page = Page(source)
    (policy,) = [a["content"] for a in page.all("meta") if a.get("http-equiv")]
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert parts["default-src"] == "'none'"
    assert "script-src" not in parts
    assert parts["media-src"] == "data:"
    (style,) = re.findall(r"<style>(.*?)</style>", source, re.S)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert parts["style-src"] == f"'sha256-{digest}'"
    assert "url(" not in style
    assert "@import" not in style
    allowed = {"src": "data:", "content": "", "href": "#"}
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base", "form"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name != "style"
            if name in allowed:
                assert value.startswith(allowed[name])
    assert "http://" not in source
    assert "https://" not in source


def test_the_worst_come_first_and_failures_are_elsewhere(report: Report) -> None:
    assert [row.id for row in worst_rows(report, 10)] == ["worst", "some"]
    assert [row.id for row in worst_rows(report, 1)] == ["worst"]
    page = Page(report_page(report, sound=silent, worst=1))
    assert len(page.all("article")) == 1
    assert "4 errors in 7 words · speaker: boris" in page.text
    assert not Page(report_page(report, sound=silent, worst=0)).all("article")


def test_errors_are_named_and_as_many_as_were_counted(report: Report) -> None:
    """Letters that are seen, words that are read out, and the counts of the row."""
    row = worst_rows(report, 1)[0]
    page = Page(" ".join(compared(row.reference, row.hypothesis)))
    marks = Counter(re.findall(r"(substitution|deletion|insertion): ", page.text))
    assert marks == {"substitution": 1, "deletion": 2, "insertion": 1}
    assert ErrorCounts(4, 1, 2, 1) == row.words
    letters = [attributes for tag, attributes in page.tags if attributes.get("class") == "mark"]
    assert len(letters) == 4
    assert "Ssubstitution: cat by hat" in page.text
    assert "Ddeletion: on" in page.text
    assert "Iinsertion: and" in page.text
    assert [tag for tag, _ in page.tags if tag in {"del", "ins"}].count("del") == 3


@pytest.mark.parametrize(
    ("reference", "hypothesis", "shown"),
    [
        ("", "", []),
        ("a", "", ["deletion: a"]),
        ("", "b", ["insertion: b"]),
        ("a b", "a b", ["a", "b"]),
        ("<b>", "<i>", ["substitution: <b> by <i>"]),
    ],
)
def test_texts_compared(reference: str, hypothesis: str, shown: list[str]) -> None:
    found = [Page(piece).text.lstrip("SDI") for piece in compared(reference, hypothesis)]
    assert found == shown


def test_a_very_long_text_is_cut() -> None:
    pieces = list(compared("a " * 5000, "a " * 5000))
    assert len(pieces) == 1001
    assert "more" in pieces[-1]


def test_the_spread_counts_every_utterance_with_a_reference(report: Report) -> None:
    def row(errors: int, reference: int) -> Row:
        counts = ErrorCounts(max(0, reference - errors), min(errors, reference), 0)
        more = max(0, errors - reference)
        return replace(report.rows[0], words=replace(counts, insertions=more))

    rows = [row(*each) for each in ((0, 5), (1, 100), (1, 10), (11, 100), (5, 5), (6, 5), (0, 0))]
    found = spread_of(rows)
    assert list(found) == ["0", *(f"to {top}" for top in range(10, 101, 10)), "over 100"]
    wanted = {"0": 1, "to 10": 2, "to 20": 1, "to 100": 1, "over 100": 1}
    assert {name: count for name, count in found.items() if count} == wanted
    rates = [row(errors, 10) for errors in range(11)]
    assert all(count == 1 for name, count in spread_of(rates).items() if name != "over 100")
    page = Page(report_page(report, sound=silent))
    (drawing,) = page.all("svg")
    assert drawing["role"] == "img"
    assert drawing["aria-label"] == "1 of 4 utterances without an error, 0 over 100 %"
    assert len(page.all("rect")) == 12


def players(page: str) -> list[Audio]:
    found = Page(page).all("audio")
    assert all(each["preload"] == "none" and "autoplay" not in each for each in found)
    data = [each["src"].removeprefix("data:audio/mpeg;base64,") for each in found]
    return [read(base64.b64decode(each)) for each in data]


def test_players_hold_the_stretch_that_was_meant(tmp_path: Path, examples: Path) -> None:
    """Two stretches of one file, told apart by pitch; a manifest that names them."""
    rate = 16000
    time = np.arange(4 * rate) / rate
    pitch = np.where(time < 2, 500, 2000)
    samples = (0.5 * np.sin(2 * np.pi * pitch * time)).astype(np.float32)
    write(tmp_path / "both.flac", Audio(samples, rate))
    manifest = tmp_path / "manifest.jsonl"
    stretches = {"low": (0.5, 1.0), "high": (2.5, 1.4)}
    lines = [
        {"audio_filepath": "both.flac", "id": name, "offset": o, "duration": d, "text": "a b c"}
        for name, (o, d) in stretches.items()
    ]
    manifest.write_text("\n".join(map(json.dumps, lines)))

    def hear(_: Utterance) -> Transcript:
        return Transcript((Segment(0.0, 1.0, " x"),), "en", 1.0, 1.0)

    report = evaluate_transcribe(manifest, Recogniser("noisy/1", hear), resamples=200)
    page = report_page(report, seconds=1.2)
    high, low = players(page)  # as many errors: in order of their names
    for audio, hertz, length in ((high, 2000, 1.2), (low, 500, 1.0)):
        spectrum = np.abs(np.fft.rfft(audio.samples))
        assert spectrum.argmax() * audio.sample_rate / audio.samples.size == pytest.approx(
            hertz, abs=2
        )
        assert audio.duration == pytest.approx(length, abs=0.15)
    assert page.count("the first 1.2 s") == 1
    assert report_page(report, seconds=1.2) == page, "the same report gives the same page"


def test_without_a_manifest_the_file_is_played(examples: Path) -> None:
    path = examples / "sense_and_sensibility_0880.flac"
    report = evaluated([utterance("x", "a b c", path)], {"x": "d"})
    (audio,) = players(report_page(report))
    assert audio.duration == pytest.approx(2.99, abs=0.15)
    size = len(report_page(report)) - len(report_page(report, sound=silent))
    assert size < 1.5 * 2.99 * 4000 * 4 / 3 + 500, "32 kbit/s and base64"


def test_sound_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "empty.wav").touch()
    utterances = [
        utterance("missing", "a b c", tmp_path / "missing.wav"),
        utterance("text", "a b c", tmp_path / "text.wav"),
        utterance("empty", "a b c", tmp_path / "empty.wav"),
    ]
    report = evaluated(utterances, dict.fromkeys(("missing", "text", "empty"), "d"))
    page = Page(report_page(report))
    assert not page.all("audio")
    assert page.text.count("its sound is not here") == 1
    assert page.text.count("its sound can't be played") == 2

    def broken(_: Row) -> None:
        raise OSError("the disk is gone")

    assert "the disk is gone" in Page(report_page(report, sound=broken)).text


def test_hostile_manifests_are_only_text(tmp_path: Path) -> None:
    utterances = [
        Utterance(
            id=f"{number}{HOSTILE}",
            audio=Path(f"/{HOSTILE}".replace("\x00", "")),
            text=f"hello {HOSTILE}",
            speaker=HOSTILE,
            language="en",
            metadata={HOSTILE: HOSTILE},
        )
        for number in range(3)
    ]
    heard = {utterances[0].id: f"other {HOSTILE} words", utterances[1].id: "FAIL"}
    report = evaluated(utterances, heard, by=["speaker", HOSTILE], normaliser="none")
    report = replace(report, manifest=f"/x/{HOSTILE}", model=HOSTILE, settings=HOSTILE)
    source = report_page(report)
    page = Page(source)
    assert not page.all("script")
    assert not page.all("img")
    assert page.text.count("alert('x')") > 5
    for char in ("\x00", "\x1b", "\u202e", "\ud800"):
        assert char not in source
    path = tmp_path / "page.html"
    write_page(report, path)
    assert path.read_text(encoding="utf-8") == source


def test_text_of_any_script_stays_as_it_is() -> None:
    for kept in ("naïve", "東京", "می\u200cخواهم", "👩\u200d👩\u200d👧", "ß", "e\u0301"):
        assert text(kept) == kept
    assert text("a\tb\nc\r\nd") == "a b c  d"
    assert text("<&>\"'") == "&lt;&amp;&gt;&quot;&#x27;"
    assert text("x" * 5000) == "x" * 3999 + "…"


def test_odd_reports(report: Report, tmp_path: Path) -> None:
    perfect = evaluated([utterance("x", "a")], {})
    assert "Most errors" not in report_page(perfect)
    nothing = evaluated([utterance("x", "")], {"x": "a"})
    assert "no reference" in report_page(nothing, sound=silent)
    for wrong in ({"worst": -1}, {"worst": 101}, {"seconds": 0}, {"seconds": 1e9}):
        with pytest.raises(InputError, match=f"{next(iter(wrong))} is"):
            report_page(report, **wrong)
    with pytest.raises(InputError, match="can't be written"):
        write_page(report, tmp_path / "no folder" / "x.html", sound=silent)
