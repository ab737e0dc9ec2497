//! The JavaScript of the extensions: the startup snapshot, and the sources that are loaded on first use. `build.rs` generates
//! them.

use std::borrow::Cow;

use deno_core::SourceCodeCacheInfo;

/// The snapshot: the JavaScript of the extensions, evaluated when the runtime was built.
pub(crate) static SNAPSHOT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/snapshot.bin"));

type Sources = &'static [(&'static str, &'static str)];

static SOURCES: (Sources, Sources) = include!(concat!(env!("OUT_DIR"), "/lazy.rs"));
/// The scripts by their specifiers, in order.
pub(crate) static SCRIPTS: Sources = SOURCES.0;
/// The modules by their specifiers, in order.
pub(crate) static MODULES: Sources = SOURCES.1;

/// The compiled scripts and modules, one after another in the order of their specifiers: the specifier, the start and the end of each.
static CODE_CACHES: &[(&str, usize, usize)] = include!(concat!(env!("OUT_DIR"), "/code_cache.rs"));

/// V8 copies data that is not aligned.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);

static CODE: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/code_cache.bin")));

/// Returns the compiled form of a script or module. V8 rejects it if it runs with other flags.
pub(crate) fn code_cache(specifier: &str) -> Option<SourceCodeCacheInfo> {
    let found = CODE_CACHES.binary_search_by_key(&specifier, |(known, ..)| known).ok()?;
    let (_, start, end) = CODE_CACHES[found];
    // The hash identifies a cache that is written; these are not.
    Some(SourceCodeCacheInfo { hash: 0, data: Some(Cow::Borrowed(&CODE.0[start..end])) })
}

#[cfg(test)]
mod tests {
    use deno_core::v8::script_compiler::{CompileOptions, NoCacheReason, Source, compile_function, compile_module2};
    use deno_core::{JsRuntime, RuntimeOptions, v8};

    use super::*;
    use crate::extensions::extensions;

    #[tokio::test]
    async fn v8_accepts_the_compiled_sources() {
        let mut js = JsRuntime::new(RuntimeOptions {
            extensions: extensions(),
            startup_snapshot: Some(SNAPSHOT),
            skip_op_registration: true,
            ..RuntimeOptions::default()
        });
        deno_core::scope!(scope, &mut js);
        assert_eq!(CODE_CACHES.len(), SCRIPTS.len() + MODULES.len());
        let sources = SCRIPTS.iter().map(|source| (source, false)).chain(MODULES.iter().map(|source| (source, true)));
        for ((specifier, text), is_module) in sources {
            let code = code_cache(specifier).and_then(|cache| cache.data).unwrap();
            let [name, text, parameter] =
                [*specifier, *text, "__bootstrap"].map(|text| v8::String::new(scope, text).unwrap());
            let origin =
                v8::ScriptOrigin::new(scope, name.into(), 0, 0, false, -1, None, false, false, is_module, None);
            let cached = v8::CachedData::new(&code);
            let mut source = Source::new_with_cached_data(text, Some(&origin), cached);
            let (options, reason) = (CompileOptions::ConsumeCodeCache, NoCacheReason::NoReason);
            if is_module {
                compile_module2(scope, &mut source, options, reason).unwrap();
            } else {
                compile_function(scope, &mut source, &[parameter], &[], options, reason).unwrap();
            }
            assert!(!source.get_cached_data().unwrap().rejected(), "{specifier}");
        }
    }
}
