"""`workspace/executeCommand`: every command, and the edits that come of them."""

import asyncio

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

import own_messages

URI = "file:///project/main.rs"
MARKED = "fn add(a: i32, b: i32) -> i32 {\n    to‸do!()\n}\n"
SELECTED = "fn add(a: i32, b: i32) -> i32 {\n    let sum = a + b;\n    sum\n}\n"
INVALID_PARAMS, CONTENT_MODIFIED, REQUEST_FAILED = -32602, -32801, -32803


def place(session, start, end=None) -> dict:
    """The argument that names an offset or a range of the document."""
    document = session.documents[URI]
    raw = lambda offset: vars_of(document.position(offset))
    if end is None:
        return {"uri": URI, "position": raw(start)}
    return {"uri": URI, "range": {"start": raw(start), "end": raw(end)}}


def vars_of(position: types.Position) -> dict:
    return {"line": position.line, "character": position.character}


@pytest.mark.parametrize("editor", ["vscode", "neovim", "helix", "emacs"])
async def test_fill_at_a_position(start, editor):
    session = await (await start(editor)).ready()
    cursor = session.open(URI, "rust", "// 🦀\n" + MARKED)
    assert await session.command("lacuna.fill", place(session, cursor)) == {"applied": True}
    [asked] = session.edits
    # The editor has applied it, told the server so, and both agree; versions were looked at on the way.
    assert session.documents[URI].version == 2 and "todo!()" not in session.documents[URI].text
    assert (await session.document(URI)).text == session.documents[URI].text
    assert isinstance(asked.edit, types.WorkspaceEdit)


async def test_edits_carry_the_version_where_the_client_reads_it(start):
    session = await (await start("vscode")).ready()
    cursor = session.open(URI, "rust", MARKED)
    session.change(URI, (0, 0, "// a\n"), (0, 0, "// b\n"))
    session.change(URI, (0, 0, "// c\n"))
    cursor = session.documents[URI].text.index("todo")
    argument = place(session, cursor) | {"version": 3}
    assert await session.command("lacuna.fill", argument) == {"applied": True}
    [change] = session.edits[0].edit.document_changes
    assert (change.text_document.uri, change.text_document.version) == (URI, 3)


async def test_fill_a_selection(start):
    session = await (await start("vscode")).ready()
    session.open(URI, "rust", SELECTED)
    start_ = SELECTED.index("a + b")
    assert await session.command("lacuna.fill", place(session, start_, start_ + 5)) == {"applied": True}
    text = session.documents[URI].text
    assert text.startswith(SELECTED[:start_]) and text.endswith(SELECTED[start_ + 5 :])


@pytest.mark.parametrize("strength", [None, 0.0, 0.5, 1.0])
async def test_refine_a_selection(start, strength):
    session = await (await start("vscode")).ready()
    session.open(URI, "rust", SELECTED)
    start_ = SELECTED.index("a + b")
    argument = place(session, start_, start_ + 5) | ({} if strength is None else {"strength": strength})
    answer = await session.command("lacuna.refine", argument)
    text = session.documents[URI].text
    assert answer["applied"] == (text != SELECTED)
    assert answer["applied"] or answer["reason"]
    assert strength != 0.0 or text == SELECTED, "what is to be kept is kept"
    assert text.startswith(SELECTED[:start_]) and text.endswith(SELECTED[start_ + 5 :])


async def test_a_client_that_refuses_is_believed(start):
    session = await (await start("vscode")).ready()
    cursor = session.open(URI, "rust", MARKED)
    session.refuses_edits = True
    answer = await session.command("lacuna.fill", place(session, cursor))
    assert answer == {"applied": False, "reason": "the buffer is read-only"}
    assert (await session.document(URI)).version == 1


async def test_a_stale_version_is_refused(start):
    session = await (await start("vscode")).ready()
    cursor = session.open(URI, "rust", MARKED)
    argument = place(session, cursor) | {"version": 1}
    session.change(URI, (0, 0, "// a\n"))
    with pytest.raises(JsonRpcException) as refused:
        await session.command("lacuna.fill", argument)
    assert refused.value.code == CONTENT_MODIFIED
    assert session.edits == []


async def test_toggle(start):
    session = await (await start("vscode")).ready()
    cursor = session.open(URI, "rust", "fn f() {\n    let a = ‸\n}\n")
    assert await session.command("lacuna.toggle") == {"enabled": False}
    await session.until(lambda: session.state == "disabled")
    assert await session.inline(URI, cursor) == ()
    status = await session.status()
    assert (status.state, status.counters.inferencesStarted) == ("disabled", 0)
    assert await session.command("lacuna.toggle", {"enabled": False}) == {"enabled": False}
    assert await session.command("lacuna.toggle") == {"enabled": True}
    await session.ready()
    assert await session.inline(URI, cursor)
    assert await session.command("lacuna.toggle", {"language": "rust"}) == {"enabled": False}
    assert await session.inline(URI, cursor) == ()
    assert (await session.status()).state == "ready", "other languages go on"
    assert await session.command("lacuna.toggle", {"language": "rust", "enabled": True}) == {"enabled": True}
    assert await session.inline(URI, cursor)


async def test_restarting_the_engine(start):
    session = await (await start("vscode")).ready()
    cursor = session.open(URI, "rust", "fn f() {\n    let a = ‸\n}\n")
    assert await session.inline(URI, cursor)
    session.statuses.clear()
    assert await session.command("lacuna.restartEngine") is None
    # The end of the inference before may be told only now: that it is ready says nothing yet.
    await session.until(lambda: "starting" in [status.state for status in session.statuses])
    await session.ready()
    session.change(URI, (cursor, cursor, "b"))
    await session.inline(URI, cursor + 1)
    assert (await session.status()).counters.panics == 0


async def test_status_is_what_was_told(start):
    session = await (await start("vscode")).ready()
    asked, told = await session.status(), session.statuses[-1]
    assert (asked.state, asked.message, asked.model) == (told.state, told.message, told.model)


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("lacuna.nothing", []),
        ("lacuna.fill", []),
        ("lacuna.fill", [{"uri": URI}]),
        ("lacuna.fill", [{"uri": URI, "position": "here"}]),
        ("lacuna.fill", ["file:///project/main.rs"]),
        ("lacuna.refine", [{"uri": URI, "range": {"start": {"line": 0, "character": 0}}}]),
        ("lacuna.toggle", [{"enabled": "yes"}]),
        ("lacuna.perform", [{"kind": "nothing"}]),
    ],
)
async def test_wrong_arguments_are_refused(start, name, arguments):
    session = await (await start("vscode")).ready()
    session.open(URI, "rust", MARKED)
    with pytest.raises(JsonRpcException) as refused:
        await session.command(name, *arguments)
    assert refused.value.code == INVALID_PARAMS and refused.value.message
    assert session.edits == []


async def test_where_nothing_can_be_done_it_is_said(start):
    session = await (await start("vscode")).ready()
    session.open(URI, "rust", "fn f() {}\n\nstruct A;\n")
    unknown = {"uri": "file:///project/unknown.rs", "position": {"line": 0, "character": 0}}
    for argument in (unknown, place(session, len("fn f() {}\n\n"))):
        with pytest.raises(JsonRpcException) as refused:
            await session.command("lacuna.fill", argument)
        assert refused.value.code == REQUEST_FAILED and refused.value.message


async def test_a_client_that_takes_no_edits_is_told_so(start):
    session = await (await start("plain")).ready()
    cursor = session.open(URI, "rust", MARKED)
    with pytest.raises(JsonRpcException) as refused:
        await session.command("lacuna.fill", place(session, cursor))
    assert refused.value.code == REQUEST_FAILED
    assert session.edits == []
