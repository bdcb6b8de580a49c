"""A document as the client holds it, and positions in it, written for these tests alone.

Offsets are Python's, in characters. pygls has a codec of its own, which is not used: it takes U+2028 and form feeds for
ends of lines, which they are not in LSP.
"""

import re

from lsprotocol import types

UNIT_BYTES = {"utf-8": 1, "utf-16": 2, "utf-32": 4}


class Text:
    """Text with the version that the server knows it by."""

    def __init__(self, uri: str, language: str, text: str, encoding: str):
        self.uri, self.language, self.text, self.encoding = uri, language, text, encoding
        self.version = 1

    @property
    def _codec(self) -> str:
        return "utf-8" if self.encoding == "utf-8" else f"{self.encoding}-le"

    def _line_starts(self) -> list[int]:
        return [0, *(end.end() for end in re.finditer("\r\n|\r|\n", self.text))]

    def position(self, offset: int) -> types.Position:
        """The position of an offset, in the units agreed on."""
        starts = self._line_starts()
        line = max(number for number, start in enumerate(starts) if start <= offset)
        before = self.text[starts[line] : offset]
        return types.Position(line, len(before.encode(self._codec)) // UNIT_BYTES[self.encoding])

    def offset(self, position: types.Position) -> int:
        """The offset of a position; a position inside a character or past a line's end is the server's mistake."""
        start = self._line_starts()[position.line]
        line = re.split("[\r\n]", self.text[start:], maxsplit=1)[0]
        units = line.encode(self._codec)[: position.character * UNIT_BYTES[self.encoding]]
        offset = start + len(units.decode(self._codec))
        assert self.position(offset) == position, f"{position} is past the end of its line"
        return offset

    def range(self, start: int, end: int) -> types.Range:
        """The range between two offsets."""
        return types.Range(self.position(start), self.position(end))

    def span(self, range_: types.Range) -> tuple[int, int]:
        """The offsets of a range."""
        start, end = self.offset(range_.start), self.offset(range_.end)
        assert start <= end
        return start, end

    def with_edits(self, edits) -> str:
        """The text after edits, all of them of this text and none touching another."""
        text, after = self.text, len(self.text)
        for edit in sorted(edits, key=lambda edit: self.span(edit.range), reverse=True):
            start, end = self.span(edit.range)
            assert end <= after, "edits overlap"
            text, after = text[:start] + edit.new_text + text[end:], start
        return text
