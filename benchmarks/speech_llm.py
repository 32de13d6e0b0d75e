"""What a projector learns between an encoder and a language model, on 16 minutes of one voice.

    python benchmarks/speech_llm.py [NAME ...] [--again]

Each row is recipe speech_llm trained in two parts, as experiments/hear_first.yaml says, one thread
each: three encoders under one projector, three projectors on one encoder, and fewer utterances; the
same steps, seed and test texts for all. Encoder and language model stay as they are; what a frozen
encoder says of a recording is kept. Runs are kept in the cache, and one that was broken off goes on
(--again begins anew). Without names all are done; others keep their figures. The corpus is
asterisk-en (CC-BY-SA-3.0), telephone prompts of one voice, and no text that is judged on was
trained on; the encoders are Whisper's (MIT) and hama's (Apache-2.0), the language
model SmolLM2 135M (Apache-2.0).
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from machine import RESULTS, measured_earlier
from recipes import FOLDER, Run, asked, keep, points, shown, train

from aural.train.compose import compose
from aural.train.judging import Judge, text_counts
from aural.train.material import gather

RECIPE, FIRST = "speech_llm", "+experiments=hear_first"
RESULT = RESULTS / "speech_llm.json"
ROWS: dict[str, tuple[str, ...]] = {
    "whisper/base, mlp": (),
    "whisper/tiny.en, mlp": ("model.config.encoder=whisper/tiny.en",),
    "conformer/hama, mlp": ("model.config.encoder=conformer/hama",),
    "whisper/base, swiglu": ("model.config.projector=swiglu",),
    "whisper/base, qformer": ("model.config.projector=qformer",),
    "220 utterances": ("data.split.most=220",),
    "110 utterances": ("data.split.most=110",),
}
"""By name: what is laid over the recipe, in both parts."""
BASE = next(iter(ROWS))


def runs(name: str) -> dict[str, Run]:
    """Both trainings of a row by the name of their folder, the first one first."""
    told = ROWS[name]
    folder = "speech-" + "-".join("".join(c if c.isalnum() else " " for c in name).split())
    first, second = f"{folder}-first", folder
    return {
        first: Run(f"{name}: hearing", RECIPE, (FIRST, *told)),
        second: Run(name, RECIPE, told, after=first),
    }


def row(name: str, *, again: bool) -> dict[str, Any] | None:
    """What came of a row, with the minutes and commands of both parts; None where one failed."""
    done = []
    for folder, run in runs(name).items():
        found = train(folder, run, again=again)
        if found is None:
            return None
        done.append(found)
    first, second = done
    return {
        **second,
        "folder": [*runs(name)][1],
        "commands": [first["command"], second["command"]],
        "minutes": [first["minutes"], second["minutes"]],
        "differences": differences([*runs(name)][1]),
    }


def differences(folder: str) -> dict[str, Any]:
    """The row's word error rate less that of the first row and less its own on another's sound,
    paired by text."""
    result = json.loads((FOLDER / folder / "result.json").read_text(encoding="utf-8"))
    own = {"shuffled": result["baselines"]["shuffled"]["difference"]["wer"]}
    base = [*runs(BASE)][1]
    if folder == base:
        return own
    experiment = compose(RECIPE)
    test = gather(experiment.data, experiment.train.seed).part("test")
    judge = Judge(test, experiment.judge)
    counts = []
    for each in (folder, base):
        lines = (FOLDER / each / "heard.jsonl").read_text(encoding="utf-8").splitlines()
        heard = {line["id"]: (line["text"], line["heard"]) for line in map(json.loads, lines)}
        counts.append(text_counts(*zip(*(heard[said.id] for said in test), strict=True)))
    return own | {"first": judge.differences(*counts)["wer"]}


def page(result: Mapping[str, Any]) -> str:
    """A row a training, and the two commands of each."""
    from report import table

    rows = []
    for name, each in result["rows"].items():
        data, less = each["data"]["train"], each["differences"]
        rows.append(
            [
                name,
                f"{data['utterances']} ({data['seconds'] / 60:.1f} min)",
                f"{each['trained']:,}",
                shown(each["figures"]["wer"]),
                shown(each["figures"]["cer"]),
                shown(each["baselines"]["majority"]["figures"]["wer"]),
                points(less["shuffled"]),
                points(less["first"]) if "first" in less else "",
                " + ".join(f"{minutes:.1f}" for minutes in each["minutes"]),
            ]
        )
    header = (
        "row | trained on | weights trained | WER, % | CER, % | majority's WER | less shuffled "
        "sound | less the first row | minutes"
    )
    tested = next(iter(result["rows"].values()))["data"]["test"]
    commands = [
        f"{name}: `{first}`, then `{second}`  "
        for name, each in result["rows"].items()
        for first, second in [each["commands"]]
    ]
    return "\n\n".join(
        filter(
            None,
            [
                f"Judged on {tested['utterances']} prompts ({tested['seconds'] / 60:.1f} min) of "
                "the same voice, whose texts were not trained on. `shuffled sound`: the same "
                "network hearing another prompt for each text; differences are in points of WER, "
                "paired by text, 95 %. Errors above 100 % are words put where none were said. "
                "Minutes are those of both parts of the training, the second run of the language "
                "model.",
                table(header, rows),
                "\n".join(commands),
                "One voice: nothing is known of others. No published weights of such a projector "
                "are at hand to set beside it.",
                measured_earlier(result),
            ],
        )
    )


def main() -> None:
    """Train what is asked for, keep the rest."""
    told = asked(__doc__, ROWS)
    for name in told.names:
        found = row(name, again=told.again)
        if found is None:
            print(f"{name} failed", file=sys.stderr)
            continue
        keep(name, found, ROWS, RESULT)


if __name__ == "__main__":
    main()
