//! Names of files that go on to lead to where they led when they were checked.
//!
//! Between a check of a path and its use, whoever may write to one of its directories can put another directory or a link in
//! the place of that one. SQLite uses the path many times: for the file, its WAL, its shared memory and its journal, whenever it
//! opens or deletes one of them. So a path is resolved once, to a descriptor of its directory. From then on, its files are named
//! by this descriptor: `/proc/self/fd/N/NAME`.
//!
//! That takes Linux, with `/proc`, and SQLite's own file system. Elsewhere, a file is named by its absolute path, which SQLite
//! finds to be free of links when it opens it. See [`FileId`] for what is noticed there.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(all(test, target_os = "linux"))]
mod tests;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name of a file in its directory, with those of the files that SQLite keeps beside it.
#[derive(Debug)]
pub(crate) struct Pinned {
    directory: Arc<Directory>,
    name: OsString,
    /// The path for messages: the one that was resolved, unless they are to name another.
    path: PathBuf,
}

impl Pinned {
    /// Resolves a path to a file that need not be there yet. Its directory must be.
    ///
    /// # Errors
    /// That of the operating system. Where links are not followed, one in the path of the directory is an error of [`is_link`].
    /// SQLite opens none in the place of the file itself.
    pub fn resolve(path: &Path, follow_links: bool) -> io::Result<Self> {
        let (directory, name) = Directory::resolve(path, follow_links)?;
        Ok(Self { directory, name, path: path.to_owned() })
    }

    /// A file in a directory that was resolved already, and the path to give in messages.
    pub fn within(directory: Arc<Directory>, name: &str, path: &Path) -> Self {
        Self { directory, name: name.into(), path: path.to_owned() }
    }

    /// Has messages name the file by another path, where there is one.
    pub fn named(self, path: Option<&Path>) -> Self {
        Self { path: path.map_or(self.path, Path::to_owned), ..self }
    }

    /// The path for messages alone: it may lead elsewhere by now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that the file is in.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// The name of the file in its directory.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// A path by which the operating system finds the file, or the one that SQLite keeps beside it under a suffix, for as long
    /// as this is kept. Not for messages.
    pub fn file(&self, suffix: &str) -> PathBuf {
        self.directory.file(&self.with_suffix(suffix))
    }

    /// The path of the file beside it under a suffix, for messages. That is beside the file, not beside a link to it.
    pub fn path_beside(&self, suffix: &str) -> PathBuf {
        let name = self.with_suffix(suffix);
        match self.directory.base.canonicalize() {
            Ok(directory) if self.path.file_name() != Some(&self.name) => directory.join(name),
            _ => self.path.with_file_name(name),
        }
    }

    /// Looks at the file, or at the one beside it under a suffix. Does not follow a link in its place.
    pub fn status(&self, suffix: &str) -> io::Result<Status> {
        self.directory.status(&self.with_suffix(suffix))
    }

    /// Removes the file if there is nothing in it: one that was created, and then could not be opened.
    pub fn remove_if_empty(&self) {
        if self.status("").is_ok_and(|status| status.size == 0 && !status.is_directory && !status.is_link) {
            // Nobody needs it, and the next one to open it finds it as empty as it is.
            let _ = std::fs::remove_file(self.file(""));
        }
    }

    fn with_suffix(&self, suffix: &str) -> OsString {
        let mut name = self.name.clone();
        name.push(suffix);
        name
    }
}

/// What is known of a file without opening it.
pub(crate) struct Status {
    /// Which file it is.
    pub id: FileId,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Whether it is a symbolic link.
    pub is_link: bool,
    /// Whether it has other names: hard links.
    pub has_other_names: bool,
}

/// What makes two paths one file.
///
/// Found without opening the file: where a process closes any descriptor of a file, POSIX drops all the locks that the
/// process has on it, and SQLite's are among them.
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

/// A directory that files are named by.
#[derive(Debug)]
pub(crate) struct Directory {
    /// None where files are named by their paths.
    #[cfg(target_os = "linux")]
    descriptor: Option<std::os::fd::OwnedFd>,
    /// What its files are below.
    base: PathBuf,
}

impl Directory {
    /// Resolves the directory of a path, and the name in it.
    fn resolve(path: &Path, follow_links: bool) -> io::Result<(Arc<Self>, OsString)> {
        #[cfg(target_os = "linux")]
        if crate::sqlite::file::vfs::name().is_some() && linux::can_name_by_descriptors() {
            return linux::resolve(path, follow_links);
        }
        Self::resolve_path(path, follow_links)
    }

    /// Does so by the path alone.
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

    /// A path by which the operating system finds a file in the directory. Not for messages.
    pub fn file(&self, name: &OsStr) -> PathBuf {
        self.base.join(name)
    }

    /// The directory itself, as [`Directory::file`].
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Resolves a directory in it, which must not be a link.
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

    /// Looks at a file in the directory. Does not follow a link.
    pub fn status(&self, name: &OsStr) -> io::Result<Status> {
        #[cfg(target_os = "linux")]
        if let Some(descriptor) = &self.descriptor {
            return linux::status(descriptor, name);
        }
        Status::of(&self.base.join(name))
    }

    /// Waits until the names in the directory are on the disk.
    pub fn sync(&self) -> io::Result<()> {
        #[cfg(unix)]
        std::fs::File::open(&self.base)?.sync_all()?;
        Ok(())
    }
}

/// Splits a path into its directory and the name in it.
fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => Ok((parent, name)),
        _ => Ok((Path::new("."), name)),
    }
}

/// The error of a link that is not followed.
#[cfg(unix)]
pub(crate) fn link() -> io::Error {
    rustix::io::Errno::LOOP.into()
}

#[cfg(not(unix))]
pub(crate) fn link() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a symbolic link is not followed")
}

/// Whether an error is that of a link which was not followed, or of links without an end.
pub(crate) fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == link().raw_os_error() && error.kind() == link().kind()
}
