"""What editors say about themselves in `initialize`, as they send it.

Abbreviated to what a server of this kind could look at: parts about features Lacuna does not have are left out, nothing
is added. Taken from the sources of vscode-languageclient 11.0, Neovim 0.12.4 (`make_client_capabilities`), Helix 25.07
(`helix-lsp/src/client.rs`) and lsp-mode 10 (`lsp--client-capabilities`).
"""

ACTION_KINDS = [
    "",
    "quickfix",
    "refactor",
    "refactor.extract",
    "refactor.inline",
    "refactor.rewrite",
    "source",
    "source.organizeImports",
]
ITEM_KINDS = list(range(1, 26))

VSCODE = {
    "clientInfo": {"name": "Visual Studio Code", "version": "1.109.0"},
    "locale": "en",
    "capabilities": {
        "workspace": {
            "applyEdit": True,
            "workspaceEdit": {
                "documentChanges": True,
                "resourceOperations": ["create", "rename", "delete"],
                "failureHandling": "textOnlyTransactional",
                "normalizesLineEndings": True,
                "changeAnnotationSupport": {"groupsOnLabel": True},
                "metadataSupport": True,
                "snippetEditSupport": True,
            },
            "configuration": True,
            "didChangeConfiguration": {"dynamicRegistration": True},
            "didChangeWatchedFiles": {"dynamicRegistration": True, "relativePatternSupport": True},
            "executeCommand": {"dynamicRegistration": True},
            "workspaceFolders": True,
        },
        "textDocument": {
            "publishDiagnostics": {
                "relatedInformation": True,
                "versionSupport": False,
                "tagSupport": {"valueSet": [1, 2]},
                "codeDescriptionSupport": True,
                "dataSupport": True,
            },
            "filters": {"relativePatternSupport": True},
            "synchronization": {
                "dynamicRegistration": True,
                "willSave": True,
                "willSaveWaitUntil": True,
                "didSave": True,
            },
            "completion": {
                "dynamicRegistration": True,
                "contextSupport": True,
                "completionItem": {
                    "snippetSupport": True,
                    "commitCharactersSupport": True,
                    "documentationFormat": ["markdown", "plaintext"],
                    "deprecatedSupport": True,
                    "preselectSupport": True,
                    "tagSupport": {"valueSet": [1]},
                    "insertReplaceSupport": True,
                    "resolveSupport": {"properties": ["documentation", "detail", "additionalTextEdits"]},
                    "insertTextModeSupport": {"valueSet": [1, 2]},
                    "labelDetailsSupport": True,
                },
                "insertTextMode": 2,
                "completionItemKind": {"valueSet": ITEM_KINDS},
                "completionList": {
                    "itemDefaults": [
                        "commitCharacters",
                        "editRange",
                        "insertTextFormat",
                        "insertTextMode",
                        "data",
                    ],
                    "applyKindSupport": True,
                },
            },
            "codeAction": {
                "dynamicRegistration": True,
                "isPreferredSupport": True,
                "disabledSupport": True,
                "dataSupport": True,
                "resolveSupport": {"properties": ["edit", "command"]},
                "codeActionLiteralSupport": {
                    "codeActionKind": {"valueSet": [*ACTION_KINDS, "refactor.move", "notebook"]}
                },
                "honorsChangeAnnotations": True,
                "documentationSupport": True,
                "tagSupport": {"valueSet": [1]},
            },
            "inlineCompletion": {"dynamicRegistration": True},
        },
        "window": {
            "workDoneProgress": True,
            "showMessage": {"messageActionItem": {"additionalPropertiesSupport": True}},
            "showDocument": {"support": True},
        },
        "general": {
            "staleRequestSupport": {
                "cancel": True,
                "retryOnContentModified": ["textDocument/semanticTokens/full"],
            },
            "regularExpressions": {"engine": "ECMAScript", "version": "ES2020"},
            "markdown": {"parser": "marked", "version": "1.1.0"},
            "positionEncodings": ["utf-16"],
        },
    },
    "trace": "off",
}

# Its edits may carry versions, and it does not say so: `workspaceEdit.documentChanges` is not sent.
NEOVIM = {
    "clientInfo": {"name": "Neovim", "version": "0.12.4"},
    "capabilities": {
        "workspace": {
            "applyEdit": True,
            "workspaceEdit": {
                "resourceOperations": ["rename", "create", "delete"],
                "changeAnnotationSupport": {"groupsOnLabel": True},
                "normalizesLineEndings": True,
            },
            "configuration": True,
            "didChangeConfiguration": {"dynamicRegistration": False},
            "didChangeWatchedFiles": {"dynamicRegistration": False, "relativePatternSupport": True},
            "workspaceFolders": True,
        },
        "textDocument": {
            "synchronization": {
                "dynamicRegistration": False,
                "willSave": True,
                "willSaveWaitUntil": True,
                "didSave": True,
            },
            "completion": {
                "dynamicRegistration": False,
                "contextSupport": True,
                "completionItem": {
                    "snippetSupport": True,
                    "commitCharactersSupport": False,
                    "preselectSupport": False,
                    "deprecatedSupport": True,
                    "documentationFormat": ["markdown", "plaintext"],
                    "insertReplaceSupport": True,
                    "tagSupport": {"valueSet": [1]},
                    "resolveSupport": {"properties": ["additionalTextEdits", "command", "documentation"]},
                    "labelDetailsSupport": True,
                },
                "completionItemKind": {"valueSet": ITEM_KINDS},
                "completionList": {
                    "itemDefaults": ["editRange", "insertTextFormat", "insertTextMode", "data"]
                },
            },
            "codeAction": {
                "dynamicRegistration": True,
                "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ACTION_KINDS}},
                "isPreferredSupport": True,
                "disabledSupport": True,
                "dataSupport": True,
                "honorsChangeAnnotations": True,
                "resolveSupport": {"properties": ["edit", "command"]},
            },
            "inlineCompletion": {"dynamicRegistration": False},
        },
        "window": {
            "workDoneProgress": True,
            "showMessage": {"messageActionItem": {"additionalPropertiesSupport": True}},
            "showDocument": {"support": True},
        },
        "general": {"positionEncodings": ["utf-8", "utf-16", "utf-32"]},
    },
    "trace": "off",
    "workDoneToken": "1",
}

# No inline completion; names no format of documentation, and shows Markdown.
HELIX = {
    "clientInfo": {"name": "helix", "version": "25.7.1"},
    "capabilities": {
        "workspace": {
            "configuration": True,
            "didChangeConfiguration": {"dynamicRegistration": False},
            "workspaceFolders": True,
            "applyEdit": True,
            "executeCommand": {"dynamicRegistration": False},
            "workspaceEdit": {
                "documentChanges": True,
                "resourceOperations": ["create", "rename", "delete"],
                "failureHandling": "abort",
                "normalizesLineEndings": False,
            },
            "didChangeWatchedFiles": {"dynamicRegistration": True, "relativePatternSupport": False},
        },
        "textDocument": {
            "completion": {
                "completionItem": {
                    "snippetSupport": True,
                    "resolveSupport": {"properties": ["documentation", "detail", "additionalTextEdits"]},
                    "insertReplaceSupport": True,
                    "deprecatedSupport": True,
                    "tagSupport": {"valueSet": [1]},
                },
                "completionItemKind": {},
            },
            "codeAction": {
                "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ACTION_KINDS}},
                "isPreferredSupport": True,
                "disabledSupport": True,
                "dataSupport": True,
                "resolveSupport": {"properties": ["edit", "command"]},
            },
        },
        "window": {"workDoneProgress": True},
        "general": {"positionEncodings": ["utf-8", "utf-32", "utf-16"]},
    },
}

# Shows inline completions, and says `null` where an object or nothing is to stand.
EMACS = {
    "clientInfo": {"name": "emacs", "version": "GNU Emacs 30.2"},
    "capabilities": {
        "general": {"positionEncodings": ["utf-32", "utf-16"]},
        "workspace": {
            "workspaceEdit": {
                "documentChanges": True,
                "resourceOperations": ["create", "rename", "delete"],
            },
            "applyEdit": True,
            "executeCommand": {"dynamicRegistration": False},
            "didChangeWatchedFiles": {"dynamicRegistration": True},
            "workspaceFolders": True,
            "configuration": True,
        },
        "textDocument": {
            "synchronization": {"willSave": True, "didSave": True, "willSaveWaitUntil": True},
            "codeAction": {
                "dynamicRegistration": True,
                "isPreferredSupport": True,
                "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ACTION_KINDS}},
                "resolveSupport": {"properties": ["edit", "command"]},
                "dataSupport": True,
            },
            "completion": {
                "completionItem": {
                    "snippetSupport": False,
                    "documentationFormat": ["markdown", "plaintext"],
                    "resolveAdditionalTextEditsSupport": True,
                    "insertReplaceSupport": True,
                    "deprecatedSupport": True,
                    "resolveSupport": {
                        "properties": ["documentation", "detail", "additionalTextEdits", "command"]
                    },
                    "insertTextModeSupport": {"valueSet": [1, 2]},
                    "labelDetailsSupport": True,
                },
                "contextSupport": True,
                "dynamicRegistration": True,
            },
            "inlineCompletion": None,
        },
        "window": {"workDoneProgress": True, "showDocument": {"support": True}},
    },
}

# A client that can do nothing beyond the oldest protocol, in position encodings and otherwise.
PLAIN = {"capabilities": {}}

EDITORS = {"vscode": VSCODE, "neovim": NEOVIM, "helix": HELIX, "emacs": EMACS, "plain": PLAIN}
