"""The server's text is the editor's, after any edits, in every encoding."""

import random

import pytest

URI = "file:///project/main.rs"
ENDS = ["\n", "\r\n", "\r"]
PIECES = ["", "x", "é", "🦀", "𝕏y", "한글", "e\u0301", " = 1;", "fn g() {}"]


async def agrees(session, uri=URI):
    """Holds what the server believes against what the editor has."""
    ours, theirs = session.documents[uri], await session.document(uri)
    assert theirs.text == ours.text
    assert (theirs.uri, theirs.languageId, theirs.version) == (uri, ours.language, ours.version)


def random_edit(rng, text, end):
    """An edit that parts no line ending."""
    places = [at for at in range(len(text) + 1) if text[at - 1 : at + 1] != "\r\n"]
    start, stop = sorted(rng.choices(places, k=2))
    stop = min(stop, start + rng.randrange(20))
    stop = next(at for at in range(stop, len(text) + 1) if text[at - 1 : at + 1] != "\r\n")
    return start, stop, end.join(rng.choices(PIECES, k=rng.randrange(1, 4)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ENDS, ids=["lf", "crlf", "cr"])
async def test_random_edits_with_astral_characters(start, encoding, end):
    def offer(editor):
        editor["capabilities"]["general"] = {"positionEncodings": [encoding]}

    session = await start("vscode", change=offer)
    assert session.encoding == encoding
    session.open(URI, "rust", end.join(["fn crab() {", '    let 𝕏 = "🦀é한";', "}", ""]))
    rng = random.Random(f"{encoding}{end!r}")
    for _ in range(40):
        document = session.documents[URI]
        # Edits of one change follow one another: each is of the text that the one before it left.
        if rng.random() < 0.1:
            session.replace_all(URI, document.text + end + rng.choice(PIECES))
        else:
            session.change(URI, random_edit(rng, document.text, end))
    document = session.documents[URI]
    first = random_edit(rng, document.text, end)
    session.change(URI, first, (0, 0, "🦀" + end), (0, 1, "𝕏"))
    await agrees(session)


async def test_documents_are_known_while_they_are_open(start):
    session = await start("neovim")
    assert await session.document(URI) is None
    session.open(URI, "rust", "fn f() {}\n")
    session.open("untitled:Untitled-1", "plaintext", "\ufeffa\r\nb🦀")
    await agrees(session)
    await agrees(session, "untitled:Untitled-1")
    session.close(URI)
    assert await session.document(URI) is None
    session.open(URI, "rust", "fn g() {}\n")
    await agrees(session)


async def test_positions_past_the_end_mean_the_end(start):
    session = await start("vscode")
    session.open(URI, "rust", "ab🦀\ncd")
    document = session.documents[URI]
    raw = {"textDocument": {"uri": URI, "version": 2}}
    far = {"start": {"line": 0, "character": 99}, "end": {"line": 77, "character": 3}}
    session.notify_raw("textDocument/didChange", raw | {"contentChanges": [{"range": far, "text": "!"}]})
    document.text, document.version = "ab🦀!", 2
    await agrees(session)
