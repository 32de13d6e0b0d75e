"""Tasks as a sweep judges them: utterances under a condition become one error count each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from aural.errors import AudioError, InputError
from aural.evaluate.recogniser import model_recogniser
from aural.evaluate.sweep import Tally
from aural.evaluate.transcribe import evaluate_transcribe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from aural.data.utterance import Utterance
    from aural.evaluate.conditions import Condition
    from aural.evaluate.sweep import Judge, Sound

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

    scoring holds options of evaluate_transcribe, its seed also that of the distortions. hypotheses
    is a folder that keeps what was recognised, a file for each model and condition, so that a
    stopped sweep goes on. The other options are those of model_recogniser.
    """
    options = dict(scoring or {})

    def judge(utterances: Sequence[Utterance], sound: Sound, condition: Condition) -> Tally:
        kept = hypotheses and _file_of(hypotheses, model, condition)
        report = evaluate_transcribe(
            utterances,
            model_recogniser(
                model,
                language=language,
                beam_size=beam_size,
                device=device,
                compute_type=compute_type,
                threads=threads,
                offline=offline,
                sound=sound,
                condition=f"{condition.name}, seed {options.get('seed', 0)}",
            ),
            hypotheses=kept,
            **options,
        )
        return Tally(
            tuple(float(row.words.errors) for row in report.rows),
            tuple(float(row.words.reference) for row in report.rows),
            failed=len(report.failures),
            detail=report,
        )

    return judge


def language_errors_of(
    model: str, *, device: Device = "auto", compute_type: str = "auto", threads: int = 0
) -> Judge:
    """Utterances whose language tasks.identify_language gets wrong; one without speech counts.

    A Tally's detail is what each was taken for, "" where it failed.
    """

    def judge(utterances: Sequence[Utterance], sound: Sound, _: Condition) -> Tally:
        from aural.tasks.identify_language import identify_language

        heard = []
        for utterance in utterances:
            if not utterance.language:
                raise InputError(
                    f"{utterance.id}: its language is not given, so it can't be judged"
                )
            try:
                guess = identify_language(
                    sound(utterance),
                    model=model,
                    device=device,
                    compute_type=compute_type,
                    threads=threads,
                )
                heard.append(guess.language)
            except (AudioError, OSError):
                heard.append("")
        said = [each.language.partition("-")[0] for each in utterances]
        wrong = tuple(float(a != b) for a, b in zip(said, heard, strict=True))
        return Tally(wrong, (1.0,) * len(said), failed=heard.count(""), detail=tuple(heard))

    return judge


def _file_of(folder: Path, model: str, condition: Condition) -> Path:
    model_name, condition_name = (
        re.sub(r"[^\w.@-]+", "-", name).strip("-") for name in (model, condition.name)
    )
    (folder / model_name).mkdir(parents=True, exist_ok=True)
    return folder / model_name / f"{condition_name}.jsonl"
