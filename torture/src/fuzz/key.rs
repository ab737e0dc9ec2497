//! Fuzzes keys: decodes arbitrary bytes, and encodes arbitrary parts.

use std::borrow::Cow;
use std::cmp::Ordering;

use arbitrary::{Result, Unstructured};
use num_bigint::{BigInt, Sign};
use openkv_engine::{Key, KeyError, KeyPart, KeyParts, Versionstamp};

/// The maximum length of an integer in a key, in bits.
const MAX_INT_BITS: u64 = 255 * 8;

/// Decodes bytes as a key, and encodes parts.
pub fn key(data: &[u8]) {
    decode(data);
    parse_versionstamp(data);
    // An error means that the bytes are used up.
    let _ = encode(&mut Unstructured::new(data));
}

fn decode(stored: &[u8]) {
    let Ok(parts) = KeyParts::new(stored).collect::<Result<Vec<_>, KeyError>>() else { return };
    let key = Key::from_parts(&parts).expect("decoded parts can be encoded");
    assert_eq!(order(&decoded(&key), &parts), Ordering::Equal, "{stored:?}");
    // Non-canonical encodings: integers with leading zeros or in an unnecessarily long form, -0n, and NaNs with a payload.
    let has_many_encodings = |part: &KeyPart<'_>| match part {
        KeyPart::Int(_) => true,
        KeyPart::Number(number) => number.is_nan(),
        _ => false,
    };
    assert!(key.as_bytes() == stored || parts.iter().any(has_many_encodings), "{stored:?} became {:?}", key.as_bytes());
}

fn parse_versionstamp(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(versionstamp) = text.parse::<Versionstamp>() {
        assert_eq!(versionstamp.to_string(), text.to_ascii_lowercase());
        assert_eq!(versionstamp.to_hex(), text.to_ascii_lowercase().as_bytes());
    }
}

fn encode(u: &mut Unstructured<'_>) -> Result<()> {
    let a = parts(u)?;
    let b = if u.arbitrary()? {
        parts(u)?
    } else {
        // With a common prefix.
        [&a[..u.int_in_range(0..=a.len())?], &parts(u)?].concat()
    };
    let (Some(key_a), Some(key_b)) = (encoded(&a), encoded(&b)) else { return Ok(()) };
    assert_eq!(key_a.cmp(&key_b), order(&a, &b), "{a:?} and {b:?}");
    assert_eq!(order(&decoded(&key_a), &a), Ordering::Equal);
    let joined = [key_a.as_bytes(), key_b.as_bytes()].concat();
    assert_eq!(order(&decoded(&Key::from_encoded(joined)), &[a, b].concat()), Ordering::Equal);
    Ok(())
}

/// Encodes parts. Returns `None` if one of them is too long.
fn encoded(parts: &[KeyPart<'_>]) -> Option<Key> {
    let is_long = |part: &KeyPart<'_>| matches!(part, KeyPart::Int(int) if int.bits() > MAX_INT_BITS);
    match Key::from_parts(parts) {
        Ok(key) => {
            assert!(!parts.iter().any(is_long));
            Some(key)
        }
        Err(error) => {
            assert_eq!(error, KeyError::IntTooLong);
            assert!(parts.iter().any(is_long));
            None
        }
    }
}

fn decoded(key: &Key) -> Vec<KeyPart<'_>> {
    key.parts().collect::<Result<_, _>>().expect("an encoded key can be decoded")
}

/// Generates parts of a key.
pub(super) fn parts(u: &mut Unstructured<'_>) -> Result<Vec<KeyPart<'static>>> {
    (0..u.int_in_range(0..=4)?).map(|_| part(u)).collect()
}

fn part(u: &mut Unstructured<'_>) -> Result<KeyPart<'static>> {
    Ok(match u.int_in_range(0..=5)? {
        0 => KeyPart::Bytes(Cow::Owned(u.arbitrary()?)),
        1 => KeyPart::String(Cow::Owned(u.arbitrary()?)),
        2 => KeyPart::bigint(u.arbitrary::<i64>()?),
        3 => {
            let sign = if u.arbitrary()? { Sign::Minus } else { Sign::Plus };
            let len = u.int_in_range(0..=260)?;
            KeyPart::Int(BigInt::from_bytes_be(sign, &vec![u.arbitrary()?; len]))
        }
        4 => KeyPart::Number(f64::from_bits(u.arbitrary()?)),
        _ => KeyPart::Bool(u.arbitrary()?),
    })
}

/// Compares keys in the order that `docs/file-format.md` and [`KeyPart`] specify.
fn order(a: &[KeyPart<'_>], b: &[KeyPart<'_>]) -> Ordering {
    let parts = a.iter().zip(b).map(|(a, b)| order_parts(a, b));
    parts.fold(Ordering::Equal, Ordering::then).then(a.len().cmp(&b.len()))
}

fn order_parts(a: &KeyPart<'_>, b: &KeyPart<'_>) -> Ordering {
    match (a, b) {
        (KeyPart::Bytes(a), KeyPart::Bytes(b)) => a.cmp(b),
        (KeyPart::String(a), KeyPart::String(b)) => a.chars().cmp(b.chars()),
        (KeyPart::Int(a), KeyPart::Int(b)) => a.cmp(b),
        (KeyPart::Number(a), KeyPart::Number(b)) => {
            if a.is_nan() && b.is_nan() {
                b.is_sign_negative().cmp(&a.is_sign_negative())
            } else {
                a.total_cmp(b)
            }
        }
        (KeyPart::Bool(a), KeyPart::Bool(b)) => a.cmp(b),
        _ => kind(a).cmp(&kind(b)),
    }
}

/// Returns the rank of a part's type in the order of types.
fn kind(part: &KeyPart<'_>) -> usize {
    match part {
        KeyPart::Bytes(_) => 0,
        KeyPart::String(_) => 1,
        KeyPart::Int(_) => 2,
        KeyPart::Number(_) => 3,
        KeyPart::Bool(_) => 4,
    }
}
