"""What this suite would notice: a server that strays from the protocol must not pass it."""

import pytest
from lsprotocol import types
from pygls.protocol.json_rpc import JsonRPCResponseMessage

import own_messages
from session import strict_converter
from text import Text

EDIT = {"range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}, "newText": "a"}
COUNTERS = {
    "requests": 0,
    "inferencesStarted": 0,
    "inferencesFinished": 0,
    "inferencesCancelled": 0,
    "typedThrough": 0,
    "unsure": 0,
    "engineRestarts": 0,
    "panics": 0,
}


def answer(result) -> dict:
    return {"jsonrpc": "2.0", "id": 1, "result": result}


@pytest.mark.parametrize(
    "kind, result",
    [
        (types.InlineCompletionResponse, {"items": [{"insertTxt": "a"}]}),
        (types.InlineCompletionResponse, {"items": [{"insertText": "a", "detail": "b"}]}),
        (types.CompletionResponse, {"isIncomplete": True, "items": [{"label": "a", "textEdit": EDIT["range"]}]}),
        (types.CodeActionResponse, [{"title": "a", "kind": "quickfix", "dta": 1}]),
        (types.CodeActionResponse, [{"title": "a", "command": {"title": "a"}}]),
        (types.CodeActionResolveResponse, {"title": "a", "edit": {"documentChanges": [{"edits": [EDIT]}]}}),
    ],
)
def test_messages_that_are_not_the_protocols_are_refused(kind, result):
    with pytest.raises(Exception):  # cattrs has a group of its own for each kind of mistake.
        strict_converter().structure(answer(result), kind)


def test_messages_that_are_the_protocols_are_taken():
    converter = strict_converter()
    command = {"title": "a", "command": "lacuna.perform", "arguments": [1]}
    actions = converter.structure(answer([command, {"title": "b", "command": command}]), types.CodeActionResponse)
    assert [type(action) for action in actions.result] == [types.Command, types.CodeAction]
    assert converter.structure(answer({"a": [1]}), JsonRPCResponseMessage).result == {"a": [1]}


@pytest.mark.parametrize(
    "wrong",
    [{"state": "idle"}, {"message": 1}, {"extra": 1}, {"counters": {}}, {"counters": COUNTERS | {"panics": "0"}}],
)
def test_own_messages_that_are_not_as_documented_are_refused(wrong):
    right = {"state": "ready", "message": "", "counters": COUNTERS}
    assert own_messages.read(right, own_messages.Status).state == "ready"
    with pytest.raises(Exception):
        own_messages.read(right | wrong, own_messages.Status)


def test_positions():
    for encoding, units in [("utf-8", 6), ("utf-16", 3), ("utf-32", 2)]:
        text = Text("", "", "a\r\né🦀b\rc\u2028d", encoding)
        assert text.position(5) == types.Position(1, units)
        assert text.offset(types.Position(1, units)) == 5
        assert text.position(7) == types.Position(2, 0)
        with pytest.raises(AssertionError):
            text.offset(types.Position(1, 99))
    with pytest.raises(UnicodeDecodeError):
        Text("", "", "🦀", "utf-16").offset(types.Position(0, 1))
