"""One editor and the server it started: the client library, the editor's documents, and what the server asked of it."""

import asyncio
import logging
import os
import uuid
from concurrent.futures import Future
from typing import Union

import cattrs
from lsprotocol import types
from lsprotocol.converters import get_converter
from pygls.protocol.json_rpc import JsonRPCNotification, JsonRPCRequestMessage, JsonRPCResponseMessage
from pytest_lsp import ClientServerConfig, LanguageClient
from pytest_lsp.client import DEFAULT_CLIENT_FEATURES, register_lsp_features

import own_messages
from text import Text

AUTOMATIC = types.InlineCompletionTriggerKind.Automatic
INVOKED = types.InlineCompletionTriggerKind.Invoked
CURSOR = "‸"
# Seconds until what has to come must have come.
PATIENCE = 20


def strict_converter():
    """Structures messages by the protocol's types; keys that the protocol does not know are errors."""
    converter = get_converter(cattrs.Converter(forbid_extra_keys=True))
    # What the protocol does not name (Lacuna's own messages) stays JSON; the tests type it themselves.
    for kind in (JsonRPCNotification, JsonRPCRequestMessage, JsonRPCResponseMessage):
        converter.register_structure_hook(kind, lambda value, kind: kind(**value))

    # lsprotocol 2025.0.0 takes every object with a `command` for a Command, but a code action may have one too.
    def command_or_action(value, _):
        kind = types.Command if isinstance(value.get("command"), str) else types.CodeAction
        return converter.structure(value, kind)

    converter.register_structure_hook(Union[types.Command, types.CodeAction], command_or_action)
    return converter


def as_feature(handler):
    """A handler as pygls takes it: a function, which it marks."""
    return lambda params: handler(params)


class Complaints(logging.Handler):
    """What the client library notes in its log: messages it cannot read, answers nobody asked for."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record):
        self.lines.append(record.getMessage())


class Session:
    """An editor that started the server."""

    def __init__(self, editor: dict, configuration=None):
        self.editor = editor
        # What the editor's settings hold under `lacuna`.
        self.configuration = configuration
        self.documents: dict[str, Text] = {}
        self.statuses: list[own_messages.Status] = []
        self.frames: list[own_messages.Frame] = []
        self.registrations: list[types.Registration] = []
        self.questions: list[types.ConfigurationItem] = []
        self.edits: list[types.ApplyWorkspaceEditParams] = []
        self.refuses_edits = False
        # Called with each `$/progress`; a test may want to act the moment work begins.
        self.on_progress = lambda token, value: None
        self._happened = asyncio.Event()
        self._complaints = Complaints()
        self.client: LanguageClient
        self.result: types.InitializeResult

    async def start(self, server: str, *, arguments=("lsp",), **params):
        """Starts the server and says what the editor says: `initialize`, and once answered `initialized`."""
        logging.getLogger("pygls").addHandler(self._complaints)
        config = ClientServerConfig(
            server_command=[server, *arguments], client_factory=self._client, server_env={**os.environ}
        )
        self.client = await config.start()
        # The library's own view of what the editor can do, which it holds the server's messages against.
        self.client.capabilities = get_converter().structure(
            self.editor["capabilities"], types.ClientCapabilities
        )
        params = {"processId": os.getpid(), "rootUri": None, "workspaceFolders": None} | self.editor | params
        self.result = await self.request_raw("initialize", params)
        self.client.initialized(types.InitializedParams())
        return self

    def _client(self) -> LanguageClient:
        client = LanguageClient(converter_factory=strict_converter)
        handlers = {
            types.WORKSPACE_CONFIGURATION: self._configuration,
            types.CLIENT_REGISTER_CAPABILITY: self._register,
            types.WORKSPACE_APPLY_EDIT: self._apply_edit,
            types.PROGRESS: self._progress,
            types.WINDOW_SHOW_MESSAGE: self._show_message,
            own_messages.STATUS: self._status,
            own_messages.FRAME: self._frame,
        }
        features = {method: as_feature(handler) for method, handler in handlers.items()}
        register_lsp_features(client, DEFAULT_CLIENT_FEATURES | features)
        return client

    async def request_raw(self, method: str, params, id_=None, typed=True):
        """A request as JSON, `null` and all; the answer is structured as any, or with `typed=False` left as JSON."""
        protocol, id_ = self.client.protocol, uuid.uuid4().hex if id_ is None else id_
        future: Future = Future()
        protocol._request_futures[id_] = future
        protocol._result_types[id_] = protocol.get_result_type(method) if typed else None
        protocol._send_data({"jsonrpc": "2.0", "id": id_, "method": method, "params": params})
        return await asyncio.wait_for(asyncio.wrap_future(future), PATIENCE)

    def notify_raw(self, method: str, params):
        """A notification as JSON."""
        self.client.protocol._send_data({"jsonrpc": "2.0", "method": method, "params": params})

    async def end(self):
        """Shuts the server down as an editor does, and says whether everything was as it must be."""
        logging.getLogger("pygls").removeHandler(self._complaints)
        if self.client._server.returncode is None:
            assert await asyncio.wait_for(self.client.shutdown_async(None), PATIENCE) is None
            self.client.exit(None)
            assert await asyncio.wait_for(self.client._server.wait(), PATIENCE) == 0
        await self.client.stop()
        assert self.client.error is None, self.client.error
        assert self._complaints.lines == []

    # What the server says and asks.

    async def until(self, condition):
        """Waits until the condition holds; it is looked at after each message that a handler here took."""
        async def watch():
            while not condition():
                self._happened.clear()
                await self._happened.wait()

        await asyncio.wait_for(watch(), PATIENCE)

    def _status(self, params):
        self.statuses.append(own_messages.read(params, own_messages.Status))
        self._happened.set()

    def _frame(self, params):
        self.frames.append(own_messages.read(params, own_messages.Frame))
        self._happened.set()

    def _progress(self, params):
        DEFAULT_CLIENT_FEATURES[types.PROGRESS](self.client, params)
        self.on_progress(params.token, self.client.progress_reports[params.token][-1])
        self._happened.set()

    def _show_message(self, params):
        self.client.messages.append(params)
        self._happened.set()

    def _configuration(self, params):
        self.questions.extend(params.items)
        self._happened.set()
        return [self.configuration if item.section == "lacuna" else None for item in params.items]

    def _register(self, params):
        self.registrations.extend(params.registrations)
        self._happened.set()

    def _apply_edit(self, params):
        self.edits.append(params)
        if self.refuses_edits:
            return types.ApplyWorkspaceEditResult(applied=False, failure_reason="the buffer is read-only")
        for uri, text in self.edited(params.edit).items():
            self.replace_all(uri, text)
        return types.ApplyWorkspaceEditResult(applied=True)

    @property
    def state(self) -> str:
        """What the server said last of its state."""
        return self.statuses[-1].state if self.statuses else ""

    async def ready(self):
        """Waits for the model."""
        await self.until(lambda: self.state == "ready")
        return self

    async def until_told(self):
        """Waits for a message to the person."""
        await self.until(lambda: self.client.messages)

    # The editor's documents.

    @property
    def encoding(self) -> str:
        encoding = self.result.capabilities.position_encoding
        return str(getattr(encoding, "value", encoding))

    def open(self, uri: str, language: str, marked: str) -> int:
        """Opens a document; answers the offset of its cursor, if it has one."""
        text = Text(uri, language, marked.replace(CURSOR, ""), self.encoding)
        self.documents[uri] = text
        item = types.TextDocumentItem(uri, language, text.version, text.text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))
        return max(marked.find(CURSOR), 0)

    def change(self, uri: str, *edits: tuple[int, int, str]):
        """Sends one change with edits (start, end, text), each of the text that the one before it left."""
        document, changes = self.documents[uri], []
        for start, end, text in edits:
            changes.append(types.TextDocumentContentChangePartial(document.range(start, end), text))
            document.text = document.text[:start] + text + document.text[end:]
        self._send_change(document, changes)

    def replace_all(self, uri: str, text: str):
        """Sends a change without a range: the whole text."""
        document = self.documents[uri]
        document.text = text
        self._send_change(document, [types.TextDocumentContentChangeWholeDocument(text)])

    def close(self, uri: str):
        """Closes a document."""
        del self.documents[uri]
        name = types.TextDocumentIdentifier(uri)
        self.client.text_document_did_close(types.DidCloseTextDocumentParams(name))

    def _send_change(self, document: Text, changes):
        document.version += 1
        name = types.VersionedTextDocumentIdentifier(version=document.version, uri=document.uri)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(name, changes))

    def edited(self, edit: types.WorkspaceEdit) -> dict[str, str]:
        """The texts after a workspace edit, which must be of the documents' present versions."""
        says_versions = self.client.capabilities.workspace.workspace_edit.document_changes
        if not says_versions:
            assert edit.document_changes is None, "the client does not take documentChanges"
            return {uri: self.documents[uri].with_edits(edits) for uri, edits in edit.changes.items()}
        assert edit.changes is None, "the client prefers documentChanges"
        texts = {}
        for change in edit.document_changes:
            document = self.documents[change.text_document.uri]
            assert change.text_document.version == document.version
            texts[document.uri] = document.with_edits(change.edits)
        return texts

    # What the editor asks.

    async def document(self, uri: str):
        """What the server believes the document holds."""
        answer = await self.request_raw(own_messages.DOCUMENT, {"uri": uri})
        return None if answer is None else own_messages.read(answer, own_messages.Document)

    async def status(self) -> own_messages.Status:
        """What the command `lacuna.status` answers."""
        return own_messages.read(await self.command("lacuna.status"), own_messages.Status)

    async def command(self, name: str, *arguments):
        """Runs a command."""
        params = {"command": name, **({"arguments": list(arguments)} if arguments else {})}
        return await self.request_raw("workspace/executeCommand", params)

    def _at(self, uri: str, offset: int) -> dict:
        position = self.documents[uri].position(offset)
        return {"text_document": types.TextDocumentIdentifier(uri), "position": position}

    async def inline(self, uri: str, offset: int, kind=AUTOMATIC, selected=None):
        """The items that `textDocument/inlineCompletion` answers."""
        context = types.InlineCompletionContext(kind, selected)
        params = types.InlineCompletionParams(context=context, **self._at(uri, offset))
        answer = await asyncio.wait_for(self.client.text_document_inline_completion_async(params), PATIENCE)
        assert isinstance(answer, types.InlineCompletionList)
        return answer.items

    async def complete(self, uri: str, offset: int):
        """What `textDocument/completion` answers."""
        context = types.CompletionContext(types.CompletionTriggerKind.Invoked)
        params = types.CompletionParams(context=context, **self._at(uri, offset))
        answer = await asyncio.wait_for(self.client.text_document_completion_async(params), PATIENCE)
        assert isinstance(answer, types.CompletionList)
        return answer

    async def actions(self, uri: str, start: int, end: int, **context):
        """What `textDocument/codeAction` answers for a range."""
        params = types.CodeActionParams(
            types.TextDocumentIdentifier(uri),
            self.documents[uri].range(start, end),
            types.CodeActionContext(**({"diagnostics": []} | context)),
        )
        answer = await asyncio.wait_for(self.client.text_document_code_action_async(params), PATIENCE)
        return list(answer or [])

    async def resolve(self, action: types.CodeAction) -> types.CodeAction:
        """What `codeAction/resolve` answers."""
        return await asyncio.wait_for(self.client.code_action_resolve_async(action), PATIENCE)
