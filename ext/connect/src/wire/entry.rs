//! Keys, values and entries.

use openkv_engine::{Key, ReadEntry, Value, ValueRef, Versionstamp};

use super::Malformed;
use super::datapath::{KvEntry, KvValue, ValueEncoding};

/// Checks an encoded key.
///
/// # Errors
/// [`Malformed::Key`].
pub fn decode_key(bytes: Vec<u8>) -> Result<Key, Malformed> {
    let key = Key::from_encoded(bytes);
    key.parts().try_for_each(|part| part.map(drop))?;
    Ok(key)
}

/// Decodes a versionstamp of ten bytes.
///
/// # Errors
/// [`Malformed::Versionstamp`].
pub fn decode_versionstamp(bytes: &[u8]) -> Result<Versionstamp, Malformed> {
    let bytes = bytes.try_into().map_err(|_| Malformed::Versionstamp(bytes.len()))?;
    Ok(Versionstamp::from_bytes(bytes))
}

/// Encodes a value.
pub fn encode_value(value: ValueRef<'_>) -> KvValue {
    let (data, encoding) = match value {
        ValueRef::V8(bytes) => (bytes.to_vec(), ValueEncoding::VeV8),
        ValueRef::U64(number) => (number.to_le_bytes().to_vec(), ValueEncoding::VeLe64),
        ValueRef::Bytes(bytes) => (bytes.to_vec(), ValueEncoding::VeBytes),
    };
    KvValue { data, encoding: encoding as i32 }
}

/// Decodes a value.
///
/// # Errors
/// [`Malformed::Value`].
pub fn decode_value(value: KvValue) -> Result<Value, Malformed> {
    decode(value.data, value.encoding)
}

/// Encodes an entry. Without a value, its encoding is unspecified.
pub fn encode_entry(entry: ReadEntry) -> KvEntry {
    let (value, encoding) = match entry.value {
        Some(Value::V8(bytes)) => (bytes, ValueEncoding::VeV8),
        Some(Value::U64(number)) => (number.to_le_bytes().to_vec(), ValueEncoding::VeLe64),
        Some(Value::Bytes(bytes)) => (bytes, ValueEncoding::VeBytes),
        None => (Vec::new(), ValueEncoding::VeUnspecified),
    };
    let versionstamp = entry.versionstamp.as_bytes().to_vec();
    KvEntry { key: entry.key.into_bytes(), value, encoding: encoding as i32, versionstamp }
}

/// Decodes an entry, with its value if `values` were requested.
///
/// # Errors
/// [`Malformed`].
pub fn decode_entry(entry: KvEntry, values: bool) -> Result<ReadEntry, Malformed> {
    Ok(ReadEntry {
        key: decode_key(entry.key)?,
        value: if values { Some(decode(entry.value, entry.encoding)?) } else { None },
        versionstamp: decode_versionstamp(&entry.versionstamp)?,
    })
}

fn decode(bytes: Vec<u8>, encoding: i32) -> Result<Value, Malformed> {
    let malformed = Malformed::Value { encoding, len: bytes.len() };
    match ValueEncoding::try_from(encoding) {
        Ok(ValueEncoding::VeV8) => Ok(Value::V8(bytes)),
        Ok(ValueEncoding::VeLe64) => {
            let bytes = <[u8; 8]>::try_from(bytes).map_err(|_| malformed)?;
            Ok(Value::U64(u64::from_le_bytes(bytes)))
        }
        Ok(ValueEncoding::VeBytes) => Ok(Value::Bytes(bytes)),
        Ok(ValueEncoding::VeUnspecified) | Err(_) => Err(malformed),
    }
}

#[cfg(test)]
mod tests {
    use openkv_engine::KeyError;

    use super::*;

    #[test]
    fn entries_of_every_encoding_round_trip() {
        for value in [Value::V8(b"\xff\x0fT".to_vec()), Value::U64(513), Value::Bytes(vec![])] {
            let key = Key::from(["a"]);
            let entry = ReadEntry { key, value: Some(value), versionstamp: Versionstamp::from_version(7) };
            assert_eq!(decode_entry(encode_entry(entry.clone()), true), Ok(entry));
        }
    }

    #[test]
    fn entry_without_value_has_unspecified_encoding() {
        let versionstamp = Versionstamp::from_version(7);
        let entry = ReadEntry { key: Key::from(["a"]), value: None, versionstamp };
        let message = encode_entry(entry.clone());
        assert_eq!((message.value.len(), message.encoding), (0, 0));
        assert_eq!(decode_entry(message.clone(), false), Ok(entry));
        assert_eq!(decode_entry(message, true), Err(Malformed::Value { encoding: 0, len: 0 }));
    }

    #[test]
    fn malformed_entries_are_rejected() {
        let value = |data: &[u8], encoding| decode_value(KvValue { data: data.to_vec(), encoding });
        assert_eq!(value(b"1234567", 2), Err(Malformed::Value { encoding: 2, len: 7 }));
        assert_eq!(value(b"123456789", 2), Err(Malformed::Value { encoding: 2, len: 9 }));
        assert_eq!(value(b"", 4), Err(Malformed::Value { encoding: 4, len: 0 }));
        assert_eq!(value(b"", -1), Err(Malformed::Value { encoding: -1, len: 0 }));
        assert_eq!(decode_versionstamp(b"123456789"), Err(Malformed::Versionstamp(9)));
        assert_eq!(decode_key(vec![0x02]), Err(Malformed::Key(KeyError::Truncated)));
        assert_eq!(decode_key(vec![0xfe]), Err(Malformed::Key(KeyError::UnknownTag { tag: 0xfe })));
    }
}
