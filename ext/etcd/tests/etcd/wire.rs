//! The encoding of messages, without their meaning, to change those of a server.

use rand::Rng;
use rand::rngs::StdRng;

/// The fields of a message, in their order.
pub struct Fields(pub Vec<Field>);

/// A field of a message.
#[derive(Clone)]
pub struct Field {
    pub number: u64,
    value: Value,
}

#[derive(Clone)]
enum Value {
    Varint(u64),
    Bytes(Vec<u8>),
    /// Of a fixed length, with its wire type.
    Fixed(u64, Vec<u8>),
}

impl Fields {
    /// Parses a message. Returns `None` if the bytes are not one.
    pub fn parse(mut bytes: &[u8]) -> Option<Self> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let tag = take_varint(&mut bytes)?;
            let value = match tag & 7 {
                0 => Value::Varint(take_varint(&mut bytes)?),
                2 => {
                    let len = take_varint(&mut bytes)?;
                    Value::Bytes(take(&mut bytes, usize::try_from(len).ok()?)?)
                }
                1 => Value::Fixed(1, take(&mut bytes, 8)?),
                5 => Value::Fixed(5, take(&mut bytes, 4)?),
                _ => return None,
            };
            fields.push(Field { number: tag >> 3, value });
        }
        Some(Self(fields))
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for Field { number, value } in &self.0 {
            match value {
                Value::Varint(value) => {
                    [number << 3, *value].into_iter().for_each(|part| push_varint(&mut bytes, part))
                }
                Value::Bytes(value) => {
                    [number << 3 | 2, value.len() as u64].into_iter().for_each(|part| push_varint(&mut bytes, part));
                    bytes.extend(value);
                }
                Value::Fixed(wire_type, value) => {
                    push_varint(&mut bytes, number << 3 | wire_type);
                    bytes.extend(value);
                }
            }
        }
        bytes
    }
}

impl Field {
    /// Returns a field that holds a message.
    pub fn message(number: u64, message: &Fields) -> Self {
        Self { number, value: Value::Bytes(message.encode()) }
    }

    /// Changes the fields of the message that the field holds.
    pub fn nested(&mut self, change: impl FnOnce(&mut Fields)) {
        if let Value::Bytes(bytes) = &mut self.value
            && let Some(mut fields) = Fields::parse(bytes)
        {
            change(&mut fields);
            *bytes = fields.encode();
        }
    }

    pub fn set_varint(&mut self, value: u64) {
        self.value = Value::Varint(value);
    }
}

/// Returns a message with a random change.
pub fn mutated(message: &[u8], random: &mut StdRng) -> Vec<u8> {
    let Some(mut fields) = Fields::parse(message).filter(|fields| !fields.0.is_empty() && random.random_bool(0.95))
    else {
        let mut bytes = message.to_vec();
        if bytes.is_empty() || random.random_bool(0.3) {
            bytes.truncate(random.random_range(0..=bytes.len()));
            bytes.push(random.random());
        } else {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        return bytes;
    };
    let at = random.random_range(0..fields.0.len());
    match random.random_range(0..8) {
        0 => drop(fields.0.remove(at)),
        1 => fields.0.insert(at, fields.0[at].clone()),
        2 => {
            let other = random.random_range(0..fields.0.len());
            fields.0.swap(at, other);
        }
        3 => fields.0[at].number = random.random_range(1..12),
        _ => match &mut fields.0[at].value {
            Value::Varint(value) => {
                *value =
                    *[0, 1, 2, i64::MAX as u64, u64::MAX, random.random()].get(random.random_range(0..6)).unwrap_or(&0);
            }
            Value::Bytes(bytes) | Value::Fixed(_, bytes) => {
                let nested = mutated(bytes, random);
                fields.0[at].value = Value::Bytes(nested);
            }
        },
    }
    fields.encode()
}

fn take(bytes: &mut &[u8], len: usize) -> Option<Vec<u8>> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken.to_vec())
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
