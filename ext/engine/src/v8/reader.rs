//! Reads V8's format token by token.

use std::borrow::Cow;
use std::mem;

use super::{Error, MAX_DEPTH, MAX_GROWTH};

type Result<T> = std::result::Result<T, Error>;

/// The supported versions of the format. They differ only in objects that cannot be stored, or that are large.
const VERSIONS: std::ops::RangeInclusive<u32> = 14..=16;

/// A value, or the beginning of a value with entries, which are read with [`Reader::more`] and [`Reader::value`].
pub(super) enum Token<'a> {
    Undefined,
    Null,
    Bool(bool),
    Number(f64),
    BigInt { negative: bool, magnitude: &'a [u8] },
    Text(Cow<'a, str>),
    Date(f64),
    RegExp { source: Cow<'a, str>, flags: String },
    Error { name: &'static str, message: Cow<'a, str>, stack: Cow<'a, str> },
    Bytes(&'a [u8]),
    Elements { kind: Element, bytes: &'a [u8] },
    Object,
    Map,
    Set,
    Array { len: u32 },
    SparseArray { len: u32 },
}

/// The element type of a typed array, other than bytes.
#[derive(Clone, Copy)]
pub(super) enum Element {
    I8,
    I16,
    U16,
    I32,
    U32,
    F32,
    F64,
    I64,
    U64,
}

/// The tag that ends a list of entries, and the number of counts that follow it.
#[derive(Clone, Copy)]
pub(super) struct End(u8, u8);

impl End {
    pub const OBJECT: Self = Self(b'{', 1);
    pub const MAP: Self = Self(b':', 1);
    pub const SET: Self = Self(b',', 1);
    pub const ARRAY: Self = Self(b'$', 2);
    pub const SPARSE_ARRAY: Self = Self(b'@', 2);
}

/// An object that a value may reference later, by its number.
#[derive(Clone, Copy)]
enum Object<'a> {
    /// An object at an offset, which is read again for each reference.
    At(usize),
    Buffer(&'a [u8]),
    View {
        kind: u8,
        bytes: &'a [u8],
    },
}

pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    objects: Vec<Object<'a>>,
    /// The number of the next object. Less than the number of objects while one is read again.
    next_object: usize,
    depth: usize,
    /// The number of bytes that may still be read.
    budget: usize,
}

impl<'a> Reader<'a> {
    /// Returns a reader of a value, after checking its header.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let budget = bytes.len() + MAX_GROWTH;
        let mut reader = Self { bytes, budget, ..Self::empty() };
        match (reader.byte()?, reader.varint()?) {
            (0xff, version) if VERSIONS.contains(&version) => Ok(reader),
            _ => Err(reader.malformed()),
        }
    }

    pub fn empty() -> Self {
        Self { bytes: &[], at: 0, objects: Vec::new(), next_object: 0, depth: 0, budget: 0 }
    }

    /// Reads a value. Its first token is passed to `read`, which must read it to its end.
    pub fn value<T>(&mut self, read: impl FnOnce(&mut Self, Token<'a>) -> Result<T>) -> Result<T> {
        self.nested(|reader| {
            let tag = reader.tag()?;
            if tag != b'^' {
                let token = reader.token(tag)?;
                return read(reader, token);
            }
            match reader.reference()? {
                (id, Object::At(at)) => {
                    let back = (mem::replace(&mut reader.at, at), mem::replace(&mut reader.next_object, id));
                    let tag = reader.tag()?;
                    let token = reader.token(tag)?;
                    let value = read(reader, token)?;
                    (reader.at, reader.next_object) = back;
                    Ok(value)
                }
                (_, Object::Buffer(bytes)) => {
                    reader.spend(bytes.len())?;
                    let token = reader.view_of(bytes)?;
                    read(reader, token)
                }
                (_, Object::View { kind, bytes }) => {
                    reader.spend(bytes.len())?;
                    let token = reader.view(kind, bytes)?;
                    read(reader, token)
                }
            }
        })
    }

    /// Skips a value.
    pub fn skip(&mut self) -> Result<()> {
        self.nested(|reader| {
            let tag = reader.tag()?;
            if tag != b'^' {
                let token = reader.token(tag)?;
                return reader.skip_entries(&token);
            }
            if let (_, Object::Buffer(bytes)) = reader.reference()? {
                reader.view_of(bytes)?;
            }
            Ok(())
        })
    }

    /// Skips the remaining entries of a value whose first token was read.
    pub fn skip_entries(&mut self, token: &Token<'a>) -> Result<()> {
        match *token {
            Token::Object => self.skip_to(End::OBJECT),
            Token::Map => self.skip_to(End::MAP),
            Token::Set => self.skip_to(End::SET),
            Token::SparseArray { .. } => self.skip_to(End::SPARSE_ARRAY),
            Token::Array { len } => {
                for _ in 0..len {
                    if !self.hole()? {
                        self.skip()?;
                    }
                }
                self.skip_to(End::ARRAY)
            }
            _ => Ok(()),
        }
    }

    /// Skips the remaining entries, and reads their end.
    pub fn skip_to(&mut self, end: End) -> Result<()> {
        while self.more(end)? {
            self.skip()?;
        }
        Ok(())
    }

    /// Returns whether another entry follows. Otherwise, reads the end.
    pub fn more(&mut self, End(tag, counts): End) -> Result<bool> {
        if !self.follows(tag)? {
            return Ok(true);
        }
        for _ in 0..counts {
            self.varint()?;
        }
        Ok(false)
    }

    /// Returns whether the next element of an array is a hole, which it then reads.
    pub fn hole(&mut self) -> Result<bool> {
        self.follows(b'-')
    }

    /// Takes bytes from the budget that are returned without being read again.
    pub fn spend(&mut self, bytes: usize) -> Result<()> {
        self.budget = self.budget.checked_sub(bytes).ok_or(Error::TooLarge { max: MAX_GROWTH })?;
        Ok(())
    }

    pub fn malformed(&self) -> Error {
        Error::Malformed { at: self.at }
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == MAX_DEPTH {
            return Err(Error::TooDeep { max: MAX_DEPTH });
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn token(&mut self, tag: u8) -> Result<Token<'a>> {
        if matches!(tag, b'o' | b'a' | b'A' | b'D' | b'y' | b'x' | b'n' | b'z' | b's' | b'R' | b';' | b'\'' | b'r') {
            self.begin(Object::At(self.at - 1));
        }
        Ok(match tag {
            b'_' => Token::Undefined,
            b'0' => Token::Null,
            b'T' | b'y' => Token::Bool(true),
            b'F' | b'x' => Token::Bool(false),
            b'I' => {
                let zigzag = self.varint()?;
                Token::Number(f64::from((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32)))
            }
            b'U' => Token::Number(self.varint()?.into()),
            b'N' | b'n' => Token::Number(self.double()?),
            b'Z' | b'z' => {
                let sign_and_len = self.varint()?;
                Token::BigInt { negative: sign_and_len & 1 == 1, magnitude: self.take((sign_and_len >> 1) as usize)? }
            }
            b'"' | b'c' | b'S' => Token::Text(self.text(tag)?),
            b's' => Token::Text(self.tagged_text()?),
            b'D' => Token::Date(self.double()?),
            b'R' => Token::RegExp { source: self.tagged_text()?, flags: flags(self.varint()?) },
            b'r' => self.error()?,
            b'o' => Token::Object,
            b';' => Token::Map,
            b'\'' => Token::Set,
            b'A' => Token::Array { len: self.varint()? },
            b'a' => Token::SparseArray { len: self.varint()? },
            b'B' | b'~' => {
                let len = self.varint()? as usize;
                if tag == b'~' {
                    let _max_len = self.varint()?;
                }
                let bytes = self.take(len)?;
                self.begin(Object::Buffer(bytes));
                self.view_of(bytes)?
            }
            b'u' | b'p' | b'w' | b'm' | b't' | b'\\' => {
                return Err(Error::Unsupported("an object that is shared with the host"));
            }
            _ => return Err(self.malformed()),
        })
    }

    /// Numbers an object, unless it is being read again.
    fn begin(&mut self, object: Object<'a>) {
        if self.next_object == self.objects.len() {
            self.objects.push(object);
        }
        self.next_object += 1;
    }

    fn reference(&mut self) -> Result<(usize, Object<'a>)> {
        let id = self.varint()? as usize;
        let object = self.objects.get(id).ok_or_else(|| self.malformed())?;
        Ok((id, *object))
    }

    /// Returns a buffer, or the view of it if one follows.
    fn view_of(&mut self, buffer: &'a [u8]) -> Result<Token<'a>> {
        if !self.follows(b'V')? {
            return Ok(Token::Bytes(buffer));
        }
        let kind = self.byte()?;
        let (offset, len, _flags) = (self.varint()? as usize, self.varint()? as usize, self.varint()?);
        let end = offset.checked_add(len).ok_or_else(|| self.malformed())?;
        let bytes = buffer.get(offset..end).ok_or_else(|| self.malformed())?;
        self.begin(Object::View { kind, bytes });
        self.view(kind, bytes)
    }

    fn view(&self, kind: u8, bytes: &'a [u8]) -> Result<Token<'a>> {
        let kind = match kind {
            b'B' | b'C' | b'?' => return Ok(Token::Bytes(bytes)),
            b'b' => Element::I8,
            b'w' => Element::I16,
            b'W' => Element::U16,
            b'd' => Element::I32,
            b'D' => Element::U32,
            b'f' => Element::F32,
            b'F' => Element::F64,
            b'q' => Element::I64,
            b'Q' => Element::U64,
            b'h' => return Err(Error::Unsupported("a Float16Array")),
            _ => return Err(self.malformed()),
        };
        Ok(Token::Elements { kind, bytes })
    }

    fn error(&mut self) -> Result<Token<'a>> {
        let (mut name, mut message, mut stack) = ("Error", Cow::default(), Cow::default());
        loop {
            match self.byte()? {
                b'E' => name = "EvalError",
                b'R' => name = "RangeError",
                b'F' => name = "ReferenceError",
                b'S' => name = "SyntaxError",
                b'T' => name = "TypeError",
                b'U' => name = "URIError",
                b'm' => message = self.tagged_text()?,
                b's' => stack = self.tagged_text()?,
                b'c' => self.skip()?,
                b'.' => return Ok(Token::Error { name, message, stack }),
                _ => return Err(self.malformed()),
            }
        }
    }

    fn tagged_text(&mut self) -> Result<Cow<'a, str>> {
        let tag = self.tag()?;
        self.text(tag)
    }

    fn text(&mut self, tag: u8) -> Result<Cow<'a, str>> {
        let len = self.varint()? as usize;
        let bytes = self.take(len)?;
        match tag {
            b'"' if bytes.is_ascii() => Ok(String::from_utf8_lossy(bytes)),
            b'"' => Ok(bytes.iter().map(|&byte| char::from(byte)).collect()),
            b'S' => Ok(String::from_utf8_lossy(bytes)),
            b'c' if len.is_multiple_of(2) => {
                let units = bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
                Ok(char::decode_utf16(units).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
            }
            _ => Err(self.malformed()),
        }
    }

    /// Reads the next tag, after padding and object counts.
    fn tag(&mut self) -> Result<u8> {
        loop {
            match self.byte()? {
                0 => {}
                b'?' => drop(self.varint()?),
                tag => return Ok(tag),
            }
        }
    }

    /// Returns whether the next tag is `tag`, which it then reads.
    fn follows(&mut self, tag: u8) -> Result<bool> {
        let rest = &self.bytes[self.at..];
        let padding = rest.iter().take_while(|&&byte| byte == 0).count();
        let follows = rest.get(padding) == Some(&tag);
        if follows {
            self.take(padding + 1)?;
        }
        Ok(follows)
    }

    fn varint(&mut self) -> Result<u32> {
        let mut value = 0;
        for shift in (0..u32::BITS).step_by(7) {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed())
    }

    fn double(&mut self) -> Result<f64> {
        let bytes = self.take(size_of::<f64>())?;
        bytes.try_into().map(f64::from_le_bytes).map_err(|_| self.malformed())
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(len).ok_or_else(|| self.malformed())?;
        let bytes = self.bytes.get(self.at..end).ok_or_else(|| self.malformed())?;
        self.spend(len)?;
        self.at = end;
        Ok(bytes)
    }
}

/// Returns the letters of a regular expression's flags.
fn flags(bits: u32) -> String {
    let letters = "gimyusldv".char_indices();
    letters.filter(|(bit, _)| bits & 1 << bit != 0).map(|(_, letter)| letter).collect()
}
