"""Where settings come from: `initialize`, the editor's configuration, and each workspace folder's `lacuna.toml`."""

import pytest
from lsprotocol import types

TEXT = "fn f() {\n    let a = ‸\n}\n"
URI = "file:///project/main.rs"


def pushes(editor):
    """Makes an editor one that sends its settings rather than being asked for them."""
    editor["capabilities"]["workspace"]["configuration"] = False


def changed(session, settings):
    session.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings))


@pytest.mark.parametrize("editor", ["vscode", "neovim", "helix", "emacs"])
async def test_the_editor_is_asked_for_its_settings(start, editor):
    session = await start(editor, configuration={"enabled": False})
    await session.until(lambda: session.state == "disabled")
    assert [item.section for item in session.questions] == ["lacuna"]
    cursor = session.open(URI, "rust", TEXT)
    assert await session.inline(URI, cursor) == ()
    # VS Code and Neovim say that something changed with `null` or the settings; what counts is the answer.
    session.configuration = {"enabled": True}
    changed(session, None)
    await session.ready()
    assert len(session.questions) == 2
    assert await session.inline(URI, cursor)


async def test_an_editor_that_cannot_be_asked_sends_them(start):
    session = await (await start("vscode", change=pushes)).ready()
    assert session.questions == []
    for settings, state in [({"lacuna": {"enabled": False}}, "disabled"), ({"lacuna": {}}, "ready")]:
        changed(session, settings)
        await session.until(lambda state=state: session.state == state)
    changed(session, {"enabled": False})
    await session.until(lambda: session.state == "disabled")
    assert session.questions == []


@pytest.mark.parametrize("nothing", [None, {}, []])
async def test_an_editor_without_settings_is_fine(start, nothing):
    session = await (await start("neovim", configuration=nothing)).ready()
    cursor = session.open(URI, "rust", TEXT)
    assert await session.inline(URI, cursor)
    assert session.client.messages == []


async def test_the_configuration_wins_over_initialize(start):
    off, on = {"languages": {"rust": False}}, {"languages": {"rust": True}}
    session = await (await start("vscode", configuration=off, initializationOptions=on)).ready()
    cursor = session.open(URI, "rust", TEXT)
    assert await session.inline(URI, cursor) == ()


@pytest.mark.parametrize("by", ["initialize", "configuration", "push"])
async def test_unknown_keys_are_warned_of_with_the_nearest_name(start, by):
    wrong = {"candidats": 2}
    if by == "initialize":
        session = await start("vscode", initializationOptions=wrong)
    elif by == "configuration":
        session = await start("vscode", configuration=wrong)
    else:
        session = await start("vscode", change=pushes)
        changed(session, {"lacuna": wrong})
    await session.ready()
    await session.until_told()
    for warning in session.client.messages:
        assert warning.type == types.MessageType.Warning
        assert "candidats" in warning.message and "`candidates`" in warning.message


async def test_a_warning_is_shown_once(start):
    session = await start("neovim", configuration={"candidats": 2})
    # Neovim says so right after `initialized`, though nothing has changed.
    changed(session, {"lacuna": {"candidats": 2}})
    await session.ready()
    await session.until_told()
    await session.until(lambda: len(session.questions) == 2)
    for _ in range(2):
        await session.command("lacuna.toggle")
    # What comes of a toggle is told in order: once it is ready again, warnings have been shown.
    await session.ready()
    await session.status()
    assert len(session.client.messages) == 1
    # Another mistake is another warning.
    session.configuration = {"candidats": 2, "debounce": 1}
    changed(session, None)
    await session.until(lambda: len(session.client.messages) == 2)
    assert "debounceMs" in session.client.messages[-1].message


async def test_files_that_are_excluded_are_left_alone(start, tmp_path):
    folder = {"uri": tmp_path.as_uri(), "name": "one"}
    options = {"files": {"exclude": ["generated/**"]}}
    session = await start("vscode", workspaceFolders=[folder], initializationOptions=options)
    await session.ready()
    for name, offered in [("generated/a.rs", False), ("src/a.rs", True)]:
        uri = f"{folder['uri']}/{name}"
        cursor = session.open(uri, "rust", TEXT)
        assert bool(await session.inline(uri, cursor)) == offered


def folder(path) -> types.WorkspaceFolder:
    return types.WorkspaceFolder(uri=path.as_uri(), name=path.name)


async def test_each_folder_has_its_settings(start, tmp_path):
    on, off = tmp_path / "on", tmp_path / "o ff é"
    for path in (on, off):
        path.mkdir()
    (off / "lacuna.toml").write_text("enabled = false\n", encoding="utf-8")
    session = await start("vscode", workspaceFolders=[{"uri": on.as_uri(), "name": "on"}])
    await session.ready()

    async def offers(path) -> bool:
        uri = f"{path.as_uri()}/main.rs"
        if uri in session.documents:
            session.close(uri)
        cursor = session.open(uri, "rust", TEXT)
        return bool(await session.inline(uri, cursor))

    def folders(added=(), removed=()):
        event = types.WorkspaceFoldersChangeEvent(
            added=[folder(path) for path in added], removed=[folder(path) for path in removed]
        )
        params = types.DidChangeWorkspaceFoldersParams(event)
        session.client.workspace_did_change_workspace_folders(params)

    assert (await offers(on), await offers(off)) == (True, True)
    folders(added=[off])
    assert (await offers(on), await offers(off)) == (True, False)
    folders(removed=[off])
    assert (await offers(on), await offers(off)) == (True, True)


@pytest.mark.parametrize("editor", ["vscode", "helix", "emacs"])
async def test_lacuna_toml_is_watched(start, tmp_path, editor):
    session = await start(editor, workspaceFolders=[{"uri": tmp_path.as_uri(), "name": "one"}])
    await session.until(lambda: session.registrations)
    [registration] = session.registrations
    assert registration.method == types.WORKSPACE_DID_CHANGE_WATCHED_FILES
    [watcher] = registration.register_options["watchers"]
    assert watcher["globPattern"].endswith("lacuna.toml")
    await session.ready()
    path = tmp_path / "lacuna.toml"
    path.write_text("enabled = false\n", encoding="utf-8")
    event = types.FileEvent(path.as_uri(), types.FileChangeType.Created)
    session.client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([event]))
    await session.until(lambda: session.state == "disabled")


async def test_a_client_that_watches_nothing_is_not_asked_to(start):
    session = await (await start("neovim")).ready()
    await session.status()
    assert session.registrations == []


async def test_the_oldest_way_to_name_a_folder(start, tmp_path):
    (tmp_path / "lacuna.toml").write_text("enabled = false\n", encoding="utf-8")
    session = await start("plain", rootUri=tmp_path.as_uri())
    await session.until(lambda: session.state == "disabled")
