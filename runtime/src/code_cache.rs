//! What the build has compiled of the sources that are loaded on first use.

use std::borrow::Cow;
use std::ops::Range;

use deno_core::SourceCodeCacheInfo;

/// Bytes at an address that V8 reads without a copy.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);

static COMPILED: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/code_cache.bin")));

/// Specifiers, sorted, and where the sources are in it.
static PLACES: &[(&str, Range<usize>)] = include!(concat!(env!("OUT_DIR"), "/code_cache.rs"));

/// Returns what a source of an extension is compiled to. V8 takes it only where it would compile it to the same.
pub(crate) fn find(specifier: &str) -> Option<SourceCodeCacheInfo> {
    let place = PLACES.binary_search_by_key(&specifier, |(specifier, _)| specifier).ok()?;
    let compiled = &COMPILED.0[PLACES[place].1.clone()];
    Some(SourceCodeCacheInfo { hash: 0, data: Some(Cow::Borrowed(compiled)) })
}
