//! Makes a file that is there as a whole or not at all, even if the process or the machine dies.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tempfile::{TempDir, TempPath};

use super::source;
use crate::sqlite::open_files::FileId;
use crate::{FileProblem, Result};

/// Finds that a file can be made: that it is none of those it is made from, and is not there or may be overwritten.
pub(super) fn require_free(path: &Path, from: &Path, overwrite: bool) -> Result<()> {
    require_other(path, from)?;
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(FileProblem::Folder.of(path)),
        Ok(_) if !overwrite => return Err(FileProblem::Exists.of(path)),
        _ => {}
    }
    for suffix in ["-wal", "-journal"] {
        let log = source::beside(path, suffix);
        if log.exists() {
            return Err(FileProblem::LogBeside { log }.of(path));
        }
    }
    Ok(())
}

/// Finds a file to be another one, and none that SQLite keeps beside it.
pub(super) fn require_other(path: &Path, from: &Path) -> Result<()> {
    let Ok(id) = FileId::of(path, true) else {
        return Ok(());
    };
    let taken = ["", "-wal", "-shm", "-journal"].map(|suffix| FileId::of(&source::beside(from, suffix), true));
    match taken.into_iter().flatten().any(|taken| taken == id) {
        true => Err(FileProblem::Same.of(path)),
        false => Ok(()),
    }
}

/// Where a file is made: in a folder of its own beside its place, which goes with whatever is left in it.
pub(super) struct Stage {
    folder: TempDir,
}

impl Stage {
    /// Beside a file.
    pub fn beside(path: &Path) -> Result<Self> {
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(path.file_name().unwrap_or_default());
        prefix.push(".partial-");
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent(path));
        Ok(Self { folder: folder.map_err(FileProblem::io(parent(path)))? })
    }

    /// The file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("database")
    }

    /// An image of the damaged file, which goes with the folder.
    pub fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    /// Puts the file in its place, on the disk, with the permissions of another. Answers its size in bytes.
    pub fn put(self, path: &Path, like: &Path, overwrite: bool) -> Result<u64> {
        let file = self.file();
        let put = || -> std::io::Result<u64> {
            fs::set_permissions(&file, permissions(like)?)?;
            let opened = File::open(&file)?;
            opened.sync_all()?;
            let size = opened.metadata()?.len();
            let staged = TempPath::try_from_path(&file)?;
            match overwrite {
                true => staged.persist(path)?,
                false => staged.persist_noclobber(path)?,
            }
            #[cfg(unix)]
            File::open(parent(path))?.sync_all()?;
            Ok(size)
        };
        put().map_err(FileProblem::io(path))
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The permissions of a file, so that a copy is as secret. Its owner may write the copy.
fn permissions(like: &Path) -> std::io::Result<fs::Permissions> {
    let permissions = fs::metadata(like)?.permissions();
    #[cfg(unix)]
    let permissions = {
        use std::os::unix::fs::PermissionsExt;
        fs::Permissions::from_mode(permissions.mode() | 0o600)
    };
    Ok(permissions)
}
