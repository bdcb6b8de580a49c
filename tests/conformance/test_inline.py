"""`textDocument/inlineCompletion`: what is offered, and that an editor can show and take it as the protocol says."""

import asyncio

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from session import INVOKED

URI = "file:///project/main.rs"
REQUEST_CANCELLED = -32800
# Places at which any model has something to say; what it says is its own affair.
PLACES = [
    "fn add(a: i32, b: i32) -> i32 {\n    let sum = ‸\n    sum\n}\n",
    "fn f(v: &[u32]) -> usize {\n    v.‸\n}\n",
    'fn f() {\n    let crab = "🦀𝕏"; let n = crab.‸;\n}\n',
    "fn f(a: u8) -> u8 {\n    g(‸)\n}\n\nfn g(a: u8) -> u8 {\n    a\n}\n",
]


def taken(session, uri, cursor, item):
    """The document with an item accepted, after what the protocol asks of the item was looked at."""
    document = session.documents[uri]
    text, inserted = document.text, item.insert_text
    assert isinstance(inserted, str), "no snippets: the client's word on them was not asked for"
    start, end = document.span(item.range)
    assert start <= cursor <= end, "the range holds the cursor"
    assert item.range.start.line == item.range.end.line, "the range is of one line"
    assert inserted.startswith(text[start:cursor]), "ghost text goes on from what is before the cursor"
    assert inserted not in ("", text[start:end]), "taking it changes something"
    assert "\r" not in inserted
    return text[:start] + inserted + text[end:]


@pytest.mark.parametrize("editor", ["vscode", "neovim", "emacs", "helix", "plain"])
async def test_items_can_be_shown_and_taken(start, editor):
    session = await (await start(editor)).ready()
    offered = 0
    for number, marked in enumerate(PLACES):
        uri = f"file:///project/{number}.rs"
        cursor = session.open(uri, "rust", marked)
        items = await session.inline(uri, cursor)
        # Neovim never says that a person asked, so it gets several to cycle through.
        assert editor == "neovim" or len(items) <= 1
        invoked = await session.inline(uri, cursor, INVOKED)
        for several in (items, invoked):
            texts = [taken(session, uri, cursor, item) for item in several]
            assert len(set(texts)) == len(texts), "alternatives differ"
            for text in texts:
                assert text.startswith(session.documents[uri].text[:cursor]), "nothing before the cursor changes"
        offered += len(items) + len(invoked)
    assert offered > 0
    status = await session.status()
    assert status.counters.requests == 2 * len(PLACES)
    assert status.last.promptTokens > 0


async def test_an_item_stays_while_it_is_typed_through(start):
    session = await (await start("vscode")).ready()
    cursor = session.open(URI, "rust", PLACES[0])
    [item] = await session.inline(URI, cursor)
    accepted = taken(session, URI, cursor, item)
    before = (await session.status()).counters
    rest = item.insert_text[cursor - session.documents[URI].span(item.range)[0] :]
    for typed in rest[:-1]:
        session.change(URI, (cursor, cursor, typed))
        cursor += 1
        [again] = await session.inline(URI, cursor)
        assert again.insert_text == item.insert_text, "the same item, no flicker"
        assert taken(session, URI, cursor, again) == accepted
    after = (await session.status()).counters
    assert after.inferencesStarted == before.inferencesStarted
    assert after.typedThrough == before.typedThrough + len(rest) - 1
    # Something else typed in its place: it is gone.
    session.change(URI, (cursor, cursor, "§"))
    assert all(again.insert_text != item.insert_text for again in await session.inline(URI, cursor + 1))


@pytest.mark.parametrize("selected", ["len", "length_of_it"])
async def test_items_go_on_from_the_menus_selected_entry(start, selected):
    session = await (await start("vscode")).ready()
    cursor = session.open(URI, "rust", "fn f(v: &[u32]) -> usize {\n    v.le‸\n}\n")
    word = session.documents[URI].range(cursor - 2, cursor)
    info = types.SelectedCompletionInfo(word, selected)
    for kind in (types.InlineCompletionTriggerKind.Automatic, INVOKED):
        for item in await session.inline(URI, cursor, kind, info):
            text = taken(session, URI, cursor, item)
            assert text[cursor - 2 :].startswith(selected), "the item extends the selected entry"
            start_, _ = session.documents[URI].span(item.range)
            assert start_ <= cursor - 2 or item.insert_text.startswith(selected[2:])


async def test_a_newer_request_supersedes_without_being_asked_to(start):
    # As Neovim does: nothing is cancelled, each keystroke asks anew.
    slow = {"candidates": 16}
    session = await (await start("neovim", initializationOptions=slow)).ready()
    cursor = session.open(URI, "rust", PLACES[0])
    asked = []
    for typed in "abcdefgh":
        session.change(URI, (cursor, cursor, typed))
        cursor += 1
        asked.append(asyncio.ensure_future(session.inline(URI, cursor, INVOKED)))
        await asyncio.sleep(0)
    *superseded, last = await asyncio.gather(*asked, return_exceptions=True)
    assert [error.code for error in superseded] == [REQUEST_CANCELLED] * len(superseded)
    assert not isinstance(last, Exception)


async def test_a_cancelled_request_is_answered_so(start):
    slow = {"candidates": 64, "invokedPreset": "thorough"}
    session = await (await start("vscode", initializationOptions=slow)).ready()
    cursor = session.open(URI, "rust", PLACES[0])
    context = {"triggerKind": INVOKED.value}
    position = session.documents[URI].position(cursor)
    params = {
        "textDocument": {"uri": URI},
        "position": {"line": position.line, "character": position.character},
        "context": context,
    }
    # Ids may be numbers as well as texts, and come back as they were.
    asked = asyncio.ensure_future(session.request_raw("textDocument/inlineCompletion", params, id_=7))
    await session.until(lambda: session.state == "busy")
    session.client.cancel_request(types.CancelParams(id=7))
    with pytest.raises(JsonRpcException) as cancelled:
        await asked
    assert cancelled.value.code == REQUEST_CANCELLED
    await session.ready()
    assert (await session.status()).counters.inferencesCancelled == 1
    assert await session.inline(URI, cursor)


async def test_frames_come_only_when_asked_for(start):
    session = await (await start("vscode")).ready()
    cursor = session.open(URI, "rust", PLACES[0])
    await session.inline(URI, cursor)
    assert (await session.status()).counters.inferencesStarted == 1
    assert session.frames == []

    shown = await (await start("vscode", initializationOptions={"frames": True})).ready()
    cursor = shown.open(URI, "rust", PLACES[0])
    await shown.inline(URI, cursor)
    await shown.until(lambda: shown.frames)
    for frame in shown.frames:
        start_, end = shown.documents[URI].span(frame.range)
        assert (frame.uri, frame.version) == (URI, 1) and start_ <= cursor <= end
        assert 1 <= frame.step <= frame.stepsMax
        assert frame.cells and all(cell.entropy >= 0 for cell in frame.cells)
