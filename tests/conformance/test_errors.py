"""Requests that cannot be served are answered with the specified error, and the server goes on."""

import pytest
from pygls.exceptions import JsonRpcException

URI = "file:///project/main.rs"
METHOD_NOT_FOUND, INVALID_PARAMS = -32601, -32602
AT = {"line": 0, "character": 0}


@pytest.mark.parametrize(
    "method, params, code",
    [
        ("textDocument/hover", {"textDocument": {"uri": URI}, "position": AT}, METHOD_NOT_FOUND),
        ("lacuna/nothing", {}, METHOD_NOT_FOUND),
        # LSP 3.18, "$ Notifications and Requests": a request of that name must be answered, too.
        ("$/nothing", {}, METHOD_NOT_FOUND),
        ("textDocument/inlineCompletion", {}, INVALID_PARAMS),
        ("textDocument/inlineCompletion", {"textDocument": {"uri": URI}, "position": AT}, INVALID_PARAMS),
        ("textDocument/completion", {"textDocument": {"uri": URI}, "position": {"line": -1}}, INVALID_PARAMS),
        ("textDocument/codeAction", [1, 2], INVALID_PARAMS),
        ("workspace/executeCommand", {"command": 7}, INVALID_PARAMS),
        ("lacuna/document", {}, INVALID_PARAMS),
    ],
)
async def test_requests_that_cannot_be_served(start, method, params, code):
    session = await start("vscode")
    session.open(URI, "rust", "fn f() {}\n")
    with pytest.raises(JsonRpcException) as refused:
        await session.request_raw(method, params)
    assert refused.value.code == code and refused.value.message
    assert (await session.document(URI)).version == 1


async def test_notifications_of_no_use_are_passed_over(start):
    session = await start("vscode")
    session.open(URI, "rust", "fn f() {}\n")
    for method in ("$/nothing", "lacuna/nothing", "textDocument/didSave", "textDocument/willSave", "$/setTrace"):
        session.notify_raw(method, {"textDocument": {"uri": URI}, "reason": 1, "value": "off"})
    session.notify_raw("textDocument/didChange", {"textDocument": {"uri": URI}})
    session.notify_raw("$/cancelRequest", {"id": "nobody asked this"})
    assert (await session.document(URI)).version == 1


@pytest.mark.parametrize("method", ["textDocument/inlineCompletion", "textDocument/completion"])
async def test_documents_that_are_not_open_have_nothing_to_offer(start, method):
    session = await (await start("helix")).ready()
    params = {"textDocument": {"uri": URI}, "position": AT, "context": {"triggerKind": 1}}
    assert (await session.request_raw(method, params)).items == ()


async def test_a_diagnostic_whose_message_is_markdown(start):
    # LSP 3.18 lets it be one; lsprotocol 2025.0.0 has texts only, so this one is said and heard as JSON.
    session = await (await start("vscode")).ready()
    session.open(URI, "rust", "fn f(a: u8) -> u8 {\n    a + ;\n}\n")
    around = {"start": {"line": 1, "character": 6}, "end": {"line": 1, "character": 9}}
    diagnostic = {"range": around, "message": {"kind": "markdown", "value": "expected `expression`"}}
    context = {"diagnostics": [diagnostic], "only": ["quickfix"]}
    params = {"textDocument": {"uri": URI}, "range": around, "context": context}
    [action] = await session.request_raw("textDocument/codeAction", params, typed=False)
    assert action["diagnostics"] == [diagnostic]
    assert "expected `expression`" in action["title"]
