"""Code actions: offered without an inference, resolved with progress, refused once the text has moved on."""

import asyncio

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

import own_messages

URI = "file:///project/main.rs"
MARKED = "fn add(a: i32, b: i32) -> i32 {\n    to‸do!()\n}\n"
REFINED = "fn add(a: i32, b: i32) -> i32 {\n    let sum = a + b;\n    sum\n}\n"
BROKEN = "fn add(a: i32, b: i32) -> i32 {\n    let sum = a + ;\n    sum\n}\n"
# More than a client has patience for, so that there is time to change one's mind.
SLOW = {"candidates": 64, "invokedPreset": "thorough"}
REQUEST_CANCELLED, CONTENT_MODIFIED, REQUEST_FAILED = -32800, -32801, -32803
LAZY = ["vscode", "neovim", "helix", "emacs"]


def kind_of(action) -> str:
    return str(getattr(action.kind, "value", action.kind))


async def fill_action(session) -> types.CodeAction:
    """Opens the document and answers the action that fills its marker."""
    cursor = session.open(URI, "rust", MARKED)
    [action] = await session.actions(URI, cursor, cursor, only=["refactor.rewrite.lacuna.fill"])
    return action


def has_ended(session) -> bool:
    """Whether each piece of work that the editor shows is over."""
    shown = session.client.progress_reports.values()
    return all(told and isinstance(told[-1], types.WorkDoneProgressEnd) for told in shown)


@pytest.mark.parametrize("editor", LAZY)
async def test_an_action_is_offered_for_nothing_and_resolved_to_an_edit(start, editor):
    session = await (await start(editor)).ready()
    action = await fill_action(session)
    assert kind_of(action) in own_messages.ACTION_KINDS
    assert action.edit is None and action.command is None and action.data is not None
    assert (await session.status()).counters.inferencesStarted == 0
    resolved = await session.resolve(action)
    # Resolving may add what the client said it resolves, and must leave the rest.
    assert (resolved.title, resolved.kind) == (action.title, action.kind)
    [(uri, text)] = session.edited(resolved.edit).items()
    assert uri == URI and "todo!()" not in text
    before, _, after = session.documents[URI].text.partition("todo!()")
    assert text.startswith(before.rstrip(" ")) and text.endswith(after.lstrip("\n"))


@pytest.mark.parametrize("editor", LAZY)
async def test_progress_is_begun_reported_and_ended(start, editor):
    session = await (await start(editor, initializationOptions={"candidates": 8})).ready()
    await session.resolve(await fill_action(session))
    # The last word on it may come after the answer.
    await session.until(lambda: has_ended(session))
    [(token, (begin, *reports, _))] = session.client.progress_reports.items()
    assert token
    assert isinstance(begin, types.WorkDoneProgressBegin) and begin.title and begin.cancellable
    assert reports and all(isinstance(report, types.WorkDoneProgressReport) for report in reports)
    percentages = [report.percentage for report in reports]
    assert percentages == sorted(percentages) and 0 <= percentages[0] and percentages[-1] <= 100


async def test_a_client_without_progress_hears_of_none(start):
    def no_progress(editor):
        editor["capabilities"]["window"] = {}

    session = await (await start("helix", change=no_progress)).ready()
    assert (await session.resolve(await fill_action(session))).edit
    assert session.client.progress_reports == {}


@pytest.mark.parametrize("editor", LAZY)
async def test_cancelled_from_the_progress_it_stops(start, editor):
    session = await (await start(editor, initializationOptions=SLOW)).ready()
    action = await fill_action(session)

    def cancel(token, value):
        if isinstance(value, types.WorkDoneProgressBegin):
            params = types.WorkDoneProgressCancelParams(token)
            session.client.window_work_done_progress_cancel(params)
            # Ones nobody knows are over already, and no harm.
            unknown = types.WorkDoneProgressCancelParams(4711)
            session.client.window_work_done_progress_cancel(unknown)

    session.on_progress = cancel
    with pytest.raises(JsonRpcException) as cancelled:
        await session.resolve(action)
    assert cancelled.value.code == REQUEST_CANCELLED
    await session.until(lambda: has_ended(session))
    counters = (await session.status()).counters
    assert counters.inferencesFinished == 0, "nothing went on behind the person's back"
    session.on_progress = lambda token, value: None
    assert (await session.document(URI)).version == 1


async def test_cancelled_by_the_request_it_stops(start):
    session = await (await start("vscode", initializationOptions=SLOW)).ready()
    action = session.client.protocol._converter.unstructure(await fill_action(session))
    asked = asyncio.ensure_future(session.request_raw("codeAction/resolve", action, id_="resolve-1"))
    await session.until(lambda: any(session.client.progress_reports.values()))
    session.client.cancel_request(types.CancelParams(id="resolve-1"))
    with pytest.raises(JsonRpcException) as cancelled:
        await asked
    assert cancelled.value.code == REQUEST_CANCELLED
    await session.until(lambda: has_ended(session))


@pytest.mark.parametrize("editor", LAZY)
async def test_a_stale_action_is_refused_with_a_message(start, editor):
    session = await (await start(editor)).ready()
    action = await fill_action(session)
    session.change(URI, (0, 0, "// above\n"))
    with pytest.raises(JsonRpcException) as refused:
        await session.resolve(action)
    assert refused.value.code == CONTENT_MODIFIED and refused.value.message
    assert (await session.status()).counters.inferencesStarted == 0
    # Asked again it works.
    cursor = session.documents[URI].text.index("todo")
    [action] = await session.actions(URI, cursor, cursor, only=["refactor.rewrite.lacuna.fill"])
    assert session.edited((await session.resolve(action)).edit)


async def test_an_action_that_the_text_overtakes_is_refused(start):
    session = await (await start("vscode", initializationOptions=SLOW)).ready()
    action = await fill_action(session)

    def type_on(_, value):
        if isinstance(value, types.WorkDoneProgressBegin):
            session.change(URI, (0, 0, "// above\n"))

    session.on_progress = type_on
    with pytest.raises(JsonRpcException) as refused:
        await session.resolve(action)
    assert refused.value.code in (CONTENT_MODIFIED, REQUEST_CANCELLED)


async def test_kinds_are_filtered(start):
    session = await (await start("vscode")).ready()
    session.open(URI, "rust", REFINED)
    start_ = REFINED.index("a + b")
    place = (URI, start_, start_ + 5)
    every = {kind_of(action) for action in await session.actions(*place)}
    assert {"refactor.rewrite.lacuna.fill", "refactor.rewrite.lacuna.refine"} <= every
    for only in ("refactor", "refactor.rewrite", "refactor.rewrite.lacuna", ""):
        assert {kind_of(action) for action in await session.actions(*place, only=[only])} == every
    assert await session.actions(*place, only=["quickfix"]) == []
    assert await session.actions(*place, only=["refactor.rewrite.lac"]) == [], "a kind is no prefix of letters"
    assert await session.actions(*place, only=["source", "refactor.extract"]) == []


async def test_refining_answers_an_edit_within_the_selection(start):
    session = await (await start("vscode")).ready()
    session.open(URI, "rust", REFINED)
    start_ = REFINED.index("a + b")
    [action] = await session.actions(URI, start_, start_ + 5, only=["refactor.rewrite.lacuna.refine"])
    resolved = await session.resolve(action)
    # No edit changes nothing, and is said; an edit keeps to what was selected.
    texts = session.edited(resolved.edit) if resolved.edit.document_changes else {URI: REFINED}
    assert texts[URI].startswith(REFINED[:start_]) and texts[URI].endswith(REFINED[start_ + 5 :])
    if texts[URI] == REFINED:
        await session.until_told()


async def test_a_repair_belongs_to_its_diagnostic(start):
    session = await (await start("vscode")).ready()
    session.open(URI, "rust", BROKEN)
    at = BROKEN.index("+ ;")
    diagnostic = types.Diagnostic(
        session.documents[URI].range(at, at + 3),
        "expected expression, found `;`",
        severity=types.DiagnosticSeverity.Error,
        source="rustc",
        code="E0000",
        data={"of": "another server"},
    )
    offered = await session.actions(URI, at, at, diagnostics=[diagnostic], only=["quickfix"])
    assert [kind_of(action) for action in offered] == ["quickfix.lacuna.repair"]
    [action] = offered
    assert list(action.diagnostics) == [diagnostic], "the diagnostic comes back as it was sent"
    assert diagnostic.message[:20] in action.title
    try:
        resolved = await session.resolve(action)
    except JsonRpcException as refused:
        # Some models cannot; then it is said why, and nothing is done.
        assert refused.code == REQUEST_FAILED and refused.message
    else:
        assert session.edited(resolved.edit)[URI] != BROKEN


async def test_unasked_only_what_says_that_code_is_missing(start):
    session = await (await start("vscode")).ready()
    at = session.open(URI, "rust", "fn f(a: u8) -> u8 {\n    let b = a;‸\n    b\n}\n")
    automatic = types.CodeActionTriggerKind.Automatic
    assert await session.actions(URI, at, at, trigger_kind=automatic) == [], "no light bulb on every line"
    at = session.open("file:///project/marker.rs", "rust", MARKED)
    assert await session.actions("file:///project/marker.rs", at, at, trigger_kind=automatic)


async def test_a_client_that_does_not_resolve_gets_a_command(start):
    def no_resolve(editor):
        del editor["capabilities"]["textDocument"]["codeAction"]["resolveSupport"]

    session = await (await start("vscode", change=no_resolve)).ready()
    action = await fill_action(session)
    assert isinstance(action, types.CodeAction) and action.edit is None
    assert action.command.command in own_messages.COMMANDS
    assert await session.command(action.command.command, *action.command.arguments) == {"applied": True}
    assert "todo!()" not in session.documents[URI].text
    assert (await session.document(URI)).text == session.documents[URI].text


async def test_a_client_without_literals_gets_commands_alone(start):
    # LSP 3.18, `codeActionLiteralSupport`: where it is not set, a server may answer Commands only.
    session = await (await start("plain")).ready()
    cursor = session.open(URI, "rust", MARKED)
    offered = await session.actions(URI, cursor, cursor)
    assert all(isinstance(action, types.Command) for action in offered)
    assert all(action.command in own_messages.COMMANDS for action in offered)


async def test_an_action_of_another_server_is_refused(start):
    session = await (await start("vscode")).ready()
    for data in (None, {"of": "another server"}):
        with pytest.raises(JsonRpcException) as refused:
            await session.resolve(types.CodeAction("Extract function", kind="refactor.extract", data=data))
        assert refused.value.message
