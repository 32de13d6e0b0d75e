"""Judges: a task's errors, one count an utterance, under real distortions of real speech."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from aural.audio.augment.level import active_speech_level, rms_db
from aural.audio.augment.room import Room
from aural.audio.read import read
from aural.audio.write import write
from aural.data.manifest import read_manifest
from aural.data.sound import sound_of
from aural.errors import AudioError, EmptyAudio, InputError, UnknownName
from aural.evaluate import judges
from aural.evaluate.conditions import AS_RECORDED, Condition, Grid
from aural.evaluate.distort import Distortions
from aural.types import Audio, LanguageGuess, Segment, Tag, Transcript

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aural.data.utterance import Utterance


@pytest.fixture
def utterances(examples: Path) -> list[Utterance]:
    return read_manifest(examples / "manifest.jsonl")


class TestLanguage:
    @pytest.fixture
    def heard(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
        """Utterance's path -> the language it is taken for; "" where no speech is found."""
        from aural.tasks import identify_language as task

        told: dict[str, str] = {}

        def identify(source: Path, **_: object) -> LanguageGuess:
            language = told.get(str(source), "en")
            if not language:
                raise EmptyAudio("no speech")
            return LanguageGuess((Tag(language, 1.0),))

        monkeypatch.setattr(task, "identify_language", identify)
        return told

    def test_a_wrong_language_and_no_speech_are_errors(
        self, utterances: list[Utterance], heard: dict[str, str]
    ) -> None:
        heard[str(utterances[0].audio)] = "fr"
        heard[str(utterances[1].audio)] = ""
        utterances[2] = replace(utterances[2], language="EN_us")
        heard[str(utterances[2].audio)] = "en"
        sound = Distortions(utterances)(AS_RECORDED)
        tally = judges.language_errors_of("whisper/base")(utterances, sound, AS_RECORDED)
        assert tally.errors == (1, 1, 0)
        assert tally.references == (1, 1, 1)
        assert not tally.failures
        assert tally.detail == ("fr", "", "en")

    def test_a_language_that_is_not_given_can_not_be_judged(
        self, utterances: list[Utterance], heard: dict[str, str]
    ) -> None:
        mute = [replace(utterances[0], language="")]
        sound = Distortions(mute)(AS_RECORDED)
        with pytest.raises(InputError, match="not given"):
            judges.language_errors_of("whisper/base")(mute, sound, AS_RECORDED)


CONDITIONS = (
    Condition(rt60=0.3, distance=2.0),
    Condition(rt60=0.0),
    Condition(distance=1.0),
    Condition(noise="white", snr=5.0),
    Condition(noise="babble", snr=5.0),
    Condition(level=-40.0),
    Condition(bandwidth=8000),
    Condition(codec="opus@12k"),
    Condition(codec="telephone"),
    Condition(rt60=0.3, noise="pink", snr=10.0, level=-30.0, bandwidth=8000, codec="g711-mu"),
)


class TestDistortions:
    @pytest.mark.parametrize("condition", CONDITIONS, ids=lambda each: each.name)
    def test_the_same_seed_does_the_same_to_a_sound_of_the_same_length(
        self, utterances: list[Utterance], condition: Condition
    ) -> None:
        first, again = (Distortions(utterances)(condition)(utterances[1]) for _ in range(2))
        plain = read(sound_of(utterances[1]))
        assert isinstance(first, Audio)
        assert isinstance(again, Audio)
        assert first.samples.tobytes() == again.samples.tobytes()
        assert first.samples.shape == plain.samples.shape
        assert first.sample_rate == plain.sample_rate
        assert np.abs(first.samples).max() <= 1
        assert not np.array_equal(first.samples, plain.samples)

    def test_another_seed_draws_another_noise(self, utterances: list[Utterance]) -> None:
        condition = Condition(noise="babble", snr=0.0)
        one, other = (
            Distortions(utterances, seed=seed)(condition)(utterances[0]).samples for seed in (0, 1)
        )
        assert not np.array_equal(one, other)

    def test_at_every_ratio_it_is_the_same_noise_at_another_level(
        self, utterances: list[Utterance]
    ) -> None:
        plain = read(sound_of(utterances[0])).samples
        distort = Distortions(utterances)
        noises = [
            distort(Condition(noise="white", snr=snr))(utterances[0]).samples - plain
            for snr in (30.0, 20.0)
        ]
        assert np.corrcoef(*noises)[0, 1] > 0.9999
        ratio = 20 * np.log10(np.linalg.norm(noises[1]) / np.linalg.norm(noises[0]))
        assert ratio == pytest.approx(10, abs=0.01)

    def test_a_rate_above_the_recordings_own_is_a_file_of_that_rate(
        self, utterances: list[Utterance]
    ) -> None:
        heard = Distortions(utterances)(Condition(bandwidth=44_100))(utterances[0])
        assert heard.sample_rate == 44_100
        assert heard.duration == pytest.approx(read(sound_of(utterances[0])).duration, abs=1e-3)

    def test_recordings_of_ones_own_are_noises(
        self, utterances: list[Utterance], examples: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "LICENCE").write_text("public domain")
        (tmp_path / "a.flac").write_bytes(utterances[2].audio.read_bytes())
        for noise in (str(utterances[2].audio), str(tmp_path)):
            heard = Distortions(utterances)(Condition(noise=noise, snr=0.0))(utterances[0])
            assert heard.samples.size

    @pytest.mark.parametrize(
        ("condition", "message"),
        [
            (Condition(noise="thunder", snr=0.0), "unknown noise"),
            (Condition(codec="realaudio"), "unknown codec"),
            (Condition(codec="opus@1k"), "bit_rate is 1000"),
            (Condition(codec="telephone@8k"), "no bit rate"),
            (Condition(noise="white"), "belong together"),
        ],
    )
    def test_what_can_not_be_done_is_told_before_the_first_utterance(
        self, utterances: list[Utterance], condition: Condition, message: str
    ) -> None:
        make: Callable[[Condition], object] = Distortions(utterances)
        with pytest.raises((UnknownName, InputError), match=message):
            make(condition)

    def test_babble_of_one_utterance_is_told(self, utterances: list[Utterance]) -> None:
        with pytest.raises(InputError, match="other utterances"):
            Distortions(utterances[:1])(Condition(noise="babble", snr=0.0))

    def test_the_ratio_is_of_active_speech_over_the_noise(
        self, utterances: list[Utterance]
    ) -> None:
        plain = read(sound_of(utterances[0]))
        heard = Distortions(utterances)(Condition(noise="white", snr=12.0))(utterances[0])
        speech = active_speech_level(plain.samples, plain.sample_rate).db
        assert speech - rms_db(heard.samples - plain.samples) == pytest.approx(12, abs=0.01)

    def test_what_can_not_be_heard_neither_babbles_nor_stops_the_others(
        self, utterances: list[Utterance], tmp_path: Path
    ) -> None:
        write(tmp_path / "silence.wav", Audio(np.zeros(16000, np.float32), 16000))
        silent = replace(utterances[0], id="silent", audio=tmp_path / "silence.wav")
        missing = replace(utterances[0], id="missing", audio=tmp_path / "missing.wav")
        hear = Distortions([*utterances, silent, missing])(Condition(noise="babble", snr=0.0))
        assert np.isfinite(hear(utterances[0]).samples).all()
        for odd in (silent, missing):
            with pytest.raises(AudioError, match=r"silen|no such file"):
                hear(odd)

    def test_only_strangers_babble(self, utterances: list[Utterance]) -> None:
        named = [replace(each, speaker=f"s{n}") for n, each in enumerate(utterances)]
        own = replace(named[0], id="own")
        pool = Distortions([*named, own])(Condition(noise="babble", snr=0.0))
        without = Distortions(named)(Condition(noise="babble", snr=0.0))
        one, other = (each(named[0]).samples for each in (pool, without))
        assert np.array_equal(one, other)

    def test_a_room_has_one_size_at_every_distance(
        self, utterances: list[Utterance], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = []
        drawn = Room.draw

        def draw(room: Room, *given: object) -> object:
            seen.append(room.size_m)
            return drawn(room, *given)  # type: ignore[arg-type]

        monkeypatch.setattr(Room, "draw", draw)
        distort = Distortions(utterances)
        for condition in Grid(rt60=(0.0, 0.6), distance=(0.5, 7.0)).conditions()[1:]:
            distort(condition)(utterances[1])
        assert len(seen) == 4
        assert len(set(seen)) == 1


class TestWords:
    @pytest.fixture
    def transcribed(self, monkeypatch: pytest.MonkeyPatch) -> list[object]:
        """What tasks.transcribe was given; it hears the second half of every text."""
        from aural import models
        from aural.tasks import transcribe as task

        given: list[object] = []

        def transcribe(source: object, **_: object) -> Transcript:
            given.append(source)
            return Transcript((Segment(0, 1, " young man"),), "en", 1.0, 1.0)

        monkeypatch.setattr(task, "transcribe", transcribe)
        monkeypatch.setattr(models, "load", lambda *_, **__: None)
        return given

    def test_the_task_hears_the_distorted_sound(
        self, utterances: list[Utterance], transcribed: list[object]
    ) -> None:
        sound = Distortions(utterances)(Condition(level=-40.0))
        tally = judges.word_errors_of("whisper/base")(utterances, sound, Condition(level=-40.0))
        assert all(isinstance(each, Audio) for each in transcribed)
        assert tally.references == tuple(len(each.text.split()) for each in utterances)
        assert min(tally.errors) >= 1

    def test_a_silent_utterance_fails_and_the_others_do_not(
        self, utterances: list[Utterance], transcribed: list[object], tmp_path: Path
    ) -> None:
        write(tmp_path / "silence.wav", Audio(np.zeros(16000, np.float32), 16000))
        silent = replace(utterances[0], id="silent", audio=tmp_path / "silence.wav")
        condition = Condition(noise="white", snr=10.0)
        sound = Distortions(utterances)(condition)
        tally = judges.word_errors_of("whisper/base")([*utterances, silent], sound, condition)
        assert [name for name, _ in tally.failures] == ["silent"]

    def test_hypotheses_of_another_seed_are_refused_and_of_the_same_kept(
        self, utterances: list[Utterance], transcribed: list[object], tmp_path: Path
    ) -> None:
        condition = Condition(noise="white", snr=10.0)
        judge = judges.word_errors_of("whisper/base", hypotheses=tmp_path)
        first = judge(utterances, Distortions(utterances)(condition), condition)
        heard = len(transcribed)
        again = judge(utterances, Distortions(utterances)(condition), condition)
        assert again.errors == first.errors
        assert len(transcribed) == heard
        with pytest.raises(InputError, match="folder of its own"):
            judge(utterances, Distortions(utterances, seed=1)(condition), condition)

    def test_noises_of_like_names_have_files_of_their_own(
        self, utterances: list[Utterance], transcribed: list[object], tmp_path: Path
    ) -> None:
        for name in ("rain 1.flac", "rain-1.flac"):
            (tmp_path / name).write_bytes(utterances[1].audio.read_bytes())
            condition = Condition(noise=str(tmp_path / name), snr=10.0)
            judge = judges.word_errors_of("whisper/base", hypotheses=tmp_path / "kept")
            judge(utterances, Distortions(utterances)(condition), condition)
        assert len(transcribed) == 2 * len(utterances)
