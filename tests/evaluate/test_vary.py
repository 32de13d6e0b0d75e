"""One part varied: the runs are real, on a language model and encoders in miniature."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jiwer
import pytest

pytest.importorskip("hydra")

import torch
from click.testing import CliRunner

from aural.cli.main import cli
from aural.errors import AuralError, InputError, UnknownName
from aural.evaluate import vary as module
from aural.evaluate.render import as_markdown, as_text
from aural.evaluate.vary import check_failures, save_curves, varied_table, vary
from aural.models.conformer import VARIANTS, build
from aural.nn.exported import Exported, FeatureOptions, export
from aural.text.tokens import characters


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower with more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def conformer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a conformer as training writes it."""
    directory = tmp_path_factory.mktemp("conformer") / "model"
    config = VARIANTS["test"].config
    torch.manual_seed(1)
    about = Exported("conformer", vars(config), FeatureOptions(n_mels=8), characters("abcdefghijk"))
    export(directory, build(config), about)
    return f"conformer@{directory}"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Runs are done in this process; what they were told."""
    told: list[Sequence[str]] = []

    def child(arguments: Sequence[str], say: Callable[[str], None]) -> tuple[str, float, int]:
        told.append(arguments)
        result = CliRunner().invoke(cli, list(arguments))
        last = result.stderr.strip().splitlines()[-1].removeprefix("aural: ")
        return (last if result.exit_code else ""), 1.5, 3 << 20

    monkeypatch.setattr(module, "_child", child)
    return told


def word_error_rate(heard: dict[str, tuple[str, str]]) -> float:
    return jiwer.wer([text for text, _ in heard.values()], [text for _, text in heard.values()])


@pytest.mark.usefixtures("here")
def test_encoders_are_compared_on_the_same_texts(
    speech_llm_recipe: str, conformer: str, tmp_path: Path
) -> None:
    """Errors and their difference against jiwer's, of what was written to the disk."""
    values = ["log-mel", conformer, "silero/16k"]
    found = vary(speech_llm_recipe, "encoder", values, ["train.steps=4"], tmp_path / "runs")
    assert [each.value for each in found.choices] == values
    first, second, third = found.choices
    for each in (first, second):
        assert {text.strip() for text, _ in each.heard.values()} == {
            "he was not an",
            "rather cold hearted",
        }
        assert each.result["figures"]["wer"]["value"] == pytest.approx(word_error_rate(each.heard))
        assert [step for step, _ in each.curve] == [1, 2, 3, 4]
        assert each.result["training"]["sound_per_second"] > 0
    gained = word_error_rate(second.heard) - word_error_rate(first.heard)
    assert found.differences[conformer]["value"] == pytest.approx(gained)
    frozen = second.result["parameters"] - second.result["trained"]
    assert first.result["parameters"] == first.result["trained"]
    assert frozen == sum(each.numel() for each in build(VARIANTS["test"].config).parameters())
    assert "no encoder" in third.error
    assert "silero/16k" not in found.differences
    check_failures(found)
    table = as_text([varied_table(found)])
    for cell in (
        "silero/16k failed: silero/16k has no encoder",
        f"{first.result['trained']:,}",
        "3 MiB",
    ):
        assert cell in table
    assert "former WER" not in table
    written = json.loads(json.dumps(found.as_json()))
    assert [each["error"] != "" for each in written["choices"]] == [False, False, True]
    save_curves(found, tmp_path / "curves.svg")
    assert (tmp_path / "curves.svg").stat().st_size > 1000


@pytest.mark.usefixtures("here")
def test_adaptations_are_measured_on_the_former_job(
    speech_llm_recipe: str, conformer: str, tmp_path: Path
) -> None:
    """Of an encoder whose family can't be given another one: how far its states have moved."""
    overrides = [f"model.config.encoder='{conformer}'", "judge.shuffled=false"]
    found = vary(
        speech_llm_recipe, "adaptation", ["frozen", "lora", "full"], overrides, tmp_path / "runs"
    )
    frozen, lora, full = (each.former for each in found.choices)
    assert frozen["encoder"] == conformer
    assert frozen["moved"] == 0 < min(lora["moved"], full["moved"])
    assert lora["before"] is lora["after"] is None
    trained = [each.result["trained"] for each in found.choices]
    assert trained[0] < trained[1] < trained[2]
    lora_weights = 2 * 4 * 2 * 16 * 8  # blocks, projections, two matrices, width, rank
    assert trained[1] - trained[0] == lora_weights
    table = as_markdown([varied_table(found)])
    assert "| 0.000 |" in table
    assert "states moved" in table
    assert "both measured on the test set" in table


def test_what_is_finished_is_only_read(
    speech_llm_recipe: str, here: list[Sequence[str]], tmp_path: Path
) -> None:
    broken = module._child

    def interrupted(*given: Any) -> Any:
        if len(here) == 1:
            (tmp_path / "runs/swiglu").mkdir()
            raise KeyboardInterrupt
        return broken(*given)

    module._child = interrupted
    given = (speech_llm_recipe, "projector", ["mlp", "swiglu"], ["judge.shuffled=false"])
    with pytest.raises(KeyboardInterrupt):
        vary(*given, tmp_path / "runs")
    module._child = broken
    with pytest.raises(InputError, match="is not empty; go on with --resume"):
        vary(*given, tmp_path / "runs")
    before = (tmp_path / "runs/mlp/result.json").read_bytes()
    found = vary(*given, tmp_path / "runs", resume=True)
    assert [arguments[-1] for arguments in here] == [str(tmp_path / "runs/mlp"), "--resume"]
    assert (tmp_path / "runs/mlp/result.json").read_bytes() == before
    assert not any(each.error for each in found.choices)
    again = vary(*given, tmp_path / "runs", resume=True)
    assert len(here) == 2
    assert again.as_json() == found.as_json()
    other = vary(*given[:3], ["train.seed=4", *given[3]], tmp_path / "runs", resume=True)
    assert len(here) == 2
    assert all("a run of other settings" in each.error for each in other.choices)
    with pytest.raises(AuralError, match=r"no choice could be trained.*other settings"):
        check_failures(other)


def test_a_comparison_begins_with_what_another_left(
    speech_llm_recipe: str, here: list[Sequence[str]], tmp_path: Path
) -> None:
    values, quick = ["mlp", "swiglu"], ["judge.shuffled=false", "train.steps=2"]
    first = tmp_path / "first"
    vary(speech_llm_recipe, "projector", values, quick, first)
    begun = [*quick, f"model.start={first}/{{folder}}/model"]
    found = vary(speech_llm_recipe, "projector", values, begun, tmp_path / "second")
    assert not any(each.error for each in found.choices)
    for value, told in zip(values, here[2:], strict=True):
        assert f"model.start={first}/{value}/model" in told


@pytest.mark.parametrize(
    ("part", "values", "overrides", "message"),
    [
        ("decodr", ["a", "b"], [], "unknown part to vary 'decodr'"),
        ("projector", ["mlp"], [], "mlp: give two or more, each once"),
        ("projector", ["mlp", "mlp"], [], "give two or more, each once"),
        ("projector", ["mlp", ""], [], "'' is no value"),
        ("projector", ["mlp", "x'y"], [], "is no value to vary a part by"),
        ("projector", ["mlp", "${oc.env:HOME}"], [], "is no value to vary a part by"),
        ("projector", ["mlp", "swiglu"], ["model.config.projector=mlp"], "is what is varied"),
        ("projector", ["mlp", "swiglu"], ["train.stepps=3"], r"nearest is train\.steps"),
    ],
)
def test_what_can_not_be_compared(
    speech_llm_recipe: str,
    part: str,
    values: list[str],
    overrides: list[str],
    message: str,
    tmp_path: Path,
) -> None:
    with pytest.raises((InputError, UnknownName), match=message):
        vary(speech_llm_recipe, part, values, overrides, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_recipe_without_the_part(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no 'model\.config\.projector'"):
        vary("digits", "projector", ["mlp", "swiglu"], [], tmp_path)


def test_no_two_runs_share_a_folder() -> None:
    names = module._folders(["whisper/base", "whisper-base", "Whisper/Base", "..", "/", "a" * 300])
    assert len({name.lower() for name in names}) == 6
    assert names[0] == "whisper-base"
    assert all(name and not name.startswith(".") and len(name) < 120 for name in names)
