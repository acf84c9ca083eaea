"""The dashboard's files: whole, of one language as of the other, and alone on their host."""

import json
import re
from pathlib import Path

import pytest

import app.api
from app.domain.advice import ADVICE
from app.domain.job_kind import JobKind
from app.domain.plan import CloneMethod, CloneStrategy
from app.domain.states import ItemState, JobOutcome, JobState, WaitReason
from app.domain.steps import StepName
from app.store.models.vms import VmState

STATIC = Path(app.api.__path__[0]) / "static"
SCRIPTS = sorted((STATIC / "js").rglob("*.js"))
FILES = [path for path in STATIC.rglob("*") if path.is_file()]
# Made of a word of the code's own at run time: `t(`theme.${now()}`)`.
_MADE = re.compile(r"""\bt\(\s*`([\w.]+)\.\$\{""")
_KEY = re.compile(r"""\bt\(\s*["']([\w.]+)["']""")


def catalogue(language: str) -> dict[str, str]:
    words: dict[str, str] = json.loads((STATIC / "lang" / f"{language}.json").read_text())
    return words


def test_both_languages_have_the_same_keys_and_the_same_places_for_values() -> None:
    english, chinese = catalogue("en"), catalogue("zh")
    # What the API says itself, in English.
    said = {key for key in chinese if key.startswith(("error.", "advice."))}
    assert english.keys() == chinese.keys() - said
    for key, text in english.items():
        assert text.strip(), key
        assert chinese[key].strip(), key
        assert _places(text) == _places(chinese[key]), key


def test_every_text_that_a_page_asks_for_is_in_the_catalogue() -> None:
    words = catalogue("en")
    for script in SCRIPTS:
        text = script.read_text()
        for key in _KEY.findall(text):
            assert key in words or {f"{key}.one", f"{key}.other"} <= words.keys(), (script, key)
        for start in _MADE.findall(text):
            assert any(key.startswith(f"{start}.") for key in words), (script, start)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("itemState", ItemState),
        ("jobState", JobState),
        ("kind", [kind for kind in JobKind if kind is not JobKind.API]),
        ("method", [method for method in CloneMethod if method is not CloneMethod.AUTO]),
        ("mode", CloneMethod),
        ("outcome", JobOutcome),
        ("step", StepName),
        ("strategy", CloneStrategy),
        ("vmState", VmState),
        ("wait", WaitReason),
    ],
)
def test_every_word_of_the_engine_has_its_translation(kind: str, values: list[str]) -> None:
    assert {f"{kind}.{value}" for value in values} <= catalogue("zh").keys()


def test_every_error_and_what_to_do_about_it_have_their_translation() -> None:
    words = {f"{kind}.{code}" for kind in ("error", "advice") for code in ADVICE}
    assert words == {key for key in catalogue("zh") if key.startswith(("error.", "advice."))}


def test_every_module_is_asked_for_at_once() -> None:
    page = (STATIC / "index.html").read_text()
    asked = re.findall(r'modulepreload" href="/static/(\S+)"', page)
    assert sorted(asked) == sorted(str(script.relative_to(STATIC)) for script in SCRIPTS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_names_another_host_or_has_a_script_or_style_of_its_own(path: Path) -> None:
    text = path.read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://", text)
    assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\son\w+=\"|\sstyle=", text)
    assert "innerHTML" not in text


def _places(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))
