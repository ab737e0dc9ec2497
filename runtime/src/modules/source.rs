//! Modules as deno_core takes them.

use deno_core::{ModuleSourceCode, ModuleType, RequestedModuleType};
use deno_resolver::loader::{LoadedModuleSource, RequestedModuleType as ResolverModuleType};
use openkv_js::transpile::MediaType;

use super::source_map;

/// The type of a module that is no code, but a file as it is.
pub(super) fn asset_type(requested: &RequestedModuleType) -> Option<ModuleType> {
    match requested {
        RequestedModuleType::Text => Some(ModuleType::Text),
        RequestedModuleType::Bytes => Some(ModuleType::Bytes),
        _ => None,
    }
}

/// Returns the type that an import asks for, to Deno's resolver.
pub(super) fn requested_type(requested: &RequestedModuleType) -> ResolverModuleType<'_> {
    match requested {
        RequestedModuleType::None => ResolverModuleType::None,
        RequestedModuleType::Json => ResolverModuleType::Json,
        RequestedModuleType::Text => ResolverModuleType::Text,
        RequestedModuleType::Bytes => ResolverModuleType::Bytes,
        RequestedModuleType::Other(other) => ResolverModuleType::Other(other),
    }
}

/// Returns the type of a module that was loaded.
pub(super) fn module_type(media_type: MediaType, requested: &RequestedModuleType) -> ModuleType {
    match (requested, media_type) {
        (RequestedModuleType::Text, _) => ModuleType::Text,
        (RequestedModuleType::Bytes, _) => ModuleType::Bytes,
        (RequestedModuleType::Other(other), _) => ModuleType::Other(other.clone()),
        (_, MediaType::Json) => ModuleType::Json,
        (_, MediaType::Wasm) => ModuleType::Wasm,
        _ => ModuleType::JavaScript,
    }
}

/// Returns the code of a module, without a source map at its end if it is JavaScript.
pub(super) fn source_code(source: LoadedModuleSource, is_javascript: bool) -> ModuleSourceCode {
    let end = if is_javascript { source_map::start(source.as_bytes()) } else { None };
    match (source, end) {
        (LoadedModuleSource::ArcStr(text), None) => ModuleSourceCode::String(text.into()),
        (LoadedModuleSource::ArcStr(text), Some(end)) => ModuleSourceCode::String(text[..end].to_owned().into()),
        (LoadedModuleSource::String(text), end) => {
            let mut text = text.into_owned();
            text.truncate(end.unwrap_or(text.len()));
            ModuleSourceCode::String(text.into())
        }
        (LoadedModuleSource::ArcBytes(bytes), None) => ModuleSourceCode::Bytes(bytes.into()),
        (LoadedModuleSource::ArcBytes(bytes), Some(end)) => {
            ModuleSourceCode::Bytes(bytes[..end].to_vec().into_boxed_slice().into())
        }
        (LoadedModuleSource::Bytes(bytes), end) => {
            let mut bytes = bytes.into_owned();
            bytes.truncate(end.unwrap_or(bytes.len()));
            ModuleSourceCode::Bytes(bytes.into_boxed_slice().into())
        }
    }
}
