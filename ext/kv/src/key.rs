use deno_core::v8;
use openkv_engine::{Key, KeyPart, KeyParts};
use smallvec::SmallVec;

use crate::error::KvError;

/// Returns an array argument. Error messages call the argument `what`.
pub(crate) fn array<'s>(
    what: &'static str,
    value: v8::Local<'s, v8::Value>,
) -> Result<v8::Local<'s, v8::Array>, KvError> {
    value.try_into().map_err(|_| KvError::Type { what, expected: "an array", received: kind(value) })
}

/// Returns the type of a value for error messages: that of `typeof`, or "null" or "array".
pub(crate) fn kind(value: v8::Local<v8::Value>) -> &'static str {
    if value.is_null() {
        "null"
    } else if value.is_undefined() {
        "undefined"
    } else if value.is_string() {
        "string"
    } else if value.is_number() {
        "number"
    } else if value.is_big_int() {
        "bigint"
    } else if value.is_boolean() {
        "boolean"
    } else if value.is_symbol() {
        "symbol"
    } else if value.is_function() {
        "function"
    } else if value.is_array() {
        "array"
    } else {
        "object"
    }
}

/// Encodes an array of key parts.
pub(crate) fn from_v8<'s>(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> Result<Key, KvError> {
    let array = array("A key", value)?;
    let mut key = Key::new();
    for i in 0..array.length() {
        let part = array.get_index(scope, i).ok_or(KvError::NotAKeyPart)?;
        push(scope, &mut key, part)?;
    }
    Ok(key)
}

fn push<'s>(scope: &mut v8::PinScope<'s, '_>, key: &mut Key, part: v8::Local<'s, v8::Value>) -> Result<(), KvError> {
    if let Ok(string) = v8::Local::<v8::String>::try_from(part) {
        key.push_string(&string.to_rust_string_lossy(scope));
    } else if let Ok(number) = v8::Local::<v8::Number>::try_from(part) {
        key.push_number(number.value());
    } else if let Ok(int) = v8::Local::<v8::BigInt>::try_from(part) {
        push_int(key, int)?;
    } else if part.is_boolean() {
        key.push_bool(part.is_true());
    } else if let Ok(view) = v8::Local::<v8::ArrayBufferView>::try_from(part) {
        key.push_bytes(&bytes_from_v8(view));
    } else {
        return Err(KvError::NotAKeyPart);
    }
    Ok(())
}

fn push_int(key: &mut Key, int: v8::Local<v8::BigInt>) -> Result<(), KvError> {
    let mut words = vec![0; int.word_count()];
    let (negative, words) = int.to_words_array(&mut words);
    let magnitude: Vec<u8> = words.iter().rev().flat_map(|word| word.to_be_bytes()).collect();
    Ok(key.push_int(negative, &magnitude)?)
}

/// Decodes stored keys. The keys of a listing often share their first parts: a V8 string is reused if consecutive keys have the
/// same string at the same index. Strings of the first key are not cached, as most reads are of a single key.
#[derive(Default)]
pub(crate) struct KeyDecoder<'s> {
    is_begun: bool,
    parts: SmallVec<[v8::Local<'s, v8::Value>; 4]>,
    strings: Vec<Option<(String, v8::Local<'s, v8::Value>)>>,
}

impl<'s> KeyDecoder<'s> {
    /// Decodes a key to an array of its parts.
    pub fn decode(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        encoded: &[u8],
    ) -> Result<v8::Local<'s, v8::Value>, KvError> {
        self.parts.clear();
        for (i, part) in KeyParts::new(encoded).enumerate() {
            let part = match part? {
                KeyPart::String(string) if self.is_begun => self.string(scope, i, &string)?,
                part => part_to_v8(scope, &part)?,
            };
            self.parts.push(part);
        }
        self.is_begun = true;
        Ok(v8::Array::new_with_elements(scope, &self.parts).into())
    }

    fn string(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        i: usize,
        string: &str,
    ) -> Result<v8::Local<'s, v8::Value>, KvError> {
        if i >= self.strings.len() {
            self.strings.resize(i + 1, None);
        }
        match &mut self.strings[i] {
            Some((cached, value)) if cached == string => Ok(*value),
            slot => {
                let value = string_to_v8(scope, string)?;
                let (cached, cached_value) = slot.get_or_insert_with(|| (String::new(), value));
                cached.clear();
                cached.push_str(string);
                *cached_value = value;
                Ok(value)
            }
        }
    }
}

fn string_to_v8<'s>(scope: &mut v8::PinScope<'s, '_>, string: &str) -> Result<v8::Local<'s, v8::Value>, KvError> {
    Ok(v8::String::new(scope, string).ok_or(KvError::LongKey)?.into())
}

fn part_to_v8<'s>(scope: &mut v8::PinScope<'s, '_>, part: &KeyPart<'_>) -> Result<v8::Local<'s, v8::Value>, KvError> {
    Ok(match part {
        KeyPart::Bytes(bytes) => bytes_to_v8(scope, bytes),
        KeyPart::String(string) => string_to_v8(scope, string)?,
        KeyPart::Int(int) => {
            let (sign, words) = int.to_u64_digits();
            let negative = sign == num_bigint::Sign::Minus;
            v8::BigInt::new_from_words(scope, negative, &words)
                .expect("255 bytes are within V8's maximum bigint size")
                .into()
        }
        KeyPart::Number(number) => v8::Number::new(scope, *number).into(),
        KeyPart::Bool(bool) => v8::Boolean::new(scope, *bool).into(),
    })
}

/// Copies the bytes of a view.
pub(crate) fn bytes_from_v8(view: v8::Local<v8::ArrayBufferView>) -> Vec<u8> {
    let mut bytes = vec![0; view.byte_length()];
    view.copy_contents(&mut bytes);
    bytes
}

/// Copies bytes to a Uint8Array.
pub(crate) fn bytes_to_v8<'s>(scope: &mut v8::PinScope<'s, '_>, bytes: &[u8]) -> v8::Local<'s, v8::Value> {
    let store = v8::ArrayBuffer::new_backing_store_from_vec(bytes.to_vec()).make_shared();
    let buffer = v8::ArrayBuffer::with_backing_store(scope, &store);
    v8::Uint8Array::new(scope, buffer, 0, bytes.len()).expect("the buffer has this length").into()
}
