"""`textDocument/completion`: the fallback for editors that show no inline completions."""

import pytest
from lsprotocol import types

URI = "file:///project/main.rs"
MARKED = 'fn add(first: i32, second: i32) -> i32 {\n    let crab = "🦀"; let sum = fi‸\n    sum\n}\n'
WORD = "fi"


def item_of(session, cursor, answer):
    """The one item of an answer, which an editor can show and take."""
    assert answer.is_incomplete, "typing on asks again"
    [item] = answer.items
    edit = item.text_edit
    assert isinstance(edit, types.TextEdit)
    start, end = session.documents[URI].span(edit.range)
    assert start <= cursor - len(WORD) and cursor <= end
    assert edit.range.start.line == edit.range.end.line
    assert edit.new_text.startswith(WORD), "the word being typed is part of it, or the menu would drop it"
    assert item.filter_text == edit.new_text
    assert "\n" not in item.label
    assert item.insert_text_format in (None, types.InsertTextFormat.PlainText)
    preview = getattr(item.documentation, "value", item.documentation)
    assert edit.new_text in preview, "the preview shows the whole text"
    return item


async def test_helix_gets_one_item(start):
    session = await (await start("helix")).ready()
    cursor = session.open(URI, "rust", MARKED)
    item = item_of(session, cursor, await session.complete(URI, cursor))
    # Helix names no format of documentation and no label details: it gets what needs no word of it.
    assert isinstance(item.documentation, str)
    assert item.label_details is None and item.insert_text_mode is None


async def test_emacs_gets_one_until_it_asks_for_inline_completions(start):
    session = await (await start("emacs")).ready()
    cursor = session.open(URI, "rust", MARKED)
    item_of(session, cursor, await session.complete(URI, cursor))
    await session.inline(URI, cursor)
    assert (await session.complete(URI, cursor)).items == ()


@pytest.mark.parametrize("editor", ["vscode", "neovim"])
async def test_editors_with_inline_completion_get_none(start, editor):
    session = await (await start(editor)).ready()
    cursor = session.open(URI, "rust", MARKED)
    assert (await session.complete(URI, cursor)).items == ()
    assert (await session.status()).counters.inferencesStarted == 0


async def test_the_setting_has_the_last_word(start):
    session = await (await start("vscode", initializationOptions={"completion": "on"})).ready()
    cursor = session.open(URI, "rust", MARKED)
    item_of(session, cursor, await session.complete(URI, cursor))
    session = await (await start("helix", initializationOptions={"completion": "off"})).ready()
    cursor = session.open(URI, "rust", MARKED)
    assert (await session.complete(URI, cursor)).items == ()
