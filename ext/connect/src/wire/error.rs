//! Encoding of the engine's errors for clients with the extension: a code, for some with an argument, in the header
//! [`ERROR`](super::headers::ERROR). The message of the error is the body of the response.

use std::sync::Arc;

use http::HeaderValue;
use openkv_engine::{Cause, Error, Operand};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// The cause of a failure of the server's storage, as the server reports it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RemoteCause(pub String);

/// The maximum length of a message in a header, in bytes before percent-encoding.
const MESSAGE_LEN: usize = 1024;

/// The characters to percent-encode in a message.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%').add(b' ');

/// The kinds of numbers in the errors of a sum.
const KINDS: [&str; 3] = ["Number", "BigInt", "KvU64"];

/// Defines encoding and decoding of the errors without an argument, or with a limit, an operation or a cause.
macro_rules! codes {
    (
        none: { $($unit:literal => $Unit:ident,)* }
        limit: { $($limit:literal => $Limit:ident,)* }
        operation: { $($operation:literal => $Operation:ident,)* }
        cause: { $($cause:literal => $Cause:ident,)* }
    ) => {
        fn encode_listed(error: &Error) -> Option<(&'static str, Option<String>)> {
            Some(match error {
                $(Error::$Unit => ($unit, None),)*
                $(Error::$Limit { max } => ($limit, Some(max.to_string())),)*
                $(Error::$Operation { operation } => ($operation, Some((*operation).to_owned())),)*
                $(Error::$Cause(cause) => ($cause, Some(encode_text(&cause.to_string()))),)*
                _ => return None,
            })
        }

        fn decode_listed(code: &str, argument: Option<&str>) -> Option<Error> {
            Some(match code {
                $($unit => Error::$Unit,)*
                $($limit => Error::$Limit { max: argument?.parse().ok()? },)*
                $($operation => Error::$Operation { operation: decode_operation(argument?)? },)*
                $($cause => Error::$Cause(decode_cause(argument?)),)*
                _ => return None,
            })
        }
    };
}

codes! {
    none: {
        "empty_key" => EmptyKey,
        "operand_not_numeric" => OperandNotNumeric,
        "stored_not_numeric" => StoredNotNumeric,
        "bound_kind_mismatch" => BoundKindMismatch,
        "sum_out_of_range" => SumOutOfRange,
        "start_after_end" => StartAfterEnd,
        "no_version_left" => NoVersionLeft,
        "read_only" => ReadOnly,
        "busy" => Busy,
    }
    limit: {
        "key_too_large_to_write" => KeyTooLargeToWrite,
        "key_too_large_to_read" => KeyTooLargeToRead,
        "value_too_large" => ValueTooLarge,
        "message_too_large" => MessageTooLarge,
        "too_many_ranges" => TooManyRanges,
        "too_many_entries" => TooManyEntries,
        "too_many_checks" => TooManyChecks,
        "too_many_mutations" => TooManyMutations,
        "too_many_keys" => TooManyKeys,
        "write_too_large" => WriteTooLarge,
        "keys_too_large" => KeysTooLarge,
    }
    operation: {
        "operand_not_u64" => OperandNotU64,
        "stored_not_u64" => StoredNotU64,
    }
    cause: {
        "corrupt" => Corrupt,
        "full" => Full,
        "storage" => Storage,
    }
}

/// Encodes an error as the value of the header: its code, and its argument after a space. Errors that concern only the server,
/// for example a moved file, become failures of the storage.
pub fn encode(error: &Error) -> HeaderValue {
    let (code, argument) = encode_listed(error).unwrap_or_else(|| match error {
        Error::OperandKindMismatch { stored, operand } => {
            ("operand_kind_mismatch", Some(format!("{stored},{operand}")))
        }
        Error::OutcomeUnknown(cause) => ("outcome_unknown", Some(encode_text(&cause.to_string()))),
        Error::Unsupported { .. } => ("unsupported", None),
        error => ("storage", Some(encode_text(&error.to_string()))),
    });
    let text = argument.map_or_else(|| code.to_owned(), |argument| format!("{code} {argument}"));
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("storage"))
}

/// Decodes the value of the header. Returns `None` for an unknown code.
pub fn decode(header: &HeaderValue) -> Option<Error> {
    let text = header.to_str().ok()?;
    let (code, argument) = text.split_once(' ').map_or((text, None), |(code, argument)| (code, Some(argument)));
    decode_listed(code, argument).or_else(|| match code {
        "operand_kind_mismatch" => {
            let (stored, operand) = argument?.split_once(',')?;
            Some(Error::OperandKindMismatch { stored: decode_kind(stored)?, operand: decode_kind(operand)? })
        }
        "outcome_unknown" => Some(Error::OutcomeUnknown(Arc::new(Error::Storage(decode_cause(argument?))))),
        "unsupported" => Some(Error::Unsupported { backend: "the server's database", what: "do this" }),
        _ => None,
    })
}

/// Returns the error with a message that servers without the extension send, which is Deno's: that of a write whose operands or
/// stored values cannot be combined.
pub fn from_message(text: &str) -> Option<Error> {
    let plain = [Error::OperandNotNumeric, Error::StoredNotNumeric, Error::BoundKindMismatch, Error::SumOutOfRange];
    let operations = [Operand::Sum, Operand::Min, Operand::Max].map(Operand::name);
    let operands = operations.map(|operation| Error::OperandNotU64 { operation });
    let stored = operations.map(|operation| Error::StoredNotU64 { operation });
    let kinds = KINDS.iter().flat_map(|stored| KINDS.map(|operand| Error::OperandKindMismatch { stored, operand }));
    let mut known = plain.into_iter().chain(operands).chain(stored).chain(kinds);
    known.find(|error| error.to_string() == text)
}

fn encode_text(text: &str) -> String {
    let len = text.floor_char_boundary(MESSAGE_LEN);
    utf8_percent_encode(&text[..len], ESCAPED).to_string()
}

fn decode_cause(argument: &str) -> Cause {
    Cause::new(RemoteCause(percent_decode_str(argument).decode_utf8_lossy().into_owned()))
}

fn decode_operation(name: &str) -> Option<&'static str> {
    [Operand::Sum, Operand::Min, Operand::Max].map(Operand::name).into_iter().find(|known| *known == name)
}

fn decode_kind(name: &str) -> Option<&'static str> {
    KINDS.into_iter().find(|known| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(error: &Error) -> Error {
        decode(&encode(error)).unwrap()
    }

    #[test]
    fn errors_round_trip_with_their_messages() {
        let cause = || Cause::new(RemoteCause("100 % of \u{e9}\n".into()));
        let errors = [
            Error::EmptyKey,
            Error::Busy,
            Error::ReadOnly,
            Error::ValueTooLarge { max: 65_536 },
            Error::TooManyChecks { max: 100 },
            Error::OperandNotU64 { operation: "min" },
            Error::StoredNotU64 { operation: "sum" },
            Error::OperandKindMismatch { stored: "KvU64", operand: "Number" },
            Error::Corrupt(cause()),
            Error::Full(cause()),
            Error::Storage(cause()),
        ];
        for error in errors {
            let decoded = round_trip(&error);
            assert_eq!(decoded.to_string(), error.to_string());
            assert_eq!(std::mem::discriminant(&decoded), std::mem::discriminant(&error));
        }
    }

    #[test]
    fn messages_of_other_servers_are_recognized() {
        let text = "Failed to perform 'min' mutation on a non-U64 value in the database";
        assert!(matches!(from_message(text), Some(Error::StoredNotU64 { operation: "min" })));
        let text = "Cannot sum Number with BigInt";
        assert!(matches!(from_message(text), Some(Error::OperandKindMismatch { stored: "Number", operand: "BigInt" })));
        for text in ["", "Cannot sum Number with Text", "Too many checks included in atomic write."] {
            assert!(from_message(text).is_none(), "{text}");
        }
    }

    #[test]
    fn unknown_outcome_round_trips() {
        let cause = Error::Storage(Cause::new(RemoteCause("lost".into())));
        let decoded = round_trip(&Error::OutcomeUnknown(Arc::new(cause)));
        assert!(matches!(decoded, Error::OutcomeUnknown(_)), "{decoded:?}");
        assert!(decoded.to_string().contains("lost"));
    }

    #[test]
    fn errors_of_the_server_only_become_failures() {
        let moved = Error::Moved { path: "/data/kv".into() };
        let decoded = round_trip(&moved);
        assert!(decoded.is_failure());
        assert!(decoded.to_string().ends_with(&moved.to_string()));
    }

    #[test]
    fn long_messages_are_truncated() {
        let error = Error::Storage(Cause::new(RemoteCause("\u{e9}".repeat(MESSAGE_LEN))));
        assert!(round_trip(&error).to_string().len() < 2 * MESSAGE_LEN);
    }

    #[test]
    fn unknown_codes_are_none() {
        for text in ["", "other", "value_too_large", "value_too_large x", "operand_not_u64 xor", "storage"] {
            assert!(decode(&HeaderValue::from_str(text).unwrap()).is_none(), "{text}");
        }
        let operands = HeaderValue::from_static("operand_kind_mismatch KvU64,Text");
        assert!(decode(&operands).is_none());
        assert!(decode(&HeaderValue::from_bytes(b"\xff").unwrap()).is_none());
    }
}
