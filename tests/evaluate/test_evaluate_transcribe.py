"""The report: what is counted, what is found, and what is said about it."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path

import jiwer
import jsonschema
import pytest

from aural.data.manifest import LanguageSpan, Utterance
from aural.errors import AudioError, InputError, UnknownName, Unreachable
from aural.evaluate.recogniser import model_recogniser
from aural.evaluate.render import as_markdown, as_text, report_tables
from aural.evaluate.report import Report, report_text
from aural.evaluate.transcribe import Recogniser, evaluate_transcribe
from aural.types import Segment, Transcript

Noisy = Callable[..., Recogniser]


def transcript(text: str) -> Transcript:
    return Transcript((Segment(0.0, 2.0, f" {text}"),), "en", 1.0, 2.0)


def validate(report: Report) -> dict:
    record = json.loads(report_text(report))
    schema = resources.files("aural.evaluate").joinpath("report.schema.json").read_text("utf-8")
    jsonschema.Draft202012Validator.check_schema(json.loads(schema))
    jsonschema.validate(record, json.loads(schema))
    return record


def test_a_perfect_recogniser_has_no_errors(corpus: list[Utterance], perfect: Recogniser) -> None:
    report = evaluate_transcribe(corpus, perfect)
    assert report.overall.wer.counts.rate == report.overall.cer.counts.rate == 0
    assert report.overall.wer.counts.reference == 2400
    assert report.measures()["wer.high"] == 0
    assert report.overall.clusters.unit == "speaker"
    assert report.language_errors == (0, 240)


def test_counts_equal_jiwers_on_the_whole(corpus: list[Utterance], noisy: Noisy) -> None:
    report = evaluate_transcribe(corpus, noisy(lambda _: 0.2), normaliser="none")
    references = [row.reference for row in report.rows]
    expected = jiwer.process_words(references, [row.hypothesis for row in report.rows])
    counts = report.overall.wer.counts
    assert counts.rate == expected.wer
    assert (counts.hits, counts.substitutions, counts.deletions, counts.insertions) == (
        expected.hits, expected.substitutions, expected.deletions, expected.insertions
    )  # fmt: skip
    interval = report.overall.wer.interval
    assert interval is not None
    assert interval.low < 0.2 < interval.high


class TestBreakdown:
    def bad_when(self, **values: str) -> Callable[[Utterance], float]:
        return lambda each: 0.4 if values.items() <= dict(each.metadata).items() else 0.05

    def test_a_planted_bad_slice_is_found(self, corpus: list[Utterance], noisy: Noisy) -> None:
        recogniser = noisy(self.bad_when(accent="southern"))
        report = evaluate_transcribe(corpus, recogniser, by=["noise,accent"])
        by_noise, by_accent = report.breakdowns
        assert by_accent.worst is not None
        assert by_accent.worst.values == ("southern",)
        assert by_accent.gap is not None
        assert 0.28 < by_accent.gap < 0.42
        assert by_noise.gap is not None
        assert by_noise.gap < 0.05
        assert report.measures()["wer.max_slice"] == by_accent.worst.score.wer.counts.rate
        text = as_text(report_tables(report))
        assert "worst southern, best northern, gap" in text
        assert "worst accent: southern" in text.split("By noise")[0]

    def test_a_bad_crossing_is_found_where_neither_column_shows_it_whole(
        self, corpus: list[Utterance], noisy: Noisy
    ) -> None:
        recogniser = noisy(self.bad_when(accent="southern", noise="street"))
        report = evaluate_transcribe(corpus, recogniser, by=["accent*noise", "accent"])
        crossed, by_accent = report.breakdowns
        assert crossed.columns == ("accent", "noise")
        assert len(crossed.slices) == 4
        assert crossed.worst is not None
        assert crossed.worst.values == ("southern", "street")
        assert crossed.gap is not None
        assert by_accent.gap is not None
        assert crossed.gap > 1.5 * by_accent.gap

    def test_slices_add_up_to_the_whole(self, corpus: list[Utterance], noisy: Noisy) -> None:
        report = evaluate_transcribe(corpus, noisy(lambda _: 0.1), by=["accent*noise"])
        for count in ("hits", "substitutions", "deletions", "insertions"):
            parts = [getattr(s.score.wer.counts, count) for s in report.breakdowns[0].slices]
            assert sum(parts) == getattr(report.overall.wer.counts, count)

    def test_a_slice_with_too_few_words_is_shown_but_never_called_worst(
        self, corpus: list[Utterance], noisy: Noisy
    ) -> None:
        odd = replace(corpus[0], metadata={"accent": "rare"})
        recogniser = noisy(self.bad_when(accent="rare"))
        report = evaluate_transcribe([odd, *corpus[1:]], recogniser, by=["accent"])
        (by_accent,) = report.breakdowns
        assert by_accent.slices[0].values == ("rare",)
        assert by_accent.slices[0].guarded
        assert by_accent.worst is not None
        assert by_accent.worst.values != ("rare",)
        assert "never called worst" in as_text(report_tables(report))
        unguarded = evaluate_transcribe(
            [odd, *corpus[1:]], recogniser, by=["accent"],
            min_words=1, min_utterances=1,
        )  # fmt: skip
        assert unguarded.breakdowns[0].worst is not None
        assert unguarded.breakdowns[0].worst.values == ("rare",)

    def test_a_missing_value_is_a_slice_of_its_own(
        self, corpus: list[Utterance], perfect: Recogniser
    ) -> None:
        bare = replace(corpus[0], metadata={})
        report = evaluate_transcribe([bare, *corpus[1:]], perfect, by=["accent"])
        assert ("(none)",) in {each.values for each in report.breakdowns[0].slices}

    def test_an_unknown_column_lists_the_columns(
        self, corpus: list[Utterance], perfect: Recogniser
    ) -> None:
        with pytest.raises(UnknownName, match="accent, language, noise, speaker"):
            evaluate_transcribe(corpus, perfect, by=["accents"])
        with pytest.raises(InputError, match="column names"):
            evaluate_transcribe(corpus, perfect, by=["accent*"])


class TestFailures:
    def test_they_count_as_deleted_and_are_listed(
        self, corpus: list[Utterance], broken: Recogniser
    ) -> None:
        report = evaluate_transcribe(corpus, broken)
        assert [row.id for row in report.failures] == [f"s0-{number}" for number in range(20)]
        assert report.overall.failed == 20
        counts = report.overall.wer.counts
        assert (counts.deletions, counts.errors) == (200, 200)
        assert counts.rate == pytest.approx(200 / 2400)
        assert "CorruptAudio: /nowhere/s0-0.wav: damaged" in as_text(report_tables(report))
        assert report.language_errors == (20, 240)

    def test_missing_files_fail_one_by_one(self, corpus: list[Utterance], examples: Path) -> None:
        def hear(utterance: Utterance) -> Transcript:
            if not utterance.audio.is_file():
                raise AudioError("no such file")
            return transcript(utterance.text)

        there = replace(corpus[0], audio=examples / "sense_and_sensibility_0870.flac")
        report = evaluate_transcribe([there, *corpus[1:3]], Recogniser("m", hear))
        assert [row.id for row in report.failures] == ["s0-1", "s0-2"]

    def test_one_that_takes_too_long_has_failed(self, corpus: list[Utterance]) -> None:
        def hear(utterance: Utterance) -> Transcript:
            end = time.monotonic() + (5 if utterance.id == "s0-1" else 0)
            while time.monotonic() < end:
                time.sleep(0.01)
            return transcript(utterance.text)

        start = time.monotonic()
        report = evaluate_transcribe(corpus[:3], Recogniser("slow", hear), timeout=0.2)
        assert time.monotonic() - start < 3
        assert [(row.id, row.error) for row in report.failures] == [
            ("s0-1", "TimeoutError: took longer than 0.2 s")
        ]

    def test_a_timeout_outside_the_main_thread_is_refused(
        self, corpus: list[Utterance], perfect: Recogniser
    ) -> None:
        caught: list[InputError] = []

        def run() -> None:
            try:
                evaluate_transcribe(corpus, perfect, timeout=1)
            except InputError as error:
                caught.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        assert "main thread" in str(caught[0])

    @pytest.mark.parametrize("error", [Unreachable("no weights"), InputError("beam_size is 0")])
    def test_faults_of_the_run_stop_it(self, corpus: list[Utterance], error: Exception) -> None:
        def hear(_: Utterance) -> Transcript:
            raise error

        with pytest.raises(type(error)):
            evaluate_transcribe(corpus, Recogniser("m", hear))


class TestHypotheses:
    def test_a_second_run_recognises_nothing_and_says_the_same(
        self, corpus: list[Utterance], noisy: Noisy, tmp_path: Path
    ) -> None:
        kept = tmp_path / "h.jsonl"
        first = evaluate_transcribe(corpus, noisy(lambda _: 0.1), hypotheses=kept)

        def refuse(_: Utterance) -> Transcript:
            raise AssertionError("recognised again")

        again = evaluate_transcribe(corpus, Recogniser("other", refuse), hypotheses=kept)
        assert again.model == "noisy/1"
        assert again.rows == first.rows
        assert again.overall == first.overall
        assert (again.speed.peak_memory, again.settings) == (None, "seed 0")

    def test_an_interrupted_run_goes_on_where_it_stopped(
        self, corpus: list[Utterance], noisy: Noisy, tmp_path: Path
    ) -> None:
        whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
        expected = evaluate_transcribe(corpus, noisy(lambda _: 0.1), hypotheses=whole)
        written = whole.read_bytes()
        cut.write_bytes(written[: written.index(b"\n", len(written) // 2) + 40])
        report = evaluate_transcribe(corpus, noisy(lambda _: 0.1), hypotheses=cut)
        assert [row.words for row in report.rows] == [row.words for row in expected.rows]
        assert len(cut.read_text().splitlines()) == len(corpus)
        assert all(json.loads(line)["id"] for line in cut.read_text().splitlines())

    def test_another_systems_text_is_scored_by_id_alone(
        self, corpus: list[Utterance], perfect: Recogniser, tmp_path: Path
    ) -> None:
        kept = tmp_path / "h.jsonl"
        kept.write_text("".join(json.dumps({"id": e.id, "text": e.text}) + "\n" for e in corpus))
        report = evaluate_transcribe(corpus, perfect, hypotheses=kept)
        assert (report.model, report.overall.wer.counts.errors) == ("an unnamed system", 0)
        assert report.speed.real_time_factor is None

    def test_two_systems_are_never_scored_as_one(
        self, corpus: list[Utterance], noisy: Noisy, perfect: Recogniser, tmp_path: Path
    ) -> None:
        kept = tmp_path / "h.jsonl"
        evaluate_transcribe(corpus[:5], perfect, hypotheses=kept)
        with pytest.raises(InputError, match="noisy/1 seed 0; perfect/1"):
            evaluate_transcribe(corpus, noisy(lambda _: 0.1), hypotheses=kept)

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("{}", "with id and text"),
            ('{"id": "a"', "with id and text"),
            ('{"id": "a", "text": 3}', "text must be a string"),
            ('{"id": "a", "text": "", "seconds": -1}', "seconds must be seconds"),
            ('{"id": "ok", "text": ""}', "already given"),
        ],
    )
    def test_a_bad_line_is_named(
        self, corpus: list[Utterance], perfect: Recogniser, tmp_path: Path, line: str, message: str
    ) -> None:
        kept = tmp_path / "h.jsonl"
        kept.write_text(f'{{"id": "ok", "text": "x"}}\n{line}\n{{"id": "z", "text": ""}}\n')
        with pytest.raises(InputError, match=rf"h\.jsonl:2: .*{message}"):
            evaluate_transcribe(corpus, perfect, hypotheses=kept)


class TestCodeSwitching:
    def utterance(self, text: str, *spans: tuple[int, int, str]) -> Utterance:
        marks = tuple(LanguageSpan(*span) for span in spans)
        return Utterance("u", Path("u.wav"), text, spans=marks)

    def report(self, utterance: Utterance, heard: str) -> Report:
        return evaluate_transcribe([utterance], Recogniser("m", lambda _: transcript(heard)))

    def test_errors_belong_to_the_language_of_the_word_they_are_aligned_with(self) -> None:
        mixed = self.utterance(
            "I saw the perro grande in the park", (0, 3, "en"), (3, 5, "es"), (5, 8, "en")
        )
        found = self.report(mixed, "I saw the pero in the big park").code_switching
        assert found is not None
        spanish, english = found.languages["es"], found.languages["en"]
        assert (spanish.hits, spanish.substitutions, spanish.deletions) == (0, 1, 1)
        assert (english.hits, english.insertions, english.errors) == (6, 1, 1)
        assert (found.switches, found.utterances) == (2, 1)
        beside = found.at_switches
        assert (beside.reference, beside.errors) == (4, 2)

    def test_what_is_inserted_at_a_switch_is_an_error_there(self) -> None:
        mixed = self.utterance("hello amigo", (0, 1, "en"), (1, 2, "es"))
        found = self.report(mixed, "hello my amigo").code_switching
        assert found is not None
        assert (found.at_switches.insertions, found.languages["en"].insertions) == (1, 1)

    def test_spans_follow_the_words_through_the_normaliser(self) -> None:
        mixed = self.utterance("don't go, amigo mío!", (0, 2, "en"), (2, 4, "es"))
        mixed = replace(mixed, language="en")
        found = self.report(mixed, "Do not go amigo mio").code_switching
        assert found is not None
        assert {name: each.reference for name, each in found.languages.items()} == {
            "en": 3,
            "es": 2,
        }
        assert sum(each.errors for each in found.languages.values()) == 0

    def test_without_marks_there_is_no_such_table(
        self, corpus: list[Utterance], perfect: Recogniser
    ) -> None:
        assert evaluate_transcribe(corpus, perfect).code_switching is None


class TestReport:
    def test_it_meets_its_schema(self, corpus: list[Utterance], broken: Recogniser) -> None:
        mixed = replace(corpus[25], spans=(LanguageSpan(0, 4, "en"), LanguageSpan(4, 10, "cy")))
        report = evaluate_transcribe([*corpus[:25], mixed], broken, by=["accent", "accent*noise"])
        record = validate(report)
        assert record["schema_version"] == 1
        assert record["overall"]["wer"]["rate"] == report.overall.wer.counts.rate
        assert len(record["failures"]) == 20
        assert len(record["utterances"]) == 26
        assert record["code_switching"]["switches"] == 1

    def test_words_where_none_were_said_have_no_rate_and_still_meet_it(self) -> None:
        silent = Utterance("u", Path("u.wav"), "")
        report = evaluate_transcribe([silent], Recogniser("m", lambda _: transcript("thank you")))
        assert report.overall.wer.counts.insertions == 2
        assert validate(report)["overall"]["wer"]["rate"] is None
        assert "no reference" in as_text(report_tables(report))

    def test_the_schema_refuses_a_report_of_another_shape(
        self, corpus: list[Utterance], perfect: Recogniser
    ) -> None:
        record = json.loads(report_text(evaluate_transcribe(corpus, perfect)))
        schema = json.loads(
            resources.files("aural.evaluate").joinpath("report.schema.json").read_text("utf-8")
        )
        for wrong in (record | {"schema_version": 2}, record | {"more": 1}):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(wrong, schema)

    def test_few_voices_are_said(self, corpus: list[Utterance], perfect: Recogniser) -> None:
        report = evaluate_transcribe(corpus[:180], perfect)
        assert report.overall.clusters.unit == "recording"
        for text in (as_text(report_tables(report)), as_markdown(report_tables(report))):
            assert "9 voices: does not generalise to others" in text

    def test_a_slice_of_few_voices_says_so_where_the_whole_has_enough(
        self, corpus: list[Utterance], perfect: Recogniser
    ) -> None:
        report = evaluate_transcribe(corpus, perfect, by=["accent"])
        assert report.overall.clusters.unit == "speaker"
        lines = as_text(report_tables(report)).splitlines()
        (southern,) = (line for line in lines if line.strip().startswith("southern"))
        assert southern.endswith("4 voices: does not generalise to others")

    def test_the_normaliser_is_named_and_chosen_by_language(
        self, corpus: list[Utterance], perfect: Recogniser
    ) -> None:
        english = evaluate_transcribe(corpus[:2], perfect)
        assert english.normaliser.name == "whisper-english"
        assert english.normaliser.fingerprint in as_text(report_tables(english))
        welsh = [replace(corpus[0], language="cy"), corpus[1]]
        assert evaluate_transcribe(welsh, perfect).normaliser.name == "whisper-basic"

    def test_hostile_names_move_no_cursor_and_break_no_table(self, perfect: Recogniser) -> None:
        evil = Utterance("a|b\x1b[2J\n# c", Path("x.wav"), "one two", metadata={"k": "\x07|"})
        wrong = Recogniser("m", lambda _: transcript("three \x1b[1m"))
        tables = report_tables(evaluate_transcribe([evil], wrong, by=["k"]))
        for text in (as_text(tables), as_markdown(tables)):
            assert "\x1b" not in text
            assert "\x07" not in text
            assert "\n# c" not in text
        assert r"a\|b" in as_markdown(tables)

    @pytest.mark.parametrize(
        "options",
        [{"level": 1}, {"resamples": 5}, {"timeout": 0}, {"min_words": -1}, {"normaliser": "x"}],
    )
    def test_options_out_of_range_are_refused_before_anything_is_recognised(
        self, corpus: list[Utterance], options: dict
    ) -> None:
        def refuse(_: Utterance) -> Transcript:
            raise AssertionError("recognised")

        with pytest.raises(InputError):
            evaluate_transcribe(corpus, Recogniser("m", refuse), **options)

    def test_an_id_twice_is_refused(self, corpus: list[Utterance], perfect: Recogniser) -> None:
        with pytest.raises(InputError, match="id of its own"):
            evaluate_transcribe([corpus[0], corpus[0]], perfect)


def test_the_real_model_on_real_speech(examples: Path) -> None:
    report = evaluate_transcribe(examples / "manifest.jsonl", model_recogniser("whisper/base"))
    assert report.overall.wer.counts.rate < 0.1
    assert (report.overall.failed, report.overall.wer.counts.reference) == (0, 44)
    assert report.language_errors == (0, 3)
    assert report.speed.audio_seconds == pytest.approx(15.39, abs=0.05)
    assert report.speed.peak_memory is not None
    assert report.speed.peak_memory > 80_000_000
    assert len(report.weights["model.bin"]) == 64
    validate(report)
