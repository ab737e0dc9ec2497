use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use deno_core::error::ModuleLoaderError;
use deno_core::{
    ModuleLoadOptions, ModuleLoadReferrer, ModuleLoadResponse, ModuleLoader, ModuleSource, ModuleSourceCode,
    ModuleSpecifier, ModuleType, RequestedModuleType, ResolutionKind, resolve_import,
};
use deno_error::JsErrorBox;
use deno_permissions::{CheckSpecifierKind, PermissionsContainer};
use openkv_transpile::MediaType;

/// Why a module was not loaded.
#[derive(Debug, thiserror::Error, deno_error::JsError)]
#[class(type)]
enum LoadError {
    #[error("Module not found \"{0}\".")]
    NotFound(ModuleSpecifier),
    #[error("Unable to load \"{specifier}\": {source}")]
    Unreadable { specifier: ModuleSpecifier, source: std::io::Error },
    #[error("Unable to load \"{0}\": only files can be imported")]
    NotAFile(ModuleSpecifier),
    #[error("\"{0}\" is no path of a file on this system")]
    Path(ModuleSpecifier),
    #[error("Directory import \"{0}\" is not supported: name a file in it")]
    Directory(ModuleSpecifier),
    #[error(
        "Expected a JavaScript or TypeScript module, but identified a Json module. Consider importing Json modules with \
         an import attribute with the type of \"json\".\n  Specifier: {0}"
    )]
    JsonWithoutAttribute(ModuleSpecifier),
    #[error(
        "Expected a Json module, but \"{0}\" is a JavaScript or TypeScript module: import it without the attribute"
    )]
    NotJson(ModuleSpecifier),
    #[error(transparent)]
    Transpile(#[from] openkv_transpile::Error),
}

/// What is known of the main module before it is loaded.
pub(crate) struct MainModule {
    pub specifier: ModuleSpecifier,
    /// Its text, where it is not read from its URL.
    pub text: Option<String>,
    /// What it is written in, where its URL does not tell.
    pub media_type: Option<MediaType>,
}

/// Loads modules from files, and transpiles those that are not JavaScript.
pub(crate) struct FileLoader {
    main: MainModule,
    permissions: PermissionsContainer,
    loaded: RefCell<HashMap<String, Loaded>>,
}

/// What is kept of a module, for the stacks of errors.
struct Loaded {
    text: Arc<str>,
    source_map: Option<String>,
}

impl FileLoader {
    /// A loader that checks dynamic imports against the permissions.
    pub fn new(main: MainModule, permissions: PermissionsContainer) -> Self {
        Self { main, permissions, loaded: RefCell::default() }
    }

    fn load_file(
        &self,
        specifier: &ModuleSpecifier,
        requested: &RequestedModuleType,
    ) -> Result<ModuleSource, LoadError> {
        let main = Some(&self.main).filter(|main| main.specifier == *specifier);
        let media_type = main.and_then(|main| main.media_type).unwrap_or_else(|| MediaType::from_specifier(specifier));
        let module_type = match (media_type, requested) {
            (MediaType::Json, RequestedModuleType::Json) => ModuleType::Json,
            (MediaType::Json, RequestedModuleType::None) => {
                return Err(LoadError::JsonWithoutAttribute(specifier.clone()));
            }
            (_, RequestedModuleType::Json) => return Err(LoadError::NotJson(specifier.clone())),
            _ => ModuleType::JavaScript,
        };
        let text: Arc<str> = match main.and_then(|main| main.text.as_deref()) {
            Some(text) => text.into(),
            None => read(specifier)?.into(),
        };
        let (code, source_map) = if openkv_transpile::is_needed(media_type) {
            let transpiled = openkv_transpile::transpile(specifier.clone(), media_type, text.clone())?;
            (transpiled.text.into(), Some(transpiled.source_map))
        } else {
            (text.clone().into(), None)
        };
        self.loaded.borrow_mut().insert(specifier.to_string(), Loaded { text, source_map });
        Ok(ModuleSource::new(module_type, ModuleSourceCode::String(code), specifier, None))
    }
}

impl ModuleLoader for FileLoader {
    fn resolve(
        &self,
        specifier: &str,
        referrer: &str,
        _kind: ResolutionKind,
    ) -> Result<ModuleSpecifier, ModuleLoaderError> {
        resolve_import(specifier, referrer).map_err(JsErrorBox::from_err)
    }

    fn load(
        &self,
        specifier: &ModuleSpecifier,
        referrer: Option<&ModuleLoadReferrer>,
        options: ModuleLoadOptions,
    ) -> ModuleLoadResponse {
        // What a module imports statically is part of the program. What it imports while it runs, it must be allowed to
        // read.
        let allowed = match options.is_dynamic_import {
            true => {
                self.permissions.check_specifier(specifier, CheckSpecifierKind::Dynamic).map_err(JsErrorBox::from_err)
            }
            false => Ok(()),
        };
        let source = allowed.and_then(|()| {
            let loaded = self.load_file(specifier, &options.requested_module_type);
            loaded.map_err(|error| match (&error, referrer) {
                (LoadError::Transpile(_), _) | (_, None) => JsErrorBox::from_err(error),
                (_, Some(at)) => JsErrorBox::type_error(format!(
                    "{error}\n    at {}:{}:{}",
                    at.specifier, at.line_number, at.column_number
                )),
            })
        });
        ModuleLoadResponse::Sync(source)
    }

    fn get_source_map(&self, specifier: &str) -> Option<Cow<'_, [u8]>> {
        let loaded = self.loaded.borrow();
        Some(Cow::Owned(loaded.get(specifier)?.source_map.clone()?.into_bytes()))
    }

    fn get_source_mapped_source_line(&self, specifier: &str, line: usize) -> Option<String> {
        let loaded = self.loaded.borrow();
        loaded.get(specifier)?.text.lines().nth(line).map(Into::into)
    }
}

fn read(specifier: &ModuleSpecifier) -> Result<String, LoadError> {
    if specifier.scheme() != "file" {
        return Err(LoadError::NotAFile(specifier.clone()));
    }
    let path: PathBuf = specifier.to_file_path().map_err(|()| LoadError::Path(specifier.clone()))?;
    let bytes = std::fs::read(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => LoadError::NotFound(specifier.clone()),
        std::io::ErrorKind::IsADirectory => LoadError::Directory(specifier.clone()),
        _ => LoadError::Unreadable { specifier: specifier.clone(), source },
    })?;
    // As in a browser, what is not UTF-8 is replaced, and a byte order mark is no part of the text.
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}
