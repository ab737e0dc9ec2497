//! Deserializes V8's format with serde.

use std::borrow::Cow;

use serde::de::value::{F64Deserializer, MapAccessDeserializer, MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::reader::{Element, End, Reader, Token};
use super::{DATE, Error};

type Result<T> = std::result::Result<T, Error>;

/// The largest integer up to which a number represents all integers exactly.
const EXACT: f64 = 9_007_199_254_740_991.0;

/// Deserializes a value whose first token was read.
pub(super) struct Deserializer<'r, 'a> {
    pub reader: &'r mut Reader<'a>,
    pub token: Token<'a>,
}

impl<'de> serde::Deserializer<'de> for Deserializer<'_, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let Self { reader, token } = self;
        match token {
            Token::Undefined | Token::Null => visitor.visit_unit(),
            Token::Bool(bool) => visitor.visit_bool(bool),
            Token::Number(number) => visit_number(number, visitor),
            Token::BigInt { negative, magnitude } => visit_bigint(negative, magnitude, visitor),
            Token::Text(Cow::Borrowed(text)) => visitor.visit_str(text),
            Token::Text(Cow::Owned(text)) => visitor.visit_string(text),
            Token::Date(time) => visitor.visit_f64(time),
            Token::RegExp { source, flags } => visit_fields(&[("source", &source), ("flags", &flags)], visitor),
            Token::Error { name, message, stack } => {
                visit_fields(&[("name", name), ("message", &message), ("stack", &stack)], visitor)
            }
            Token::Bytes(bytes) => visitor.visit_bytes(bytes),
            Token::Elements { kind, bytes } => visit_elements(kind, bytes, visitor),
            Token::Object => {
                let entries = Entries { reader, names: true, end: End::OBJECT, ended: false };
                entries.read(|entries| visitor.visit_map(entries))
            }
            Token::Map => {
                let entries = Entries { reader, names: false, end: End::MAP, ended: false };
                entries.read(|entries| visitor.visit_map(entries))
            }
            Token::Set => {
                let mut values = Set { reader, ended: false };
                let value = visitor.visit_seq(&mut values)?;
                if !values.ended {
                    values.reader.skip_to(End::SET)?;
                }
                Ok(value)
            }
            Token::Array { len } => {
                let mut elements = Array { reader, left: len };
                let value = visitor.visit_seq(&mut elements)?;
                elements.reader.skip_entries(&Token::Array { len: elements.left })?;
                Ok(value)
            }
            Token::SparseArray { len } => {
                let mut elements = SparseArray { reader, index: 0, len, next: Next::Unknown };
                let value = visitor.visit_seq(&mut elements)?;
                if !matches!(elements.next, Next::End) {
                    elements.reader.skip_to(End::SPARSE_ARRAY)?;
                }
                Ok(value)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.token {
            Token::Undefined | Token::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value> {
        match self.token {
            _ if name != DATE => visitor.visit_newtype_struct(self),
            Token::Date(time) => visitor.visit_newtype_struct(F64Deserializer::new(time)),
            _ => Err(Error::invalid_type(Unexpected::Other("another type"), &"a Date")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        let (names, end) = match &self.token {
            Token::Object => (true, End::OBJECT),
            Token::Map => (false, End::MAP),
            Token::Text(name) => return visitor.visit_enum(StrDeserializer::new(name)),
            _ => return Err(Error::custom("an enum must be a string, or an object with one property")),
        };
        let entries = Entries { reader: self.reader, names, end, ended: false };
        entries.read(|entries| {
            let value = visitor.visit_enum(MapAccessDeserializer::new(&mut *entries))?;
            if entries.another()? {
                Err(Error::custom("an enum must be an object with one property, not more"))
            } else {
                Ok(value)
            }
        })
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.token {
            Token::Elements { bytes, .. } => visitor.visit_bytes(bytes),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.token {
            Token::Bytes(bytes) => visitor.visit_seq(SeqDeserializer::new(bytes.iter().copied())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, _len: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.reader.skip_entries(&self.token)?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string unit unit_struct map struct identifier
    }
}

/// Visits a number, as an integer if it has no fraction: a visitor of floats accepts that, too.
fn visit_number<'de, V: Visitor<'de>>(number: f64, visitor: V) -> Result<V::Value> {
    let is_whole = number.fract() == 0.0 && number.abs() <= EXACT;
    let is_negative_zero = number == 0.0 && number.is_sign_negative();
    if !is_whole || is_negative_zero {
        visitor.visit_f64(number)
    } else if number < 0.0 {
        visitor.visit_i64(number as i64)
    } else {
        visitor.visit_u64(number as u64)
    }
}

fn visit_bigint<'de, V: Visitor<'de>>(negative: bool, magnitude: &[u8], visitor: V) -> Result<V::Value> {
    let too_large = || Error::Unsupported("a bigint of more than 128 bits");
    let mut bytes = [0; 16];
    let (low, high) = magnitude.split_at(magnitude.len().min(bytes.len()));
    if high.iter().any(|&byte| byte != 0) {
        return Err(too_large());
    }
    bytes[..low.len()].copy_from_slice(low);
    let magnitude = u128::from_le_bytes(bytes);
    if !negative {
        return match u64::try_from(magnitude) {
            Ok(integer) => visitor.visit_u64(integer),
            Err(_) => visitor.visit_u128(magnitude),
        };
    }
    let integer = 0i128.checked_sub_unsigned(magnitude).ok_or_else(too_large)?;
    match i64::try_from(integer) {
        Ok(integer) => visitor.visit_i64(integer),
        Err(_) => visitor.visit_i128(integer),
    }
}

fn visit_fields<'de, V: Visitor<'de>>(fields: &[(&'static str, &str)], visitor: V) -> Result<V::Value> {
    visitor.visit_map(MapDeserializer::new(fields.iter().map(|&(name, text)| (Name(name), Name(text)))))
}

fn visit_elements<'de, V: Visitor<'de>>(kind: Element, bytes: &[u8], visitor: V) -> Result<V::Value> {
    macro_rules! visit {
        ($number:ty) => {{
            let (elements, _) = bytes.as_chunks();
            visitor.visit_seq(SeqDeserializer::new(elements.iter().map(|&element| <$number>::from_le_bytes(element))))
        }};
    }
    match kind {
        Element::I8 => visit!(i8),
        Element::I16 => visit!(i16),
        Element::U16 => visit!(u16),
        Element::I32 => visit!(i32),
        Element::U32 => visit!(u32),
        Element::F32 => visit!(f32),
        Element::F64 => visit!(f64),
        Element::I64 => visit!(i64),
        Element::U64 => visit!(u64),
    }
}

/// Deserializes the next value.
fn read_next<'de, T: DeserializeSeed<'de>>(reader: &mut Reader<'_>, seed: T) -> Result<T::Value> {
    reader.value(|reader, token| seed.deserialize(Deserializer { reader, token }))
}

/// The properties of an object, or the entries of a `Map`.
struct Entries<'r, 'a> {
    reader: &'r mut Reader<'a>,
    /// Whether the keys are property names.
    names: bool,
    end: End,
    ended: bool,
}

impl Entries<'_, '_> {
    /// Calls `visit` to read the entries, and skips those that it left.
    fn read<T>(mut self, visit: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let value = visit(&mut self)?;
        if !self.ended {
            self.reader.skip_to(self.end)?;
        }
        Ok(value)
    }

    fn another(&mut self) -> Result<bool> {
        self.ended = self.ended || !self.reader.more(self.end)?;
        Ok(!self.ended)
    }
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if !self.another()? {
            return Ok(None);
        }
        if !self.names {
            return read_next(self.reader, seed).map(Some);
        }
        let key = self.reader.value(|reader, token| match token {
            Token::Text(name) => seed.deserialize(Name(&name)),
            Token::Number(number) => seed.deserialize(Name(&number.to_string())),
            _ => Err(reader.malformed()),
        });
        key.map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        read_next(self.reader, seed)
    }
}

struct Set<'r, 'a> {
    reader: &'r mut Reader<'a>,
    ended: bool,
}

impl<'de> SeqAccess<'de> for Set<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        self.ended = self.ended || !self.reader.more(End::SET)?;
        if self.ended { Ok(None) } else { read_next(self.reader, seed).map(Some) }
    }
}

struct Array<'r, 'a> {
    reader: &'r mut Reader<'a>,
    left: u32,
}

impl<'de> SeqAccess<'de> for Array<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        if self.reader.hole()? {
            seed.deserialize(Deserializer { reader: self.reader, token: Token::Undefined }).map(Some)
        } else {
            read_next(self.reader, seed).map(Some)
        }
    }

    fn size_hint(&self) -> Option<usize> {
        // The declared length, which may be wrong. serde reserves little memory for it.
        Some(self.left as usize)
    }
}

/// An array with holes, in which each element is preceded by its index.
struct SparseArray<'r, 'a> {
    reader: &'r mut Reader<'a>,
    index: u32,
    len: u32,
    next: Next,
}

/// The next item in a sparse array.
enum Next {
    Unknown,
    /// The element with an index.
    Element(u32),
    /// A property.
    Other,
    /// The end of the array.
    End,
}

impl<'de> SeqAccess<'de> for SparseArray<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if self.index == self.len {
            return Ok(None);
        }
        if let Next::Unknown = self.next {
            self.next = if self.reader.more(End::SPARSE_ARRAY)? {
                self.reader.value(|_, token| match token {
                    Token::Number(index) if index >= self.index.into() => Ok(Next::Element(index as u32)),
                    _ => Ok(Next::Other),
                })?
            } else {
                Next::End
            };
        }
        let index = self.index;
        self.index += 1;
        match self.next {
            Next::Element(next) if next == index => {
                self.next = Next::Unknown;
                read_next(self.reader, seed).map(Some)
            }
            _ => {
                self.reader.spend(1)?;
                seed.deserialize(Deserializer { reader: self.reader, token: Token::Undefined }).map(Some)
            }
        }
    }
}

/// A property name. Unlike serde's deserializer of strings, it also deserializes integers and options.
#[derive(Clone, Copy)]
struct Name<'t>(&'t str);

impl IntoDeserializer<'_, Error> for Name<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! deserialize_integers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            if let Ok(integer) = self.0.parse() {
                return visitor.visit_u64(integer);
            }
            match self.0.parse() {
                Ok(integer) => visitor.visit_i64(integer),
                Err(_) => visitor.visit_str(self.0),
            }
        })*
    };
}

impl<'de> serde::Deserializer<'de> for Name<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_enum(StrDeserializer::new(self.0))
    }

    deserialize_integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}
