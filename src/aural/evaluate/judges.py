"""Tasks as a sweep judges them: utterances under a condition become one error count each."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Any, Literal

from aural.errors import AudioError, EmptyAudio, InputError
from aural.evaluate.hypotheses import read_hypotheses
from aural.evaluate.recogniser import model_recogniser
from aural.evaluate.sweep import Tally
from aural.evaluate.transcribe import evaluate_transcribe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from aural.data.utterance import Utterance
    from aural.evaluate.conditions import Condition
    from aural.evaluate.sweep import Judge, Sound
    from aural.evaluate.transcribe import Recogniser

Device = Literal["auto", "cpu", "cuda"]


def word_errors_of(
    model: str,
    *,
    language: str | None = None,
    beam_size: int = 5,
    device: Device = "auto",
    compute_type: str = "auto",
    threads: int = 0,
    offline: bool = False,
    scoring: Mapping[str, Any] | None = None,
    hypotheses: Path | None = None,
) -> Judge:
    """Word errors of tasks.transcribe with a model; a Tally's detail is the condition's Report.

    scoring holds options of evaluate_transcribe. hypotheses is a folder that keeps what was
    recognised, a file for each model and condition, so that a stopped sweep goes on; what stands
    there and was recognised with other settings is refused. The other options are those of
    model_recogniser.
    """
    options = dict(scoring or {})

    def judge(utterances: Sequence[Utterance], sound: Sound, condition: Condition) -> Tally:
        recogniser = model_recogniser(
            model,
            language=language,
            beam_size=beam_size,
            device=device,
            compute_type=compute_type,
            threads=threads,
            offline=offline,
            sound=sound,
            condition=sound.settings,
        )
        kept = hypotheses and _file_of(hypotheses, model, condition)
        if kept is not None:
            _check_same(kept, recogniser)
        report = evaluate_transcribe(utterances, recogniser, hypotheses=kept, **options)
        return Tally(
            tuple(float(row.words.errors) for row in report.rows),
            tuple(float(row.words.reference) for row in report.rows),
            failures=tuple((row.id, row.error) for row in report.failures),
            about={"settings": report.settings, "normaliser": report.normaliser.name},
            detail=report,
        )

    return judge


def language_errors_of(
    model: str, *, device: Device = "auto", compute_type: str = "auto", threads: int = 0
) -> Judge:
    """Utterances whose language tasks.identify_language gets wrong; one without speech counts.

    A Tally's detail is what each was taken for, "" where no speech was found. Codes are compared
    without their region, in small letters.
    """

    def judge(utterances: Sequence[Utterance], sound: Sound, _: Condition) -> Tally:
        from aural.tasks.identify_language import identify_language

        mute = next((each.id for each in utterances if not each.language), None)
        if mute is not None:
            raise InputError(f"{mute}: its language is not given, so it can't be judged")
        heard, failures = [], []
        for utterance in utterances:
            language = ""
            try:
                language = identify_language(
                    sound(utterance),
                    model=model,
                    device=device,
                    compute_type=compute_type,
                    threads=threads,
                ).language
            except EmptyAudio:
                pass  # wrong, as there is speech in every utterance, but nothing failed
            except (AudioError, OSError) as error:
                failures.append((utterance.id, f"{type(error).__name__}: {error}"))
            heard.append(language)
        said = [re.split("[-_]", each.language.lower())[0] for each in utterances]
        wrong = tuple(float(a != b) for a, b in zip(said, heard, strict=True))
        about = {"settings": sound.settings}
        return Tally(wrong, (1.0,) * len(said), tuple(failures), about, tuple(heard))

    return judge


def _check_same(kept: Path, recogniser: Recogniser) -> None:
    """Raise InputError where kept hypotheses say that they were recognised otherwise."""
    ours = (recogniser.model, recogniser.settings)
    for outcome in read_hypotheses(kept).values():
        theirs = (outcome.model, outcome.settings)
        if any(theirs) and theirs != ours:
            raise InputError(
                f"{kept} was recognised by {' with '.join(theirs)}, not by {' with '.join(ours)}: "
                "keep the hypotheses of every run in a folder of its own"
            )


def _file_of(folder: Path, model: str, condition: Condition) -> Path:
    """A file of its own for each condition, whatever its noise is called."""
    names = [re.sub(r"[^\w.@-]+", "-", name).strip("-")[:80] for name in (model, condition.name)]
    mark = zlib.crc32(condition.name.encode("utf-8", "backslashreplace"))
    try:
        (folder / names[0]).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: no folder to keep hypotheses in: {error.strerror}") from error
    return folder / names[0] / f"{names[1]}-{mark:08x}.jsonl"
