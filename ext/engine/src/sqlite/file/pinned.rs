//! File names that keep referring to the same directory after they were checked.
//!
//! Between the check of a path and its use, any process with write access to one of its directories can replace that one by
//! another directory or a link. SQLite uses the path many times: for the file, its WAL, its shared memory and its journal, whenever
//! it opens or deletes one of them. So a path is resolved once, to a descriptor of its directory. From then on, its files are named
//! by this descriptor: `/proc/self/fd/N/NAME`.
//!
//! This requires Linux, with `/proc`, and SQLite's own VFS. Elsewhere, a file is named by its absolute path, in which SQLite
//! checks for links when it opens the file. A replaced file is then detected by its [`FileId`].

#[cfg(target_os = "linux")]
mod linux;
#[cfg(all(test, target_os = "linux"))]
mod tests;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
#[cfg(target_os = "linux")]
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The name of a file in its directory. SQLite adds suffixes to it for the WAL and other files.
#[derive(Debug)]
pub(crate) struct Pinned {
    directory: Arc<Directory>,
    name: OsString,
    /// The path for messages: the one that was resolved, unless replaced by [`Pinned::named`].
    path: PathBuf,
}

impl Pinned {
    /// Resolves a path to a file that need not exist. Its directory must exist.
    ///
    /// # Errors
    /// The error of the operating system. Unless links are followed, a link in the path of the directory is an error for which
    /// [`is_link`] returns true. A link in the place of the file itself is rejected by SQLite.
    pub fn resolve(path: &Path, follow_links: bool) -> io::Result<Self> {
        let (directory, name) = Directory::resolve(path, follow_links)?;
        Ok(Self { directory, name, path: path.to_owned() })
    }

    /// Returns a file in a resolved directory, with its path for messages.
    pub fn within(directory: Arc<Directory>, name: &str, path: &Path) -> Self {
        Self { directory, name: name.into(), path: path.to_owned() }
    }

    /// Replaces the path for messages, if another is given.
    pub fn named(self, path: Option<&Path>) -> Self {
        Self { path: path.map_or(self.path, Path::to_owned), ..self }
    }

    /// Returns the path, for messages only: it may refer to another file by now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the directory of the file.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Returns the name of the file in its directory.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// Returns a path to the file, or to the one with a suffix, that the operating system can open as long as `self` exists.
    /// Not for messages.
    pub fn file(&self, suffix: &str) -> PathBuf {
        self.directory.file(&self.with_suffix(suffix))
    }

    /// Returns the path of the file with a suffix, for messages. It is in the directory of the file, not in that of a link to it.
    pub fn path_with_suffix(&self, suffix: &str) -> PathBuf {
        let name = self.with_suffix(suffix);
        match self.directory.base.canonicalize() {
            Ok(directory) if self.path.file_name() != Some(&self.name) => directory.join(name),
            _ => self.path.with_file_name(name),
        }
    }

    /// Returns the status of the file, or of the one with a suffix. Does not follow a link in its place.
    pub fn status(&self, suffix: &str) -> io::Result<Status> {
        self.directory.status(&self.with_suffix(suffix))
    }

    /// Removes the file if it is empty: one that was created, but could not be opened.
    pub fn remove_if_empty(&self) {
        if self.status("").is_ok_and(|status| status.size == 0 && !status.is_directory && !status.is_link) {
            // If this fails, the next open finds an empty file, which is harmless.
            let _ = std::fs::remove_file(self.file(""));
        }
    }

    fn with_suffix(&self, suffix: &str) -> OsString {
        let mut name = self.name.clone();
        name.push(suffix);
        name
    }
}

/// The status of a file, read without opening it.
pub(crate) struct Status {
    /// The identity of the file.
    pub id: FileId,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Whether it is a symbolic link.
    pub is_link: bool,
    /// Whether it has other names, that is, hard links.
    pub has_other_names: bool,
}

/// The identity of a file, independent of its path.
///
/// Determined without opening the file: when a process closes any descriptor of a file, POSIX drops all locks that the process has
/// on it, including SQLite's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    #[cfg(unix)]
    device: u64,
    #[cfg(unix)]
    inode: u64,
    #[cfg(not(unix))]
    path: PathBuf,
}

impl Status {
    #[cfg(unix)]
    fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = path.symlink_metadata()?;
        Ok(Self {
            id: FileId { device: metadata.dev(), inode: metadata.ino() },
            size: metadata.len(),
            is_directory: metadata.is_dir(),
            is_link: metadata.is_symlink(),
            has_other_names: metadata.nlink() > 1,
        })
    }

    #[cfg(not(unix))]
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = path.symlink_metadata()?;
        Ok(Self {
            id: FileId { path: path.canonicalize()? },
            size: metadata.len(),
            is_directory: metadata.is_dir(),
            is_link: metadata.is_symlink(),
            has_other_names: false,
        })
    }
}

/// A state of the names in a directory. While it is the same, no file in the directory was moved or replaced.
#[cfg(target_os = "linux")]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Names {
    /// The time of the last change, since the Unix epoch.
    changed: Duration,
}

/// On other systems, the state is unknown.
#[cfg(not(target_os = "linux"))]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Names {}

/// A resolved directory.
#[derive(Debug)]
pub(crate) struct Directory {
    /// `None` if files are named by their paths.
    #[cfg(target_os = "linux")]
    descriptor: Option<std::os::fd::OwnedFd>,
    /// The path by which it is opened.
    base: PathBuf,
}

impl Directory {
    /// Splits a path into its directory, which is resolved, and the name in it.
    fn resolve(path: &Path, follow_links: bool) -> io::Result<(Arc<Self>, OsString)> {
        #[cfg(target_os = "linux")]
        if crate::sqlite::file::vfs::name().is_some() && linux::can_name_by_descriptors() {
            return linux::resolve(path, follow_links);
        }
        Self::resolve_path(path, follow_links)
    }

    /// Resolves a path without descriptors.
    fn resolve_path(path: &Path, follow_links: bool) -> io::Result<(Arc<Self>, OsString)> {
        let mut path = std::path::absolute(path)?;
        if follow_links {
            let (parent, name) = split(&path)?;
            path = path.canonicalize().or_else(|_| Ok::<_, io::Error>(parent.canonicalize()?.join(name)))?;
        }
        let (parent, name) = split(&path)?;
        let directory = Self {
            #[cfg(target_os = "linux")]
            descriptor: None,
            base: parent.to_owned(),
        };
        Ok((Arc::new(directory), name.to_owned()))
    }

    /// Returns a path to a file in the directory that the operating system can open. Not for messages.
    pub fn file(&self, name: &OsStr) -> PathBuf {
        self.base.join(name)
    }

    /// Returns the state of the names in the directory, if every later change makes another one.
    #[cfg(target_os = "linux")]
    pub fn names(&self) -> Option<Names> {
        let changed = linux::changed(self.descriptor.as_ref()?).ok()?;
        // Two changes within one step of the clock have the same time. Some file systems store whole or even seconds.
        let step = if changed.subsec_millis() % 10 == 0 { Duration::from_secs(4) } else { Duration::from_millis(100) };
        let age = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.checked_sub(changed)?;
        (age > step).then_some(Names { changed })
    }

    #[cfg(not(target_os = "linux"))]
    pub fn names(&self) -> Option<Names> {
        None
    }

    /// Returns a path to the directory itself, like [`Directory::file`].
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Resolves a subdirectory, which must not be a link.
    pub fn subdirectory(&self, name: &OsStr) -> io::Result<Arc<Self>> {
        #[cfg(target_os = "linux")]
        if let Some(descriptor) = &self.descriptor {
            return linux::subdirectory(descriptor, name);
        }
        if self.status(name)?.is_link {
            return Err(link());
        }
        Ok(Arc::new(Self {
            #[cfg(target_os = "linux")]
            descriptor: None,
            base: self.base.join(name),
        }))
    }

    /// Returns the status of a file in the directory. Does not follow a link.
    pub fn status(&self, name: &OsStr) -> io::Result<Status> {
        #[cfg(target_os = "linux")]
        if let Some(descriptor) = &self.descriptor {
            return linux::status(descriptor, name);
        }
        Status::of(&self.base.join(name))
    }

    /// Syncs the directory entries to disk.
    pub fn sync(&self) -> io::Result<()> {
        #[cfg(unix)]
        std::fs::File::open(&self.base)?.sync_all()?;
        Ok(())
    }
}

/// Splits a path into its parent and file name.
fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => Ok((parent, name)),
        _ => Ok((Path::new("."), name)),
    }
}

/// Returns the error for a link that is not followed.
#[cfg(unix)]
pub(crate) fn link() -> io::Error {
    rustix::io::Errno::LOOP.into()
}

#[cfg(not(unix))]
pub(crate) fn link() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a symbolic link is not followed")
}

/// Returns whether an error is due to a link that was not followed, or to too many links.
pub(crate) fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == link().raw_os_error() && error.kind() == link().kind()
}
