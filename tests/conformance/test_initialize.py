"""What the server says it can do, to clients of each habit, and how it ends."""

import asyncio

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

import own_messages
from editors import EDITORS

URI = "file:///project/main.rs"
TEXT = "fn f() {\n    let a = ‸\n}\n"
INVALID_REQUEST = -32600


def offering(*encodings):
    """Makes an editor offer these position encodings."""

    def change(editor):
        editor["capabilities"]["general"] = {"positionEncodings": list(encodings)}

    return change


@pytest.mark.parametrize("editor", EDITORS)
async def test_every_editor_is_told_the_same_abilities(start, editor):
    session = await start(editor)
    server = session.result.capabilities
    assert session.result.server_info.name == "lacuna"
    assert server.text_document_sync.open_close
    assert server.text_document_sync.change == types.TextDocumentSyncKind.Incremental
    # Never gated on the client's word: some show inline completions and do not say so.
    assert server.inline_completion_provider
    assert server.completion_provider
    assert server.code_action_provider.resolve_provider
    assert set(server.code_action_provider.code_action_kinds) == own_messages.ACTION_KINDS
    assert set(server.execute_command_provider.commands) == own_messages.COMMANDS
    assert server.workspace.workspace_folders.supported
    assert server.workspace.workspace_folders.change_notifications
    await session.ready()
    states = [status.state for status in session.statuses]
    assert states == ["starting", "ready"], "the model is loaded in the background, and the editor is told"
    assert session.statuses[-1].model.parameters > 0


@pytest.mark.parametrize(
    "editor, encoding",
    [("vscode", "utf-16"), ("neovim", "utf-8"), ("helix", "utf-8"), ("emacs", "utf-16"), ("plain", "utf-16")],
)
async def test_the_encoding_agreed_on_is_one_the_editor_offers(start, editor, encoding):
    session = await start(editor)
    assert session.encoding == encoding


@pytest.mark.parametrize(
    "offered, agreed",
    [
        (["utf-16"], "utf-16"),
        (["utf-16", "utf-8"], "utf-8"),
        (["utf-32"], "utf-32"),
        (["utf-32", "utf-16"], "utf-16"),
        ([], "utf-16"),
    ],
)
async def test_encodings(start, offered, agreed):
    session = await start("helix", change=offering(*offered))
    assert session.encoding == agreed


async def test_requests_before_the_model_is_loaded_are_answered_empty(start):
    session = await start("vscode")
    cursor = session.open(URI, "rust", TEXT)
    items = await session.inline(URI, cursor)
    # The model may have been quick; what must not happen is an error or no answer.
    assert session.state in ("ready", "busy") or items == ()
    await session.ready()


async def test_a_second_initialize_is_refused(start):
    session = await start("vscode")
    with pytest.raises(JsonRpcException) as refused:
        await session.request_raw("initialize", {"processId": None, "rootUri": None, "capabilities": {}})
    assert refused.value.code == INVALID_REQUEST


@pytest.mark.parametrize("arguments", [("lsp",), ("--stdio",)])
async def test_shutdown_then_exit_ends_with_0(start, arguments):
    session = await start("neovim", arguments=arguments)
    assert await session.client.shutdown_async(None) is None
    with pytest.raises(JsonRpcException) as refused:
        await session.request_raw("lacuna/document", {"uri": URI})
    assert refused.value.code == INVALID_REQUEST
    session.client.exit(None)
    assert await asyncio.wait_for(session.client._server.wait(), 10) == 0


async def test_exit_without_shutdown_ends_with_1(start):
    session = await start("neovim")
    session.client.exit(None)
    assert await asyncio.wait_for(session.client._server.wait(), 10) == 1


async def test_it_ends_when_its_input_does(start):
    session = await start("helix")
    session.client._server.stdin.close()
    assert await asyncio.wait_for(session.client._server.wait(), 10) == 1
