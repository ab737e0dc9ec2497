//! Directories that are named by descriptors.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, StatxFlags, makedev};
use rustix::io::Errno;

use super::{Directory, FileId, Status, link, split};
use crate::sqlite::file::vfs::DESCRIPTORS;

/// The maximum number of links to follow at the end of a path.
const MAX_LINKS: usize = 40;

/// The flags of a descriptor that identifies a directory, without permission to read it.
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The open directories of this process. All files in a directory share one descriptor, because SQLite keeps the name of a file's
/// shared memory from its first connection for as long as any connection is open.
static DIRECTORIES: LazyLock<Mutex<HashMap<FileId, Weak<Directory>>>> = LazyLock::new(Default::default);

/// Returns whether a path can contain a descriptor, which requires `/proc`.
pub(crate) fn can_name_by_descriptors() -> bool {
    static CAN: LazyLock<bool> = LazyLock::new(|| {
        let directory = rustix::fs::openat(CWD, "/", DIRECTORY, Mode::empty());
        let id = |stat: Stat| (stat.st_dev, stat.st_ino);
        directory.is_ok_and(|directory| {
            let named = rustix::fs::stat(base(&directory).join("."));
            named.is_ok_and(|named| rustix::fs::fstat(&directory).is_ok_and(|stat| id(stat) == id(named)))
        })
    });
    *CAN
}

fn base(descriptor: &OwnedFd) -> PathBuf {
    format!("{DESCRIPTORS}{}", descriptor.as_raw_fd()).into()
}

pub(crate) fn resolve(path: &Path, follow_links: bool) -> io::Result<(Arc<Directory>, OsString)> {
    let (parent, name) = split(path)?;
    let mut name = name.to_owned();
    if !follow_links {
        return Ok((share(open_without_links(parent)?)?, name));
    }
    let mut descriptor = rustix::fs::openat(CWD, parent, DIRECTORY, Mode::empty())?;
    let mut links = 0;
    while let Some(target) = read_link(&descriptor, &name)? {
        links += 1;
        if links > MAX_LINKS {
            return Err(link());
        }
        let (parent, target_name) = split(&target)?;
        descriptor = rustix::fs::openat(&descriptor, parent, DIRECTORY, Mode::empty())?;
        name = target_name.to_owned();
    }
    Ok((share(descriptor)?, name))
}

pub(crate) fn subdirectory(directory: &OwnedFd, name: &OsStr) -> io::Result<Arc<Directory>> {
    share(rustix::fs::openat(directory, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?)
}

pub(crate) fn status(directory: &OwnedFd, name: &OsStr) -> io::Result<Status> {
    // Without the times: since Linux 6.13, querying them makes the next write to the file store new ones, and a commit takes a
    // third longer if the times of its WAL were queried.
    let mask = StatxFlags::TYPE | StatxFlags::NLINK | StatxFlags::INO | StatxFlags::SIZE;
    let stat = rustix::fs::statx(directory, name, AtFlags::SYMLINK_NOFOLLOW, mask)?;
    let kind = FileType::from_raw_mode(stat.stx_mode.into());
    Ok(Status {
        id: FileId { device: makedev(stat.stx_dev_major, stat.stx_dev_minor), inode: stat.stx_ino },
        size: stat.stx_size,
        is_directory: kind == FileType::Directory,
        is_link: kind == FileType::Symlink,
        has_other_names: stat.stx_nlink > 1 && kind != FileType::Directory,
    })
}

/// Returns the time of the last change of the names in a directory, or of its attributes, since the Unix epoch.
pub(crate) fn changed(directory: &OwnedFd) -> io::Result<Duration> {
    let time = rustix::fs::statx(directory, "", AtFlags::EMPTY_PATH, StatxFlags::CTIME)?.stx_ctime;
    Ok(Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec))
}

fn id(stat: &Stat) -> FileId {
    FileId { device: stat.st_dev, inode: stat.st_ino }
}

/// Returns the directory of a descriptor, with the existing descriptor if it is already open.
fn share(descriptor: OwnedFd) -> io::Result<Arc<Directory>> {
    let id = id(&rustix::fs::fstat(&descriptor)?);
    let mut directories = DIRECTORIES.lock();
    if let Some(directory) = directories.get(&id).and_then(Weak::upgrade) {
        return Ok(directory);
    }
    let base = base(&descriptor);
    let directory = Arc::new(Directory { descriptor: Some(descriptor), base });
    directories.retain(|_, directory| directory.strong_count() > 0);
    directories.insert(id, Arc::downgrade(&directory));
    Ok(directory)
}

/// Opens a directory, whose path must not contain links.
fn open_without_links(path: &Path) -> io::Result<OwnedFd> {
    loop {
        match rustix::fs::openat2(CWD, path, DIRECTORY, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
            // A component was renamed meanwhile.
            Err(Errno::AGAIN) => {}
            // An old kernel, or a container that forbids unknown system calls.
            Err(Errno::NOSYS | Errno::PERM) => return walk(path),
            result => return Ok(result?),
        }
    }
}

/// Opens a directory like [`open_without_links`], component by component.
pub(crate) fn walk(path: &Path) -> io::Result<OwnedFd> {
    let start = if path.has_root() { "/" } else { "." };
    let mut directory = rustix::fs::openat(CWD, start, DIRECTORY, Mode::empty())?;
    for component in path.components() {
        let name = match component {
            Component::Normal(name) => name,
            Component::ParentDir => OsStr::new(".."),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => continue,
        };
        directory = match rustix::fs::openat(&directory, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
            Err(Errno::NOTDIR) if status(&directory, name).is_ok_and(|status| status.is_link) => return Err(link()),
            result => result?,
        };
    }
    Ok(directory)
}

/// Returns the target of a link, or `None` if the file is not a link.
fn read_link(directory: impl AsFd, name: &OsStr) -> io::Result<Option<PathBuf>> {
    match rustix::fs::readlinkat(directory, name, Vec::new()) {
        Ok(target) => Ok(Some(OsString::from_vec(target.into_bytes()).into())),
        Err(Errno::INVAL | Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
