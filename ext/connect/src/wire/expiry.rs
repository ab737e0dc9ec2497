//! The expiry of entries.

use openkv_engine::{Expiry, Key};

use super::entry::{decode_key, decode_versionstamp};
use super::{Malformed, openkv};

/// Encodes a request for the expiry of entries.
pub fn encode(keys: &[Key]) -> openkv::Expiries {
    openkv::Expiries { keys: keys.iter().map(|key| key.as_bytes().to_vec()).collect() }
}

/// Decodes the keys of a request.
///
/// # Errors
/// [`Malformed::Key`].
pub fn decode(message: openkv::Expiries) -> Result<Vec<Key>, Malformed> {
    message.keys.into_iter().map(decode_key).collect()
}

/// Encodes the response.
pub fn encode_output(expiries: &[Option<Expiry>]) -> openkv::ExpiriesOutput {
    let encode = |expiry: &Option<Expiry>| {
        expiry.map_or_else(openkv::Expiry::default, |Expiry { versionstamp, expires_at }| openkv::Expiry {
            versionstamp: versionstamp.as_bytes().to_vec(),
            expires_at,
        })
    };
    openkv::ExpiriesOutput { expiries: expiries.iter().map(encode).collect() }
}

/// Decodes the response to a request for a number of keys.
///
/// # Errors
/// [`Malformed`].
pub fn decode_output(output: openkv::ExpiriesOutput, count: usize) -> Result<Vec<Option<Expiry>>, Malformed> {
    if output.expiries.len() != count {
        return Err(Malformed::Parts { found: output.expiries.len(), expected: count });
    }
    let decode = |openkv::Expiry { versionstamp, expires_at }: openkv::Expiry| {
        if versionstamp.is_empty() {
            return Ok(None);
        }
        Ok(Some(Expiry { versionstamp: decode_versionstamp(&versionstamp)?, expires_at }))
    };
    output.expiries.into_iter().map(decode).collect()
}

#[cfg(test)]
mod tests {
    use openkv_engine::Versionstamp;

    use super::*;

    #[test]
    fn expiries_are_decoded_as_they_were_encoded() {
        let keys = [Key::from(["a"]), Key::from(["b"])];
        assert_eq!(decode(encode(&keys)).as_deref(), Ok(&keys[..]));
        assert!(matches!(decode(openkv::Expiries { keys: vec![vec![99]] }), Err(Malformed::Key(_))));
        let expiry = |expires_at| Some(Expiry { versionstamp: Versionstamp::from_version(7), expires_at });
        let expiries = [expiry(Some(0)), None, expiry(None), expiry(Some(u64::MAX))];
        let output = encode_output(&expiries);
        assert_eq!(decode_output(output.clone(), 4).as_deref(), Ok(&expiries[..]));
        assert_eq!(decode_output(output.clone(), 3), Err(Malformed::Parts { found: 4, expected: 3 }));
        let mut short = output;
        short.expiries[0].versionstamp.pop();
        assert_eq!(decode_output(short, 4), Err(Malformed::Versionstamp(9)));
    }
}
