//! What is derived from the source of modules, and kept for the next run: their imports, the exports of CommonJS modules, and their
//! code as V8 has compiled it. Reading this takes less than a quarter of the time that parsing the modules takes.
//!
//! Each is a file in the cache directory. It ends with a hash of the source from which it was derived and a checksum, so that neither
//! what belongs to another source nor a damaged file is used: V8 does not verify the bytecode that it is given.

use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use deno_core::url::Url;
use deno_resolver::cache::DiskCache;
use openkv_js::transpile::MediaType;
use sys_traits::impls::RealSys;
use twox_hash::XxHash3_64;

use crate::environment::Environment;
use crate::runtime::{DENO_VERSION, V8_VERSION};

/// The directory in that of the cache.
const DIRECTORY: &str = "openkv";

/// Must be raised if what is derived changes while all versions in [`checksum`] stay.
const FORMAT: &str = "1";

/// The size of the hash and of the checksum in bytes.
const HASH: usize = size_of::<u64>();

/// What is derived.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// The imports of a module.
    Imports,
    /// The exports of a CommonJS module.
    Exports,
    /// The compiled code of an ES module.
    Code,
    /// The compiled code of a CommonJS module.
    CommonJsCode,
}

impl Kind {
    /// Returns the extension of the files.
    fn extension(self) -> &'static str {
        match self {
            Self::Imports => "imports",
            Self::Exports => "exports",
            Self::Code => "code",
            Self::CommonJsCode => "cjs-code",
        }
    }
}

/// The files. Without a cache directory, nothing is kept.
pub(super) struct Derived {
    files: Option<DiskCache<RealSys>>,
    /// Whether a file could not be written, as in a read-only directory. No others are written then.
    failed: AtomicBool,
}

impl Derived {
    /// Returns the files in the cache directory of this process.
    pub fn in_cache_directory() -> Self {
        let directory = Environment::at_start().cache_directory.as_ref().ok();
        Self::in_directory(directory.map(|directory| directory.join(DIRECTORY)))
    }

    fn in_directory(directory: Option<PathBuf>) -> Self {
        let files = directory.map(|directory| DiskCache::new(RealSys, directory));
        Self { files, failed: AtomicBool::new(false) }
    }

    /// Returns what was derived from the source of a module with this hash.
    pub fn read(&self, kind: Kind, module: &Url, source_hash: u64) -> Option<Vec<u8>> {
        let mut data = self.files.as_ref()?.get(&name(kind, module)?).ok()?;
        let end = data.len().checked_sub(2 * HASH)?;
        let expected = [source_hash, checksum(kind, module, source_hash, &data[..end])].map(u64::to_le_bytes);
        if data[end..] != *expected.as_flattened() {
            return None;
        }
        data.truncate(end);
        Some(data)
    }

    /// Keeps what was derived from the source of a module.
    pub fn write(&self, kind: Kind, module: &Url, source_hash: u64, mut data: Vec<u8>) {
        let (Some(files), Some(name)) = (&self.files, name(kind, module)) else { return };
        if self.failed.load(Ordering::Relaxed) {
            return;
        }
        let checksum = checksum(kind, module, source_hash, &data);
        data.extend(source_hash.to_le_bytes());
        data.extend(checksum.to_le_bytes());
        if files.set(&name, &data).is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
    }
}

/// Returns the path of a file, which must not depend on the names in the URL: a program may choose them. Returns `None` for a module
/// that no later run loads again, such as a blob or the code of `openkv eval`.
fn name(kind: Kind, module: &Url) -> Option<PathBuf> {
    if !matches!(module.scheme(), "file" | "http" | "https") || module.path().contains("/$deno$") {
        return None;
    }
    let name = format!("{:016x}.{}", XxHash3_64::oneshot(module.as_str().as_bytes()), kind.extension());
    // Few files in each directory.
    Some(Path::new(&name[..2]).join(&name[2..]))
}

/// Returns the hash of a source of a type.
pub(super) fn hash(source: &[u8], media_type: MediaType) -> u64 {
    XxHash3_64::oneshot_with_seed(media_type as u64, source)
}

/// Returns the checksum of a file, which differs in each version that may derive something else.
fn checksum(kind: Kind, module: &Url, source_hash: u64, data: &[u8]) -> u64 {
    let mut hasher = XxHash3_64::with_seed(source_hash);
    for part in [FORMAT, env!("CARGO_PKG_VERSION"), DENO_VERSION, V8_VERSION, kind.extension(), module.as_str()] {
        hasher.write(part.as_bytes());
    }
    hasher.write(data);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_intact_files_of_the_same_source_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let derived = Derived::in_directory(Some(directory.path().to_owned()));
        let module = Url::parse("https://example.com/a.ts").unwrap();
        let read = |kind, source_hash| derived.read(kind, &module, source_hash);
        assert_eq!(read(Kind::Code, 1), None);
        derived.write(Kind::Code, &module, 1, b"compiled".to_vec());
        assert_eq!(read(Kind::Code, 1).as_deref(), Some(&b"compiled"[..]));
        assert_eq!(read(Kind::Code, 2), None);
        assert_eq!(read(Kind::Imports, 1), None);

        let file = directory.path().join(name(Kind::Code, &module).unwrap());
        let intact = std::fs::read(&file).unwrap();
        std::fs::write(file.with_extension("imports"), &intact).unwrap();
        assert_eq!(read(Kind::Imports, 1), None, "it is of another kind");
        let other = Url::parse("https://example.com/a.ts?b").unwrap();
        let of_other = directory.path().join(name(Kind::Code, &other).unwrap());
        std::fs::create_dir_all(of_other.parent().unwrap()).unwrap();
        std::fs::write(of_other, &intact).unwrap();
        assert_eq!(derived.read(Kind::Code, &other, 1), None, "it is of another module");
        for i in 0..intact.len() {
            let mut damaged = intact.clone();
            damaged[i] ^= 1;
            std::fs::write(&file, damaged).unwrap();
            assert_eq!(read(Kind::Code, 1), None, "byte {i} has changed");
            std::fs::write(&file, &intact[..i]).unwrap();
            assert_eq!(read(Kind::Code, 1), None, "{i} bytes are left");
        }
        std::fs::write(&file, &intact).unwrap();
        assert!(read(Kind::Code, 1).is_some());
        derived.write(Kind::Code, &module, 2, Vec::new());
        assert_eq!((read(Kind::Code, 1), read(Kind::Code, 2)), (None, Some(Vec::new())));
    }

    #[test]
    fn modules_without_a_location_are_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let derived = Derived::in_directory(Some(directory.path().to_owned()));
        for module in ["data:text/javascript,1", "blob:null/1", "npm:a@1.0.0", "file:///$deno$eval.mts"] {
            derived.write(Kind::Code, &Url::parse(module).unwrap(), 1, Vec::new());
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
