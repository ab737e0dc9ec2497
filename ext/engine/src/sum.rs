//! Sums of plain numbers and bigints, in V8's format. The reference has them beside the sums of 64-bit integers.

use num_bigint::BigInt;
use v8_valueserializer::{Heap, Value as V8Value, ValueDeserializer, ValueSerializer};

use crate::{Error, Result, Value, ValueRef};

/// A value that can be summed up.
#[derive(Clone, Debug, PartialEq)]
enum Term {
    Number(f64),
    BigInt(BigInt),
    U64(u64),
}

impl Term {
    fn parse(value: ValueRef<'_>) -> Option<Self> {
        let bytes = match value {
            ValueRef::U64(number) => return Some(Term::U64(number)),
            // A header of two bytes, then the tag of a number. Nothing else is parsed: it could be deep.
            ValueRef::V8(bytes @ [_, _, b'I' | b'U' | b'N' | b'Z', ..]) => bytes,
            _ => return None,
        };
        match ValueDeserializer::default().read(bytes).ok()?.0 {
            V8Value::I32(number) => Some(Term::Number(number.into())),
            V8Value::U32(number) => Some(Term::Number(number.into())),
            V8Value::Double(number) => Some(Term::Number(number)),
            V8Value::BigInt(number) => Some(Term::BigInt(number)),
            _ => None,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Term::Number(_) => "Number",
            Term::BigInt(_) => "BigInt",
            Term::U64(_) => "KvU64",
        }
    }

    fn encode(self) -> Result<Value> {
        let value = match self {
            Term::U64(number) => return Ok(Value::U64(number)),
            Term::Number(number) => V8Value::Double(number),
            Term::BigInt(number) => V8Value::BigInt(number),
        };
        let bytes = ValueSerializer::default().finish(&Heap::default(), &value);
        bytes.map(Value::V8).map_err(|_| Error::NotASummand)
    }
}

/// The sum of a stored value, if there is one, and an operand in V8's format.
pub(crate) fn sum(stored: Option<ValueRef<'_>>, operand: &Value) -> Result<Value> {
    let operand = Term::parse(operand.as_ref()).ok_or(Error::OperandNotASummand)?;
    let Some(stored) = stored else {
        return operand.encode();
    };
    let stored = Term::parse(stored).ok_or(Error::NotASummand)?;
    let sum = match (&stored, &operand) {
        (Term::Number(a), Term::Number(b)) => Some(Term::Number(a + b)),
        (Term::BigInt(a), Term::BigInt(b)) => Some(Term::BigInt(a + b)),
        (Term::U64(a), Term::BigInt(b)) => u64::try_from(b).ok().map(|b| Term::U64(a.wrapping_add(b))),
        _ => None,
    };
    sum.ok_or(Error::DifferentSummands { stored: stored.name(), operand: operand.name() })?.encode()
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
    fn sums_what_is_of_one_kind() {
        let sum =
            |stored: &Value, operand: &Value| sum(Some(stored.as_ref()), operand).map_err(|error| error.to_string());
        assert_eq!(sum(&number(1.5), &number(2.0)), Ok(number(3.5)));
        assert_eq!(sum(&bigint(5), &bigint(-7)), Ok(bigint(-2)));
        assert_eq!(sum(&Value::U64(5), &bigint(2)), Ok(Value::U64(7)));
        assert_eq!(sum(&number(1.0), &bigint(2)), Err("Cannot sum Number with BigInt".into()));
        assert_eq!(sum(&Value::U64(5), &bigint(-2)), Err("Cannot sum KvU64 with BigInt".into()));
        assert_eq!(sum(&Value::Bytes(vec![1]), &number(1.0)), Err("unsupported value type".into()));
        // The text "a", in V8's format.
        let text = Value::V8(vec![0xff, 0x0f, b'"', 1, b'a']);
        assert_eq!(sum(&text, &number(1.0)), Err("unsupported value type".into()));
        assert_eq!(sum(&number(1.0), &text), Err("Some of the parameters are not valid V8 values".into()));
    }

    #[test]
    fn an_absent_value_is_the_operand() {
        // 1 as an integer, as V8 writes it: as a number here.
        assert_eq!(sum(None, &Value::V8(vec![0xff, 0x0f, b'I', 2])).unwrap(), number(1.0));
    }
}
