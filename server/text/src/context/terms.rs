//! Terms: the identifiers of a text as hashes, whole and in parts, so that `parse_header`, `parseHeader` and
//! `ParseHeader` share their words.

/// A word, a part of an identifier or an identifier of several parts, in lower case, hashed. Two of the few thousand
/// terms of a comparison collide about once in a thousand comparisons, which costs one weak hit.
pub(super) type Term = u32;

/// How a term was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// An identifier of several words.
    Compound,
    /// An identifier of one word.
    Word,
    /// One word of a compound.
    Part,
}

/// Shorter words say nothing.
const BYTES_MIN: usize = 3;
const WORD_SEED: u32 = 0x811c_9dc5;
const COMPOUND_SEED: u32 = 0x01f0_2c6d;

/// Calls `each` for every term of `text`, in order, repeated ones too.
pub(super) fn each_term(text: &str, mut each: impl FnMut(Term, Written)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !is_name(bytes[at]) {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && is_name(bytes[at]) {
            at += 1;
        }
        if !bytes[start].is_ascii_digit() {
            name(&bytes[start..at], &mut each);
        }
    }
}

/// The hash of a word, as [`each_term`] gives it.
pub(super) fn word(word: &str) -> Term {
    word.bytes().fold(WORD_SEED, step)
}

/// Whether a byte may be in a name, by byte.
const NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = byte >= 0x80 || byte == b'_' as usize || (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    table
};

const fn is_name(byte: u8) -> bool {
    NAME[byte as usize]
}

#[inline]
fn step(hash: u32, byte: u8) -> u32 {
    (hash.rotate_left(5) ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x9E37_79B1)
}

/// The terms of one identifier.
fn name(name: &[u8], each: &mut impl FnMut(Term, Written)) {
    let (mut compound, mut parts, mut part, mut bytes) = (COMPOUND_SEED, 0, WORD_SEED, 0);
    for (at, &byte) in name.iter().enumerate() {
        if byte == b'_' || bytes > 0 && starts_part(name, at) {
            if bytes >= BYTES_MIN {
                each(part, Written::Part);
            }
            parts += usize::from(bytes > 0);
            (part, bytes) = (WORD_SEED, 0);
        }
        if byte != b'_' {
            (part, compound) = (step(part, byte), step(compound, byte));
            bytes += 1;
        }
    }
    if parts == 0 {
        if bytes >= BYTES_MIN {
            each(part, Written::Word);
        }
        return;
    }
    if bytes >= BYTES_MIN {
        each(part, Written::Part);
    }
    if parts + usize::from(bytes > 0) > 1 {
        each(compound, Written::Compound);
    }
}

/// Whether a part begins at `at`: `fooBar` and `HTTPServer` before their last capital.
fn starts_part(name: &[u8], at: usize) -> bool {
    name[at].is_ascii_uppercase()
        && (!name[at - 1].is_ascii_uppercase() || name.get(at + 1).is_some_and(u8::is_ascii_lowercase))
}

/// Keywords of the known languages and words of comments: nothing is alike because it shares them.
pub(super) const STOP: &str = "abstract all and any are args array assert async auto await base bool boolean break \
     but byte can case catch char class const constructor continue crate declare def default defer del delete done \
     double dyn echo elif else elseif end enum err error esac except explicit export extends extern false final finally \
     fixed float fmt fn for foreach from func function get global goto has have how ifdef ifndef impl implements \
     implicit import in include inline instanceof int integer interface into is isinstance its lambda len let list \
     local long macro main map match mod module move mut mutable namespace new nil none nonlocal not null number \
     object of ok only operator option or override package param params pass print println private protected pub \
     public raise readonly ref register repeat require result return returns self set short should signed sizeof some \
     static std str string struct super switch test tests text than that the their then there these they this throw \
     throws time todo trait true try type typedef typename typeof undefined union unit unless unsafe unsigned until \
     usize use used using value values var vec vector virtual void volatile was were what when where which while will \
     with without would yield you your";
