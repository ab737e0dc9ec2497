//! Cursors: any text, and those of keys, for any selector.

use arbitrary::{Arbitrary, Result, Unstructured};
use openkv_engine::{Error, Key, Selector};

use super::key;

/// Makes a selector, and continues in it after cursors.
pub fn cursor(data: &[u8]) {
    // The bytes may end anywhere: what they give is enough.
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
    let whole = selector.range(None, false).expect("without a cursor, nothing can be wrong");
    assert_eq!(selector.range(None, true).unwrap(), whole);

    let bytes = stored_key(u, base.as_bytes())?.into_bytes();
    let key = Key::from_encoded(bytes);
    let is_selected = whole.0.as_slice() <= key.as_bytes() && key.as_bytes() < whole.1.as_slice();
    match selector.cursor(&key) {
        Ok(cursor) => {
            assert!(cursor.is_ascii());
            if is_selected {
                let behind = [key.as_bytes(), &[0]].concat();
                assert_eq!(selector.range(Some(&cursor), false).unwrap(), (behind, whole.1.clone()), "{key:?}");
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

/// Checks that no cursor leads out of a selector.
fn check(selector: &Selector, whole: &(Vec<u8>, Vec<u8>), prefix: Option<&Key>, cursor: &str) {
    for reverse in [false, true] {
        match selector.range(Some(cursor), reverse) {
            Ok((start, end)) => {
                assert!(start >= whole.0, "{selector:?} begins at {start:?}");
                // Beyond the end of a prefix there may be bytes that begin with the prefix, but no key has them.
                let is_no_key = |prefix: &Key| {
                    end.starts_with(prefix.as_bytes()) && whole.1 == [prefix.as_bytes(), &[0xff]].concat()
                };
                assert!(end <= whole.1 || prefix.is_some_and(is_no_key), "{selector:?} ends at {end:?}");
            }
            Err(Error::InvalidCursor | Error::CursorOutOfBounds) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// A key that may begin as another one does: of parts, or of any bytes, as a damaged file may have.
fn stored_key(u: &mut Unstructured<'_>, base: &[u8]) -> Result<Key> {
    let base = if u.arbitrary()? { base } else { &[] };
    let rest =
        if u.arbitrary()? { Key::from_parts(&key::parts(u)?).unwrap_or_default().into_bytes() } else { u.arbitrary()? };
    Ok(Key::from_encoded([base, &rest].concat()))
}
