//! Messages in a byte stream (LSP 3.18, "Base Protocol"): `Content-Length` headers, a blank line, a JSON body.
//!
//! A stream that goes wrong is a fact of life (a shell that prints, a client that miscounts). Every fault is reported
//! once, and reading goes on at the next header: raw line breaks cannot stand inside a JSON string, so a header that a
//! line break ends is never part of a body.

use std::io::{self, BufRead, Read, Write};
use thiserror::Error;

/// Most bytes of one body; a larger one is skipped. A 50 MB document, escaped, still fits.
pub const BODY_BYTES_MAX: usize = 256 << 20;
/// Most bytes of one header line.
const LINE_BYTES_MAX: usize = 4 << 10;
/// A body's buffer grows as bytes come in, not as the header promises.
const BODY_BYTES_FIRST: usize = 64 << 10;
const NEEDLE: &[u8] = b"content-length:";

/// What is wrong with a stretch of the stream; reading goes on behind it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// Bytes that are no header.
    #[error(
        "expected `Content-Length: N` and a blank line before each message, found other bytes; they were skipped"
    )]
    Header,
    /// A length that is no number.
    #[error("`Content-Length` must be a number of bytes, found `{0}`; the message was skipped")]
    Length(String),
    /// A length above [`BODY_BYTES_MAX`].
    #[error("a message of {0} bytes is longer than the {max} this server reads; it was skipped", max = BODY_BYTES_MAX)]
    TooLong(u128),
}

/// What reading brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// The body of one message.
    Body(Vec<u8>),
    /// Bytes that were skipped.
    Fault(Fault),
}

/// Reads frames from a stream.
pub struct Frames<R> {
    input: R,
    /// What is known of the next header when the search for it has already read its line.
    found: Option<u128>,
}

/// The headers before a body, or what came instead.
enum Head {
    Length(u128),
    Bad(Fault),
    End,
}

impl<R: BufRead> Frames<R> {
    /// Frames of `input`.
    pub const fn new(input: R) -> Self {
        Self { input, found: None }
    }

    /// The next frame; `None` at the end of the stream. A stream that ends within a message ends there.
    ///
    /// # Errors
    /// As the stream.
    pub fn read(&mut self) -> io::Result<Option<Frame>> {
        let length = match self.head()? {
            Head::End => return Ok(None),
            Head::Bad(fault) => {
                self.resynchronise()?;
                return Ok(Some(Frame::Fault(fault)));
            }
            Head::Length(length) => length,
        };
        let Some(bytes) = usize::try_from(length).ok().filter(|&bytes| bytes <= BODY_BYTES_MAX) else {
            self.resynchronise()?;
            return Ok(Some(Frame::Fault(Fault::TooLong(length))));
        };
        let mut body = Vec::with_capacity(bytes.min(BODY_BYTES_FIRST));
        (&mut self.input).take(bytes as u64).read_to_end(&mut body)?;
        Ok((body.len() == bytes).then_some(Frame::Body(body)))
    }

    /// Header lines up to the blank one.
    fn head(&mut self) -> io::Result<Head> {
        let mut length = self.found.take();
        loop {
            let mut line = Vec::new();
            (&mut self.input).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                return Ok(Head::End);
            }
            let line = line.trim_ascii();
            match (line.is_empty(), length) {
                (true, Some(length)) => return Ok(Head::Length(length)),
                // Blank lines between messages harm nobody.
                (true, None) => continue,
                (false, _) => {}
            }
            match parse_header(line) {
                Ok(Some(bytes)) => length = Some(bytes),
                Ok(None) => {}
                Err(fault) => {
                    // The header that follows garbage on the same line still counts.
                    self.found = trailing_length(line);
                    return Ok(Head::Bad(fault));
                }
            }
        }
    }

    /// Skips to behind the next header line that gives a length; to the end where there is none.
    fn resynchronise(&mut self) -> io::Result<()> {
        if self.found.is_some() {
            return Ok(());
        }
        let mut window: Vec<u8> = Vec::new();
        loop {
            // Lines are cut at LINE_BYTES_MAX; the tail kept lets a header stand across a cut.
            let mut line = Vec::new();
            let read = (&mut self.input).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(());
            }
            window.extend_from_slice(&line);
            if line.ends_with(b"\n") {
                self.found = trailing_length(window.trim_ascii());
                if self.found.is_some() {
                    return Ok(());
                }
                window.clear();
            }
            let keep = window.len().saturating_sub(NEEDLE.len() + 48);
            window.drain(..keep);
        }
    }
}

/// `Some` length of a `Content-Length` line, `None` for another header.
fn parse_header(line: &[u8]) -> Result<Option<u128>, Fault> {
    let text = std::str::from_utf8(line).map_err(|_| Fault::Header)?;
    let (name, value) = text.split_once(':').ok_or(Fault::Header)?;
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(Fault::Header);
    }
    if !name.eq_ignore_ascii_case("content-length") {
        return Ok(None);
    }
    let value = value.trim();
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        return Err(Fault::Length(value.chars().take(40).collect()));
    }
    // More digits than a number holds is as long as numbers get.
    Ok(Some(value.parse().unwrap_or(u128::MAX)))
}

/// The length that a line ends with, whatever stands before it.
fn trailing_length(line: &[u8]) -> Option<u128> {
    let at = line.windows(NEEDLE.len()).rposition(|window| window.eq_ignore_ascii_case(NEEDLE))?;
    parse_header(&line[at..]).ok().flatten()
}

/// Writes one message.
///
/// # Errors
/// As the stream.
pub fn write(output: &mut impl Write, body: &[u8]) -> io::Result<()> {
    write!(output, "Content-Length: {}\r\n\r\n", body.len())?;
    output.write_all(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Vec<Result<String, Fault>> {
        let mut frames = Frames::new(bytes);
        let mut out = Vec::new();
        while let Some(frame) = frames.read().unwrap() {
            out.push(match frame {
                Frame::Body(body) => Ok(String::from_utf8_lossy(&body).into_owned()),
                Frame::Fault(fault) => Err(fault),
            });
        }
        out
    }

    fn ok(text: &str) -> Result<String, Fault> {
        Ok(text.to_owned())
    }

    #[test]
    fn messages_in_a_row() {
        let stream =
            b"Content-Length: 2\r\n\r\n{}content-length:3\r\nContent-Type: x; charset=utf8\r\n\r\n[1]";
        assert_eq!(read(stream), [ok("{}"), ok("[1]")]);
        assert_eq!(read(b"Content-Length: 2\n\n{}\n\nContent-Length: 1\n\n7"), [ok("{}"), ok("7")]);
    }

    #[test]
    fn garbage_is_reported_once_and_skipped() {
        let stream = b"hello\nworld\r\n\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(read(stream), [Err(Fault::Header), ok("{}")]);
        // A length that was too short leaves the rest of its body before the next header.
        let stream = b"Content-Length: 2\r\n\r\n{\"a\":1}Content-Length: 2\r\n\r\n{}";
        assert_eq!(read(stream), [ok("{\""), Err(Fault::Header), ok("{}")]);
        assert_eq!(read(b"\xff\xfe: 7\r\n\r\nContent-Length: 1\r\n\r\n1"), [Err(Fault::Header), ok("1")]);
    }

    #[test]
    fn a_length_that_is_no_number() {
        for bad in ["many", "-5", "1e3", "0x10", ""] {
            let stream = format!("Content-Length: {bad}\r\n\r\n{{}}\r\nContent-Length: 1\r\n\r\n1");
            assert_eq!(read(stream.as_bytes()), [Err(Fault::Length(bad.to_owned())), ok("1")]);
        }
    }

    #[test]
    fn a_huge_length_does_not_swallow_what_follows() {
        for huge in ["99999999999", "340282366920938463463374607431768211456"] {
            let body = "x".repeat(3 * LINE_BYTES_MAX);
            let stream = format!("Content-Length: {huge}\r\n\r\n{body}Content-Length: 2\r\nA: b\r\n\r\n{{}}");
            let read = read(stream.as_bytes());
            assert!(matches!(read[0], Err(Fault::TooLong(_))), "{read:?}");
            assert_eq!(read[1..], [ok("{}")]);
        }
    }

    #[test]
    fn an_end_within_a_message_is_the_end() {
        assert_eq!(read(b"Content-Length: 20\r\n\r\n{}"), []);
        assert_eq!(read(b"Content-Length: 20"), []);
        assert_eq!(read(b""), []);
    }

    proptest! {
        #[test]
        fn a_message_after_any_garbage_is_read(garbage in proptest::collection::vec(any::<u8>(), 0..9000)) {
            let mut stream = garbage;
            stream.extend_from_slice(b"\r\nContent-Length: 4\r\n\r\n[7] Content-Length: 4\r\n\r\n[8] ");
            let read = read(&stream);
            // Garbage that reads as a header of its own may take the first message for its body.
            prop_assert_eq!(read.last(), Some(&ok("[8] ")));
        }
    }
}
