"""The public surface: small, sorted, lazy."""

import subprocess
import sys

import pytest

import aural


def test_all_is_small_sorted_and_there():
    assert list(aural.__all__) == sorted(aural.__all__)
    assert len(aural.__all__) <= 20
    for name in aural.__all__:
        assert getattr(aural, name).__doc__
    assert set(aural.__all__) <= set(dir(aural))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'transcibe'"):
        aural.transcibe  # noqa: B018


def test_importing_loads_nothing_heavy():
    code = (
        "import sys, aural, aural.types, aural.errors\n"
        "heavy = {'numpy', 'scipy', 'torch', 'av', 'ctranslate2', 'onnxruntime', 'tokenizers'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "[]"
