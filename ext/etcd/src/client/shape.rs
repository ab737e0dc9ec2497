//! The shape of responses: what a client may rely on, whatever the server sends.

use super::proto::{self, KeyValue, RangeRequest, RangeResponse, ResponseHeader, ResponseOp, SortOrder};
use crate::error::EtcdError;

/// The greatest revision that is accepted, so that there are greater ones.
const MAX_REVISION: i64 = i64::MAX / 2;

/// Checks that a response has a header with a revision.
pub(super) fn check_header(header: Option<&ResponseHeader>) -> Result<(), EtcdError> {
    match header {
        None => Err(EtcdError::Malformed("it has no header")),
        Some(header) if !is_revision(header.revision) => Err(EtcdError::Malformed("its revision is invalid")),
        Some(_) => Ok(()),
    }
}

/// Checks that a response has keys of the requested range alone, in order, and not too many.
pub(super) fn check_range(request: &RangeRequest, response: &RangeResponse) -> Result<(), EtcdError> {
    let kvs = &response.kvs;
    let is_within = |key: &[u8]| {
        if request.range_end.is_empty() {
            key == request.key
        } else {
            (&request.key[..]..&request.range_end).contains(&key)
        }
    };
    let is_ordered = |one: &KeyValue, other: &KeyValue| {
        if request.sort_order == i32::from(SortOrder::Descend) { one.key > other.key } else { one.key < other.key }
    };
    if !kvs.iter().all(|kv| is_within(&kv.key)) {
        return Err(EtcdError::Malformed("it has other keys"));
    }
    if !kvs.is_sorted_by(is_ordered) {
        return Err(EtcdError::Malformed("its keys are not in order"));
    }
    if !kvs.iter().all(|kv| is_revision(kv.mod_revision)) {
        return Err(EtcdError::Malformed("the revision of a key is invalid"));
    }
    let is_limited = usize::try_from(request.limit).is_ok_and(|limit| limit > 0 && kvs.len() > limit);
    if is_limited || (response.more && kvs.is_empty()) {
        return Err(EtcdError::Malformed("it has not as many keys as it says"));
    }
    Ok(())
}

/// Returns the entry of a range of one key.
pub(crate) fn entry(response: Option<ResponseOp>, key: &[u8]) -> Result<Option<KeyValue>, EtcdError> {
    let found = response.and_then(ResponseOp::into_range).ok_or(EtcdError::Malformed("a range is missing"))?;
    check_range(&proto::range(key.to_vec(), Vec::new()), &found)?;
    Ok(found.kvs.into_iter().next())
}

fn is_revision(revision: i64) -> bool {
    (1..=MAX_REVISION).contains(&revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kv(key: &[u8], mod_revision: i64) -> KeyValue {
        KeyValue { key: key.to_vec(), mod_revision, ..KeyValue::default() }
    }

    #[test]
    fn ranges_have_the_requested_keys_in_order() {
        let request = RangeRequest { limit: 2, ..proto::range(b"b".to_vec(), b"e".to_vec()) };
        let check = |request: &RangeRequest, kvs: &[KeyValue]| {
            check_range(request, &RangeResponse { kvs: kvs.to_vec(), ..RangeResponse::default() }).is_ok()
        };
        assert!(check(&request, &[]));
        assert!(check(&request, &[kv(b"b", 1), kv(b"d", 2)]));
        for kvs in [
            vec![kv(b"a", 1)],
            vec![kv(b"e", 1)],
            vec![kv(b"b", 0)],
            vec![kv(b"b", i64::MAX)],
            vec![kv(b"c", 1), kv(b"b", 1)],
            vec![kv(b"b", 1), kv(b"b", 1)],
            vec![kv(b"b", 1), kv(b"c", 1), kv(b"d", 1)],
        ] {
            assert!(!check(&request, &kvs), "{kvs:?}");
        }
        let descending = RangeRequest { sort_order: SortOrder::Descend.into(), ..request.clone() };
        assert!(check(&descending, &[kv(b"d", 2), kv(b"b", 1)]));
        assert!(!check(&descending, &[kv(b"b", 1), kv(b"d", 2)]));
        let single = proto::range(b"b".to_vec(), Vec::new());
        assert!(check(&single, &[kv(b"b", 1)]) && !check(&single, &[kv(b"ba", 1)]));
        let more = RangeResponse { more: true, ..RangeResponse::default() };
        assert!(check_range(&request, &more).is_err());
    }
}
