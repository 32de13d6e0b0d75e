"""docs/features.md and docs/worked_examples.md run and say what is true."""

import doctest
import re
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"


def test_the_worked_examples_come_out_as_printed() -> None:
    found = doctest.testfile(str(DOCS / "worked_examples.md"), module_relative=False)
    assert found.failed == 0
    assert found.attempted > 40


def test_the_snippets_of_features_run(examples: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(examples.parent)
    blocks = re.findall(r"```python\n(.+?)```", (DOCS / "features.md").read_text(), re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "features.md", "exec"), names)
    printed = capsys.readouterr().out
    assert printed.startswith("(80, ")
    assert "True" in printed
    assert "torch.Size([2, 16000])" in printed


def test_every_public_name_is_on_the_page() -> None:
    from aural.audio import features

    text = (DOCS / "features.md").read_text()
    functions = {name for name in features.__all__ if name.islower()}
    known = {"chroma_filters", "frame", "kaldi_options", "window", "whisper_log_mel"}
    assert functions - known <= set(re.findall(r"\w+", text))
