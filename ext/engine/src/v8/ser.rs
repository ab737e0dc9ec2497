//! Serializes values in V8's format, exactly as V8 does.

use serde::Serialize;
use serde::ser::{
    Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};

use super::{DATE, Error, MAX_DEPTH};

type Result<T> = std::result::Result<T, Error>;

/// The version of the format, which all V8 versions of recent years support.
const VERSION: u8 = 15;

/// The largest integer up to which a number represents all integers exactly.
const EXACT: u64 = 9_007_199_254_740_991;

pub(super) fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    let mut writer = Writer { bytes: vec![0xff, VERSION], depth: 0 };
    value.serialize(&mut writer)?;
    Ok(writer.bytes)
}

struct Writer {
    bytes: Vec<u8>,
    /// The number of open arrays and objects.
    depth: usize,
}

impl Writer {
    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn len(&mut self, len: usize) -> Result<()> {
        self.varint(u32::try_from(len).map_err(|_| Error::Unsupported("more than four billion bytes or entries"))?);
        Ok(())
    }

    fn double(&mut self, tag: u8, number: f64) {
        self.bytes.push(tag);
        self.bytes.extend(number.to_le_bytes());
    }

    fn bigint(&mut self, negative: bool, magnitude: u128) {
        // In whole 64-bit words, like V8.
        let len = magnitude.checked_ilog2().map_or(0, |bits| (bits as usize / 64 + 1) * 8);
        self.bytes.extend([b'Z', (len as u8) << 1 | u8::from(negative)]);
        self.bytes.extend(&magnitude.to_le_bytes()[..len]);
    }

    /// Begins an array or an object.
    fn begin(&mut self, tag: u8) -> Result<()> {
        self.depth += 1;
        // The contents are one level deeper.
        if self.depth == MAX_DEPTH {
            return Err(Error::TooDeep { max: MAX_DEPTH });
        }
        self.bytes.push(tag);
        Ok(())
    }

    /// Begins an array. If its length is not known yet, it is inserted at the end.
    fn array(&mut self, len: Option<usize>) -> Result<Array<'_>> {
        self.begin(b'A')?;
        let at = self.bytes.len();
        if let Some(len) = len {
            self.len(len)?;
        }
        Ok(Array { writer: self, at, len, written: 0, variant: false })
    }

    fn object(&mut self) -> Result<Object<'_>> {
        self.begin(b'o')?;
        Ok(Object { writer: self, written: 0, variant: false })
    }

    /// Begins an object whose only property is the data of a variant.
    fn begin_variant(&mut self, variant: &str) -> Result<()> {
        self.begin(b'o')?;
        self.text(variant)
    }

    fn end_variant(&mut self) {
        self.bytes.extend([b'{', 1]);
        self.depth -= 1;
    }

    fn text(&mut self, text: &str) -> Result<()> {
        if text.chars().all(|char| char <= '\u{ff}') {
            self.bytes.push(b'"');
            self.len(text.chars().count())?;
            self.bytes.extend(text.chars().map(|char| char as u8));
            return Ok(());
        }
        let len = 2 * text.encode_utf16().count();
        // The string must begin at an even offset.
        let len_of_len = 1 + len.ilog2() as usize / 7;
        if !(self.bytes.len() + 1 + len_of_len).is_multiple_of(2) {
            self.bytes.push(0);
        }
        self.bytes.push(b'c');
        self.len(len)?;
        self.bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
        Ok(())
    }

    /// Writes the name of a property.
    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        let at = self.bytes.len();
        key.serialize(&mut *self)?;
        match self.bytes[at..] {
            // A string, possibly after padding, or a number.
            [b'"' | b'c' | b'I' | b'N', ..] | [0, b'c', ..] => Ok(()),
            _ => Err(Error::Unsupported("a map whose keys are neither strings nor integers")),
        }
    }
}

macro_rules! serialize_small {
    ($($method:ident: $number:ty)*) => {
        $(fn $method(self, number: $number) -> Result<()> {
            self.serialize_i32(number.into())
        })*
    };
}

impl<'w> serde::Serializer for &'w mut Writer {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Array<'w>;
    type SerializeTuple = Array<'w>;
    type SerializeTupleStruct = Array<'w>;
    type SerializeTupleVariant = Array<'w>;
    type SerializeMap = Object<'w>;
    type SerializeStruct = Object<'w>;
    type SerializeStructVariant = Object<'w>;

    serialize_small! { serialize_i8: i8 serialize_i16: i16 serialize_u8: u8 serialize_u16: u16 }

    fn serialize_bool(self, bool: bool) -> Result<()> {
        self.bytes.push(if bool { b'T' } else { b'F' });
        Ok(())
    }

    fn serialize_i32(self, number: i32) -> Result<()> {
        self.bytes.push(b'I');
        self.varint((number << 1 ^ number >> 31) as u32);
        Ok(())
    }

    fn serialize_u32(self, number: u32) -> Result<()> {
        self.serialize_u64(number.into())
    }

    fn serialize_i64(self, number: i64) -> Result<()> {
        match i32::try_from(number) {
            Ok(number) => self.serialize_i32(number)?,
            Err(_) if number.unsigned_abs() <= EXACT => self.double(b'N', number as f64),
            Err(_) => self.bigint(number < 0, number.unsigned_abs().into()),
        }
        Ok(())
    }

    fn serialize_u64(self, number: u64) -> Result<()> {
        match i64::try_from(number) {
            Ok(number) => self.serialize_i64(number),
            Err(_) => self.serialize_u128(number.into()),
        }
    }

    fn serialize_i128(self, number: i128) -> Result<()> {
        self.bigint(number < 0, number.unsigned_abs());
        Ok(())
    }

    fn serialize_u128(self, number: u128) -> Result<()> {
        self.bigint(false, number);
        Ok(())
    }

    fn serialize_f32(self, number: f32) -> Result<()> {
        self.serialize_f64(number.into())
    }

    fn serialize_f64(self, number: f64) -> Result<()> {
        self.double(b'N', number);
        Ok(())
    }

    fn serialize_char(self, char: char) -> Result<()> {
        self.text(char.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Result<()> {
        self.text(text)
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<()> {
        // A buffer, and a view on all of it.
        self.bytes.push(b'B');
        self.len(bytes.len())?;
        self.bytes.extend(bytes);
        self.bytes.extend(b"VB\0");
        self.len(bytes.len())?;
        self.bytes.push(0);
        Ok(())
    }

    fn serialize_none(self) -> Result<()> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<()> {
        self.bytes.push(b'0');
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<()> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> Result<()> {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<()> {
        let at = self.bytes.len();
        value.serialize(&mut *self)?;
        if name == DATE {
            // A date is encoded like a double, except for the tag.
            self.bytes[at] = b'D';
        }
        Ok(())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<()> {
        self.begin_variant(variant)?;
        value.serialize(&mut *self)?;
        self.end_variant();
        Ok(())
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Array<'w>> {
        self.array(len)
    }

    fn serialize_tuple(self, len: usize) -> Result<Array<'w>> {
        self.array(Some(len))
    }

    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Array<'w>> {
        self.array(Some(len))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Array<'w>> {
        self.begin_variant(variant)?;
        Ok(Array { variant: true, ..self.array(Some(len))? })
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Object<'w>> {
        self.object()
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Object<'w>> {
        self.object()
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Object<'w>> {
        self.begin_variant(variant)?;
        Ok(Object { variant: true, ..self.object()? })
    }
}

/// An array that is being written.
struct Array<'w> {
    writer: &'w mut Writer,
    /// The offset of its length.
    at: usize,
    /// The declared number of elements.
    len: Option<usize>,
    written: usize,
    /// Whether it is the data of a variant.
    variant: bool,
}

impl Array<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.written += 1;
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<()> {
        let Self { writer, at, len, written, variant } = self;
        match len {
            Some(len) if len != written => {
                return Err(Error::custom("a sequence does not have its declared length"));
            }
            Some(_) => {}
            None => {
                let mut varint = Writer { bytes: Vec::new(), depth: 0 };
                varint.len(written)?;
                writer.bytes.splice(at..at, varint.bytes);
            }
        }
        // The number of additional properties, and the length again.
        writer.bytes.extend([b'$', 0]);
        writer.len(written)?;
        writer.depth -= 1;
        if variant {
            writer.end_variant();
        }
        Ok(())
    }
}

/// An object that is being written.
struct Object<'w> {
    writer: &'w mut Writer,
    written: usize,
    /// Whether it is the data of a variant.
    variant: bool,
}

impl Object<'_> {
    fn property<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<()> {
        self.written += 1;
        self.writer.text(name)?;
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<()> {
        let Self { writer, written, variant } = self;
        writer.bytes.push(b'{');
        writer.len(written)?;
        writer.depth -= 1;
        if variant {
            writer.end_variant();
        }
        Ok(())
    }
}

macro_rules! serialize_elements {
    ($($kind:ident $method:ident)*) => {
        $(impl $kind for Array<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
                self.element(value)
            }

            fn end(self) -> Result<()> {
                Array::end(self)
            }
        })*
    };
}

serialize_elements! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

impl SerializeMap for Object<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.written += 1;
        self.writer.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<()> {
        Object::end(self)
    }
}

macro_rules! serialize_properties {
    ($($kind:ident)*) => {
        $(impl $kind for Object<'_> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<()> {
                self.property(name, value)
            }

            fn end(self) -> Result<()> {
                Object::end(self)
            }
        })*
    };
}

serialize_properties! { SerializeStruct SerializeStructVariant }
