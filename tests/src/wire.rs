//! The base protocol: `Content-Length` frames around JSON, as LSP 3.18 ("Base Protocol") has them.

use serde_json::Value;
use std::io::{self, BufRead};

/// One frame around any bytes.
#[must_use]
pub fn frame(body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// One frame around a message.
#[must_use]
pub fn frame_json(message: &Value) -> Vec<u8> {
    frame(message.to_string().as_bytes())
}

/// The body of the next frame; `None` at a clean end of the stream.
///
/// # Errors
/// A stream that ends inside a frame, or headers without a readable `Content-Length`.
pub fn read_frame(stream: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut length = None;
    let mut first = true;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return if first { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        first = false;
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok();
        }
    }
    let length = length.ok_or_else(|| io::Error::other("a frame without a readable Content-Length"))?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some(body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn frames_come_back_as_they_were_sent() {
        let bytes = [frame_json(&json!({"a": "ä"})), frame(b"[]")].concat();
        let mut stream = &bytes[..];
        assert_eq!(read_frame(&mut stream).unwrap().unwrap(), r#"{"a":"ä"}"#.as_bytes());
        assert_eq!(read_frame(&mut stream).unwrap().unwrap(), b"[]");
        assert!(read_frame(&mut stream).unwrap().is_none());
    }

    #[test]
    fn a_stream_that_ends_inside_a_frame_is_an_error() {
        for bytes in [&b"Content-Length: 3\r\n\r\n[]"[..], b"Content-Length: 3\r\n", b"Other: 3\r\n\r\n[]"] {
            assert!(read_frame(&mut &bytes[..]).is_err(), "{bytes:?}");
        }
    }
}
