//! Several atomic writes in one request.

use http::HeaderValue;
use openkv_engine::{CommitId, Error};

use super::openkv::{NamedWrite, Outcome, WritesOutput};
use super::write::{self, WriteOutcome};
use super::{Malformed, error};

/// Returns the part of a request for an encoded write.
pub fn encode(id: CommitId, write: Vec<u8>) -> NamedWrite {
    NamedWrite { id: id.0.to_vec(), write }
}

/// Returns the commit id that a write of a request has.
///
/// # Errors
/// [`Malformed::CommitIdLength`].
pub fn decode_id(id: &[u8]) -> Result<CommitId, Malformed> {
    id.try_into().map(CommitId).map_err(|_| Malformed::CommitIdLength(id.len()))
}

/// Returns the part of a response for the result of a write.
pub fn encode_result(result: &Result<WriteOutcome, Error>) -> Outcome {
    match result {
        Ok(outcome) => Outcome { output: Some(write::encode_outcome(outcome)), error: Vec::new() },
        Err(error) => Outcome { output: None, error: error::encode(error).as_bytes().to_vec() },
    }
}

/// Returns the results that a response has for a number of writes.
///
/// # Errors
/// What is wrong with it. Which of the writes were committed is unknown then.
pub fn decode_results(output: &WritesOutput, expected: usize) -> Result<Vec<Result<WriteOutcome, Error>>, Malformed> {
    let found = output.outcomes.len();
    if found != expected {
        return Err(Malformed::Parts { found, expected });
    }
    output.outcomes.iter().map(decode_result).collect()
}

fn decode_result(outcome: &Outcome) -> Result<Result<WriteOutcome, Error>, Malformed> {
    if let Some(output) = &outcome.output {
        return write::decode_outcome(output).map(Ok);
    }
    let error = HeaderValue::from_bytes(&outcome.error).ok().and_then(|header| error::decode(&header));
    error.map(Err).ok_or(Malformed::NoOutcome)
}

#[cfg(test)]
mod tests {
    use openkv_engine::{Commit, Versionstamp};

    use super::*;

    #[test]
    fn results_are_decoded_as_they_were_encoded() {
        let results = [
            Ok(WriteOutcome::Commit(Commit::Done(Versionstamp::from_version(7)))),
            Ok(WriteOutcome::Commit(Commit::Conflict { failed: vec![2] })),
            Ok(WriteOutcome::Disabled),
            Err(Error::StoredNotU64 { operation: "sum" }),
        ];
        let output = WritesOutput { outcomes: results.iter().map(encode_result).collect() };
        let decoded = decode_results(&output, results.len()).unwrap();
        for (decoded, result) in decoded.into_iter().zip(&results) {
            assert_eq!(format!("{decoded:?}"), format!("{result:?}"));
        }
        assert_eq!(decode_results(&output, 3).unwrap_err(), Malformed::Parts { found: 4, expected: 3 });
    }

    #[test]
    fn unknown_result_is_malformed() {
        for error in [&b""[..], b"other", b"\n"] {
            let output = WritesOutput { outcomes: vec![Outcome { output: None, error: error.to_vec() }] };
            assert_eq!(decode_results(&output, 1).unwrap_err(), Malformed::NoOutcome);
        }
    }

    #[test]
    fn commit_id_has_16_bytes() {
        assert_eq!(decode_id(&encode(CommitId([7; 16]), Vec::new()).id), Ok(CommitId([7; 16])));
        assert_eq!(decode_id(&[7; 15]), Err(Malformed::CommitIdLength(15)));
    }
}
