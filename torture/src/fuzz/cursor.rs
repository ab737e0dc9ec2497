//! Fuzzes cursors: arbitrary strings, and cursors of keys, for arbitrary selectors.

use arbitrary::{Arbitrary, Result, Unstructured};
use openkv_engine::{Error, Key, Selector};

use super::key;

/// Generates a selector, and continues it after cursors.
pub fn cursor(data: &[u8]) {
    // An error means that the bytes are used up.
    let _ = select(&mut Unstructured::new(data));
}

fn select(u: &mut Unstructured<'_>) -> Result<()> {
    let base = stored_key(u, &[])?;
    let keys = [
        Option::arbitrary(u)?.map(|()| base.clone()),
        Option::arbitrary(u)?.map(|()| stored_key(u, base.as_bytes())).transpose()?,
        Option::arbitrary(u)?.map(|()| stored_key(u, base.as_bytes())).transpose()?,
    ];
    let [prefix, start, end] = keys.each_ref().map(Option::as_ref);
    let selector = match Selector::new(prefix, start, end) {
        Ok(selector) => selector,
        Err(Error::StartOutsidePrefix | Error::EndOutsidePrefix | Error::StartAfterEnd | Error::IncompleteSelector) => {
            return Ok(());
        }
        Err(error) => panic!("{error}"),
    };
    let whole = selector.range(None, false).expect("a selector without a cursor is valid");
    assert_eq!(selector.range(None, true).unwrap(), whole);

    let bytes = stored_key(u, base.as_bytes())?.into_bytes();
    let key = Key::from_encoded(bytes);
    let is_selected = whole.0.as_slice() <= key.as_bytes() && key.as_bytes() < whole.1.as_slice();
    match selector.cursor(&key) {
        Ok(cursor) => {
            assert!(cursor.is_ascii());
            if is_selected {
                let after = [key.as_bytes(), &[0]].concat();
                assert_eq!(selector.range(Some(&cursor), false).unwrap(), (after, whole.1.clone()), "{key:?}");
                assert_eq!(
                    selector.range(Some(&cursor), true).unwrap(),
                    (whole.0.clone(), key.into_bytes()),
                    "{selector:?}"
                );
            } else {
                check(&selector, &whole, prefix, &cursor);
            }
        }
        Err(Error::KeyOutsideSelector) => assert!(!is_selected, "{selector:?} does not give a cursor to {key:?}"),
        Err(error) => panic!("{error}"),
    }
    check(&selector, &whole, prefix, u.arbitrary()?);
    Ok(())
}

/// Checks that a cursor does not lead out of a selector.
fn check(selector: &Selector, whole: &(Vec<u8>, Vec<u8>), prefix: Option<&Key>, cursor: &str) {
    for reverse in [false, true] {
        match selector.range(Some(cursor), reverse) {
            Ok((start, end)) => {
                assert!(start >= whole.0, "{selector:?} starts at {start:?}");
                // The bytes from the prefix and `ff` on may start with the prefix, but no key has them.
                let has_no_keys = |prefix: &Key| {
                    end.starts_with(prefix.as_bytes()) && whole.1 == [prefix.as_bytes(), &[0xff]].concat()
                };
                assert!(end <= whole.1 || prefix.is_some_and(has_no_keys), "{selector:?} ends at {end:?}");
            }
            Err(Error::InvalidCursor | Error::CursorOutOfBounds) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Generates a key that may start with another one: of parts, or of arbitrary bytes, as in a corrupt file.
fn stored_key(u: &mut Unstructured<'_>, base: &[u8]) -> Result<Key> {
    let base = if u.arbitrary()? { base } else { &[] };
    let rest =
        if u.arbitrary()? { Key::from_parts(&key::parts(u)?).unwrap_or_default().into_bytes() } else { u.arbitrary()? };
    Ok(Key::from_encoded([base, &rest].concat()))
}
