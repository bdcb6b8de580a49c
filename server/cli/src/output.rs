//! Standard output: one buffered writer that knows whether a person is looking at it.

use crate::failure::Failure;
use crossterm::terminal;
use serde::Serialize;
use std::env;
use std::io::{self, BufWriter, IsTerminal, Write};

/// How a piece of text is meant; what it looks like is decided here alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// Settled, chosen, a heading.
    Bright,
    /// Noise, context, what matters less.
    Dim,
    /// A line taken out.
    Removed,
    /// A line put in.
    Added,
    /// A place: line ranges, numbers.
    Place,
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bright => "\x1b[1;96m",
            Self::Dim => "\x1b[2m",
            Self::Removed => "\x1b[31m",
            Self::Added => "\x1b[32m",
            Self::Place => "\x1b[36m",
        }
    }
}

/// The writer all of a command's results go through.
pub struct Output {
    writer: Box<dyn Write>,
    terminal: bool,
    colour: bool,
}

impl Output {
    /// Standard output. Not locked for good: the Ctrl-C handler gives the cursor back through it.
    pub fn stdout() -> Self {
        let stdout = io::stdout();
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        let terminal = stdout.is_terminal() && !dumb;
        let no_colour = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { writer: Box::new(BufWriter::new(stdout)), terminal, colour: terminal && !no_colour }
    }

    /// Whether a person watches, so that drawing in place makes sense.
    pub const fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Columns and rows of the terminal; 80 × 24 where it does not say.
    pub fn size(&self) -> (usize, usize) {
        match terminal::size() {
            Ok((columns, rows)) if columns > 0 && rows > 0 => (columns.into(), rows.into()),
            _ => (80, 24),
        }
    }

    /// `text` in `tone`; unchanged where colours are off.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.colour || tone == Tone::Plain || text.is_empty() {
            return text.to_owned();
        }
        format!("{}{text}\x1b[0m", tone.code())
    }

    /// Writes `text` as it is.
    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.writer.write_all(text.as_bytes())?)
    }

    /// Writes `text` and a line break.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.text(text)?;
        self.text("\n")
    }

    /// Writes `value` as one line of JSON.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let line = serde_json::to_string(value)
            .map_err(|error| Failure::input(format!("cannot write the answer as JSON: {error}")))?;
        self.line(&line)
    }

    /// Sends everything written so far on its way.
    pub fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.writer.flush()?)
    }

    /// The bare writer, for cursor movement.
    pub fn writer(&mut self) -> &mut Box<dyn Write> {
        &mut self.writer
    }
}

/// One line on standard error. A closed standard error leaves nobody to tell.
pub fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "lacuna: {}", visible(&message.replace('\n', " ")));
}

/// `text` with control characters shown instead of obeyed: neither a file nor a model may drive the terminal.
pub fn visible(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            // C0 has pictures of its own at U+2400.
            '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
            '\x7f' => '\u{2421}',
            '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            _ => c,
        })
        .collect()
}

#[cfg(test)]
impl Output {
    /// An output that keeps what it is given, for tests.
    pub fn captured(terminal: bool, colour: bool) -> (Self, Captured) {
        let captured = Captured::default();
        (Self { writer: Box::new(captured.clone()), terminal, colour }, captured)
    }
}

/// What a test's output has received so far.
#[cfg(test)]
#[derive(Clone, Default)]
pub struct Captured(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

#[cfg(test)]
impl Captured {
    /// Everything written, as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[cfg(test)]
impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        assert_eq!(visible("a\x1b[2Jb\tc\n\u{9b}1m\u{202e}x"), "a\u{241b}[2Jb\tc\n\u{fffd}1m\u{fffd}x");
    }

    #[test]
    fn paint_follows_the_colour_switch() {
        let (plain, _) = Output::captured(true, false);
        assert_eq!(plain.paint(Tone::Added, "x"), "x");
        let (coloured, _) = Output::captured(true, true);
        assert_eq!(coloured.paint(Tone::Added, "x"), "\x1b[32mx\x1b[0m");
    }
}
