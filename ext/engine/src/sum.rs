//! Sums of numbers and bigints in V8's format, which Deno supports in addition to those of 64-bit integers.

use num_bigint::{BigInt, Sign};

use crate::{Error, Result, SumBounds, Value, ValueRef};

/// A value that can be summed.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Term {
    Number(f64),
    BigInt(BigInt),
    U64(u64),
}

impl Term {
    fn parse(value: ValueRef<'_>) -> Option<Self> {
        // A header of two bytes, then the tag of the number.
        let (tag, mut rest) = match value {
            ValueRef::U64(number) => return Some(Term::U64(number)),
            ValueRef::V8([HEADER, FIRST_VERSION..=LAST_VERSION, tag, rest @ ..]) => (*tag, rest),
            _ => return None,
        };
        let term = match tag {
            b'N' => Term::Number(f64::from_le_bytes(*take(&mut rest)?)),
            b'U' => Term::Number(varint(&mut rest)?.into()),
            b'I' => {
                let zigzag = varint(&mut rest)?;
                Term::Number(f64::from((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32)))
            }
            b'Z' => {
                // The sign, then the number of bytes.
                let bitfield = varint(&mut rest)?;
                let sign = if bitfield & 1 == 0 { Sign::Plus } else { Sign::Minus };
                let (magnitude, after) = rest.split_at_checked((bitfield >> 1) as usize)?;
                rest = after;
                Term::BigInt(BigInt::from_bytes_le(sign, magnitude))
            }
            _ => return None,
        };
        rest.is_empty().then_some(term)
    }

    fn name(&self) -> &'static str {
        match self {
            Term::Number(_) => "Number",
            Term::BigInt(_) => "BigInt",
            Term::U64(_) => "KvU64",
        }
    }

    fn encode(self) -> Result<Value> {
        let mut bytes = vec![HEADER, VERSION];
        match self {
            Term::U64(number) => return Ok(Value::U64(number)),
            Term::Number(number) => {
                bytes.push(b'N');
                bytes.extend(number.to_le_bytes());
            }
            Term::BigInt(number) => {
                let (sign, magnitude) = number.to_bytes_le();
                let len =
                    u32::try_from(magnitude.len()).ok().filter(|len| *len < 1 << 31).ok_or(Error::StoredNotNumeric)?;
                bytes.push(b'Z');
                push_varint(&mut bytes, len << 1 | u32::from(sign == Sign::Minus));
                bytes.extend(magnitude);
            }
        }
        Ok(Value::V8(bytes))
    }
}

/// The first byte of a value in V8's format, and the version that follows: the one to write, and those that can be read.
const HEADER: u8 = 0xff;
const VERSION: u8 = 15;
const FIRST_VERSION: u8 = 14;
const LAST_VERSION: u8 = 16;

/// Takes the first `N` bytes.
fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(first)
}

/// Reads an integer of up to 32 bits, in groups of seven, the lowest first. Returns `None` for a larger one.
fn varint(bytes: &mut &[u8]) -> Option<u32> {
    let mut number = 0_u64;
    for shift in (0..35).step_by(7) {
        let [byte] = *take(bytes)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(number).ok();
        }
    }
    None
}

fn push_varint(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Returns the sum of a stored value, if any, and an operand in V8's format.
pub(crate) fn sum(stored: Option<ValueRef<'_>>, operand: &Value) -> Result<Value> {
    let operand = Term::parse(operand.as_ref()).ok_or(Error::OperandNotNumeric)?;
    let Some(stored) = stored else {
        return operand.encode();
    };
    let stored = Term::parse(stored).ok_or(Error::StoredNotNumeric)?;
    let sum = match (&stored, &operand) {
        (Term::Number(a), Term::Number(b)) => Some(Term::Number(a + b)),
        (Term::BigInt(a), Term::BigInt(b)) => Some(Term::BigInt(a + b)),
        (Term::U64(a), Term::BigInt(b)) => u64::try_from(b).ok().map(|b| Term::U64(a.wrapping_add(b))),
        _ => None,
    };
    sum.ok_or(Error::OperandKindMismatch { stored: stored.name(), operand: operand.name() })?.encode()
}

/// Returns the sum like [`sum`], within bounds.
pub(crate) fn bounded_sum(stored: Option<ValueRef<'_>>, operand: &Value, bounds: &SumBounds) -> Result<Value> {
    let parse = |value: &Value| Term::parse(value.as_ref()).ok_or(Error::OperandNotNumeric);
    let [min, max] = [&bounds.min, &bounds.max];
    let (kind, min, max) =
        (parse(operand)?, min.as_ref().map(parse).transpose()?, max.as_ref().map(parse).transpose()?);
    let is_other_kind = |term: &Term| std::mem::discriminant(term) != std::mem::discriminant(&kind);
    if min.iter().chain(&max).any(is_other_kind) {
        return Err(Error::BoundKindMismatch);
    }
    let summed = sum(stored, operand)?;
    let term = parse(&summed)?;
    if is_other_kind(&term) {
        return Err(Error::OperandKindMismatch { stored: term.name(), operand: kind.name() });
    }
    // A sum that is NaN is neither below nor above a bound.
    let bound = match (min, max) {
        (Some(min), _) if term < min => min,
        (_, Some(max)) if term > max => max,
        _ => return Ok(summed),
    };
    if bounds.clamp { bound.encode() } else { Err(Error::SumOutOfRange) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: f64) -> Value {
        Term::Number(number).encode().unwrap()
    }

    fn bigint(number: i64) -> Value {
        Term::BigInt(number.into()).encode().unwrap()
    }

    #[test]
    fn numbers_of_the_same_type_are_summed() {
        let sum =
            |stored: &Value, operand: &Value| sum(Some(stored.as_ref()), operand).map_err(|error| error.to_string());
        assert_eq!(sum(&number(1.5), &number(2.0)), Ok(number(3.5)));
        assert_eq!(sum(&bigint(5), &bigint(-7)), Ok(bigint(-2)));
        assert_eq!(sum(&Value::U64(5), &bigint(2)), Ok(Value::U64(7)));
        assert_eq!(sum(&number(1.0), &bigint(2)), Err("Cannot sum Number with BigInt".into()));
        assert_eq!(sum(&Value::U64(5), &bigint(-2)), Err("Cannot sum KvU64 with BigInt".into()));
        assert_eq!(sum(&Value::Bytes(vec![1]), &number(1.0)), Err("unsupported value type".into()));
        // The string "a", in V8's format.
        let string = Value::V8(vec![0xff, 0x0f, b'"', 1, b'a']);
        assert_eq!(sum(&string, &number(1.0)), Err("unsupported value type".into()));
        assert_eq!(sum(&number(1.0), &string), Err("Some of the parameters are not valid V8 values".into()));
    }

    #[test]
    fn bounds_clamp_or_reject_the_sum() {
        let sum = |stored: &Value, operand: &Value, bounds: [Option<Value>; 2], clamp| {
            let [min, max] = bounds;
            bounded_sum(Some(stored.as_ref()), operand, &SumBounds { min, max, clamp })
                .map_err(|error| error.to_string())
        };
        let bounds = || [Some(number(0.0)), Some(number(10.0))];
        assert_eq!(sum(&number(4.0), &number(6.0), bounds(), false), Ok(number(10.0)));
        assert_eq!(sum(&number(4.0), &number(7.0), bounds(), true), Ok(number(10.0)));
        assert_eq!(sum(&number(4.0), &number(-5.0), bounds(), true), Ok(number(0.0)));
        let out_of_range = "The result of a Sum operation would exceed its range limit";
        assert_eq!(sum(&number(4.0), &number(7.0), bounds(), false), Err(out_of_range.into()));
        assert_eq!(sum(&bigint(4), &bigint(-7), [Some(bigint(-2)), None], false), Err(out_of_range.into()));
        assert_eq!(sum(&bigint(4), &bigint(-7), [Some(bigint(-2)), None], true), Ok(bigint(-2)));
        assert_eq!(
            sum(&Value::U64(4), &bigint(7), [None, Some(bigint(5))], true),
            Err("Cannot sum KvU64 with BigInt".into())
        );
        let mismatch = "Min/max parameters have different types than the operand";
        assert_eq!(sum(&number(4.0), &number(7.0), [Some(bigint(1)), None], true), Err(mismatch.into()));
        let not_numeric = "Some of the parameters are not valid V8 values";
        assert_eq!(sum(&number(4.0), &number(7.0), [Some(Value::Bytes(vec![])), None], true), Err(not_numeric.into()));
        let absent =
            bounded_sum(None, &number(12.0), &SumBounds { max: Some(number(10.0)), clamp: true, ..Default::default() });
        assert_eq!(absent.unwrap(), number(10.0));
    }

    #[test]
    fn encoded_numbers_are_parsed() {
        let wide: BigInt = (BigInt::from(1) << 9000_usize) - 1;
        let terms = [0_i64, 1, -1, 255, 1 << 40].map(|number| Term::BigInt(number.into())).into_iter();
        let numbers = [0.0, -1.5, f64::INFINITY].map(Term::Number);
        for term in terms.chain(numbers).chain([Term::BigInt(wide.clone()), Term::BigInt(-wide)]) {
            assert_eq!(Term::parse(term.clone().encode().unwrap().as_ref()), Some(term));
        }
        // As V8 writes them: -2, 300, 4294967295, and -1n in a whole word.
        let parse = |bytes: &[u8]| Term::parse(ValueRef::V8(&[&[0xff, 15], bytes].concat()));
        assert_eq!(parse(b"I\x03"), Some(Term::Number(-2.0)));
        assert_eq!(parse(b"U\xac\x02"), Some(Term::Number(300.0)));
        assert_eq!(parse(b"U\xff\xff\xff\xff\x0f"), Some(Term::Number(4_294_967_295.0)));
        assert_eq!(parse(b"Z\x11\x01\0\0\0\0\0\0\0"), Some(Term::BigInt((-1).into())));
    }

    #[test]
    fn corrupt_numbers_are_rejected() {
        let parse = |bytes: &[u8]| Term::parse(ValueRef::V8(bytes));
        for tail in
            [&b"N\0"[..], b"I", b"I\x02\0", b"U\xff\xff\xff\xff\x1f", b"U\x80\x80\x80\x80\x80\0", b"Z\x10\x01", b"Z"]
        {
            assert_eq!(parse(&[&[0xff, 15], tail].concat()), None, "{tail:?}");
        }
        for header in [[0xfe, 15], [0xff, 13], [0xff, 17]] {
            assert_eq!(parse(&[&header[..], b"I\x02"].concat()), None, "{header:?}");
        }
    }

    #[test]
    fn sum_without_a_stored_value_is_the_operand() {
        // V8 writes 1 as an integer; the sum is written as a double.
        assert_eq!(sum(None, &Value::V8(vec![0xff, 0x0f, b'I', 2])).unwrap(), number(1.0));
    }
}
