#!/usr/bin/env python3
"""Records a real `lacuna fill` on a terminal and writes it as an animated SVG: the picture at the top of README.

    pip install pyte
    cargo build --release
    python3 benches/picture.py [--binary target/release/lacuna] [--out benches/pictures/fill.svg] [FILL ARGUMENTS...]

The program runs on a pseudo-terminal; every change of the screen is a frame. A fill takes a tenth of a second, so each
frame is held for as long as a person needs to see it: the pace is not the program's, the texts are.
"""
import argparse
import fcntl
import html
import os
import pty
import select
import struct
import subprocess
import termios
import time
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parent.parent
COLOURS = {
    "default": "#d8dee9", "black": "#4c566a", "red": "#e06c75", "green": "#98c379", "brown": "#e5c07b",
    "yellow": "#e5c07b", "blue": "#61afef", "magenta": "#c678dd", "cyan": "#56b6c2", "white": "#eceff4",
    "brightblack": "#6b7280", "brightgreen": "#b5e890", "brightwhite": "#ffffff",
}
CELL_W, CELL_H, PAD = 8.4, 18, 14
FRAME_S, LAST_S = 0.45, 5.0


def record(command, columns, rows):
    """Runs `command` on a pseudo-terminal; returns the distinct screens in order."""
    screen, frames = pyte.Screen(columns, rows), []
    stream = pyte.ByteStream(screen)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(rows)}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=ROOT, close_fds=True)
    os.close(slave)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        readable, _, _ = select.select([master], [], [], 0.05)
        if not readable:
            if process.poll() is not None:
                break
            continue
        try:
            data = os.read(master, 1 << 16)
        except OSError:
            break
        if not data:
            break
        stream.feed(data)
        snapshot = [[screen.buffer[y][x] for x in range(columns)] for y in range(rows)]
        if not frames or frames[-1] != snapshot:
            frames.append(snapshot)
    process.wait()
    return frames


def spans(row):
    """Runs of cells of one look."""
    start = 0
    while start < len(row):
        end = start
        look = lambda cell: (cell.fg, cell.bold, cell.reverse, getattr(cell, "italics", False))
        while end < len(row) and look(row[end]) == look(row[start]):
            end += 1
        text = "".join(cell.data for cell in row[start:end])
        if text.strip():
            yield start, text, row[start]
        start = end


def frame_svg(frame, used):
    out = []
    for y, row in enumerate(frame[:used]):
        for x, text, cell in spans(row):
            colour = COLOURS.get(cell.fg, f"#{cell.fg}" if len(cell.fg) == 6 else COLOURS["default"])
            weight = ' font-weight="bold"' if cell.bold else ""
            out.append(f'<text x="{PAD + x * CELL_W:.1f}" y="{PAD + 14 + y * CELL_H}" fill="{colour}"{weight} '
                       f'textLength="{len(text) * CELL_W:.1f}" lengthAdjust="spacingAndGlyphs">{html.escape(text)}</text>')
    return "".join(out)


def svg(frames, columns, title):
    used = max(y + 1 for frame in frames for y, row in enumerate(frame) if any(c.data.strip() for c in row))
    width, height = columns * CELL_W + 2 * PAD, used * CELL_H + 2 * PAD
    total = FRAME_S * (len(frames) - 1) + LAST_S
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img">',
             f"<title>{html.escape(title)}</title>",
             '<style>text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre}',
             ".f{visibility:hidden;animation-duration:%.2fs;animation-iteration-count:infinite;animation-timing-function:step-end}" % total]
    for i in range(len(frames)):
        begin, end = i * FRAME_S / total * 100, (i + 1) * FRAME_S / total * 100
        last = i + 1 == len(frames)
        hidden = "" if last else f"{end:.3f}%{{visibility:hidden}}"
        first = "" if i == 0 else "0%{visibility:hidden}"
        parts.append(f"@keyframes k{i}{{{first}{begin:.3f}%{{visibility:visible}}{hidden}}}#f{i}{{animation-name:k{i}}}")
    # Where motion is unwelcome the last frame stands still.
    parts.append("@media (prefers-reduced-motion:reduce){.f{animation:none}#f%d{visibility:visible}}</style>" % (len(frames) - 1))
    parts.append('<rect width="100%" height="100%" rx="8" fill="#20242c"/>')
    parts += [f'<g class="f" id="f{i}" xml:space="preserve">{frame_svg(frame, used)}</g>' for i, frame in enumerate(frames)]
    return "".join(parts) + "</svg>\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "target" / "release" / "lacuna"))
    parser.add_argument("--out", type=Path, default=ROOT / "benches" / "pictures" / "fill.svg")
    parser.add_argument("--columns", type=int, default=88)
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("arguments", nargs="*", default=["fill", "fixtures/text/stack.rs"])
    arguments = parser.parse_args()
    frames = record([arguments.binary, *arguments.arguments], arguments.columns, arguments.rows)
    frames = [frame for frame in frames if any(cell.data.strip() for row in frame for cell in row)]
    title = "lacuna " + " ".join(arguments.arguments)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(svg(frames, arguments.columns, title), encoding="utf-8")
    print(f"{arguments.out}: {len(frames)} frames, {arguments.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
