"""The server under test, and a way to start it as this or that editor does.

    LACUNA=path/to/lacuna python -m pytest tests/conformance

or `.ci/conformance path/to/lacuna`, which brings the client library along. The model's texts are never compared, only
what must hold of any: the shipped model is trained anew now and then.
"""

import os
from copy import deepcopy
from pathlib import Path

import pytest
import pytest_asyncio

from editors import EDITORS
from session import Session


@pytest.fixture(scope="session")
def server() -> str:
    """The server's path."""
    path = os.environ.get("LACUNA")
    assert path and os.access(path, os.X_OK), "LACUNA must be the path of the server to test"
    return str(Path(path).resolve())


@pytest_asyncio.fixture
async def start(server):
    """Starts a server as an editor does; at the test's end it is shut down, and must have kept to the protocol."""
    sessions = []

    async def start(editor: str, *, change=lambda editor: None, configuration=None, **params) -> Session:
        editor = deepcopy(EDITORS[editor])
        change(editor)
        # What a model is sure of is the model's own affair: here it shows all it has.
        options = params.get("initializationOptions", {})
        if isinstance(options, dict) and "lacuna" not in options:
            params["initializationOptions"] = {"minConfidence": 0, **options}
        session = Session(editor, configuration)
        await session.start(server, **params)
        sessions.append(session)
        return session

    yield start
    for session in sessions:
        await session.end()
