"""Lacuna's own messages, typed from the page that documents them: what is not on the page is refused."""

from typing import Literal, Optional

import attrs
import cattrs
from lsprotocol import types

STATUS = "lacuna/status"
FRAME = "lacuna/frame"
DOCUMENT = "lacuna/document"
COMMANDS = {
    "lacuna.fill",
    "lacuna.refine",
    "lacuna.toggle",
    "lacuna.status",
    "lacuna.restartEngine",
    "lacuna.perform",
}
ACTION_KINDS = {
    "refactor.rewrite.lacuna.fill",
    "refactor.rewrite.lacuna.refine",
    "refactor.rewrite.lacuna.body",
    "quickfix.lacuna.repair",
}


@attrs.frozen
class Model:
    source: str
    parameters: int
    device: str
    precision: str
    threads: int


@attrs.frozen
class Step:
    step: int
    stepsMax: int


@attrs.frozen
class Counters:
    requests: int
    inferencesStarted: int
    inferencesFinished: int
    inferencesCancelled: int
    typedThrough: int
    unsure: int
    engineRestarts: int
    panics: int


@attrs.frozen
class Last:
    promptTokens: int
    cachedTokens: int
    planMs: float
    waitMs: float
    engineMs: float
    totalMs: float


@attrs.frozen
class Status:
    state: Literal["starting", "ready", "busy", "disabled", "error"]
    message: str
    counters: Counters
    model: Optional[Model] = None
    step: Optional[Step] = None
    last: Optional[Last] = None


@attrs.frozen
class Cell:
    text: str
    state: Literal["noise", "accepted", "clamped"]
    entropy: float


@attrs.frozen
class Frame:
    uri: str
    version: int
    range: types.Range
    canvas: int
    block: int
    step: int
    stepsMax: int
    cells: list[Cell]


@attrs.frozen
class Document:
    uri: str
    languageId: str
    version: int
    text: str


_converter = cattrs.Converter(forbid_extra_keys=True)


def _exactly(*kinds):
    def check(value, _):
        if type(value) not in kinds:
            raise TypeError(f"expected {' or '.join(kind.__name__ for kind in kinds)}, found {value!r}")
        return value

    return check


# cattrs converts what it can; a text where a number belongs is an error here.
_converter.register_structure_hook(str, _exactly(str))
_converter.register_structure_hook(int, _exactly(int))
_converter.register_structure_hook(float, _exactly(float, int))


def read(message, kind):
    """The message as `kind`, or an error that says what is wrong with it."""
    return _converter.structure(message, kind)
