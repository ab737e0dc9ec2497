//! Creates files atomically, even if the process or the machine crashes.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::sqlite::pinned::{Directory, Pinned};
use crate::{FileProblem, Result};

/// The stages of this process, by their parent directory and name. Locked while one is created, moved into place or removed.
static STAGES: Mutex<Vec<(Arc<Directory>, OsString)>> = Mutex::new(Vec::new());

/// Removes the unfinished files of this process, which must then exit: calls that create files do not return any more. Files that
/// are already in place remain.
pub fn abandon() {
    let stages = STAGES.lock();
    for (directory, name) in &*stages {
        remove(directory, name);
    }
    // Never unlocked, so that threads that create files block until the process exits.
    std::mem::forget(stages);
}

/// A temporary directory, next to the final path, in which a file is created. Removed with its contents on drop.
pub(super) struct Stage {
    /// The final path.
    to: Arc<Pinned>,
    name: OsString,
    directory: Arc<Directory>,
    /// Marks the stage as used, for other processes.
    _lock: Option<File>,
}

impl Stage {
    /// Creates a stage for a file. Removes stale stages of processes that have crashed.
    pub fn new(to: &Arc<Pinned>) -> Result<Self> {
        remove_stale(to);
        Self::create(to).map_err(FileProblem::io(to.path()))
    }

    fn create(to: &Arc<Pinned>) -> io::Result<Self> {
        let parent = to.directory();
        loop {
            let mut name = prefix(to);
            name.push(format!("{:08x}", rand::random::<u32>()));
            let mut stages = STAGES.lock();
            match create_directory(&parent.file(&name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                result => result?,
            }
            let directory = parent.subdirectory(&name)?;
            match lock(&directory) {
                // Another process took it for stale before it was locked.
                Lock::WouldBlock => continue,
                Lock::Held(_) if parent.status(&name).is_err() => continue,
                Lock::Held(lock) => {
                    stages.push((parent.clone(), name.clone()));
                    return Ok(Self { to: to.clone(), name, directory, _lock: lock });
                }
            }
        }
    }

    /// Returns the staged file. Messages name it by its final path.
    pub fn file(&self) -> Arc<Pinned> {
        Arc::new(Pinned::within(self.directory.clone(), "database", self.to.path()))
    }

    /// Returns a temporary file for an image of a corrupt file.
    pub fn image(&self) -> Arc<Pinned> {
        Arc::new(Pinned::within(self.directory.clone(), "image", self.to.path()))
    }

    /// Syncs the file, and moves it into place, with the permissions of `like`. Returns its size in bytes.
    pub fn put(self, like: &Pinned, overwrite: bool) -> Result<u64> {
        self.try_put(like, overwrite).map_err(FileProblem::io(self.to.path()))
    }

    fn try_put(&self, like: &Pinned, overwrite: bool) -> io::Result<u64> {
        let (staged, target) = (self.file().file(""), self.to.file(""));
        fs::set_permissions(&staged, permissions(&like.file(""))?)?;
        let file = File::open(&staged)?;
        file.sync_all()?;
        let size = file.metadata()?.len();
        let stages = STAGES.lock();
        if overwrite {
            fs::rename(&staged, &target)?;
        } else {
            rename_without_overwriting(&staged, &target)?;
        }
        drop(stages);
        self.to.directory().sync()?;
        Ok(size)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let mut stages = STAGES.lock();
        stages.retain(|(_, name)| *name != self.name);
        remove(self.to.directory(), &self.name);
    }
}

/// Returns the prefix of the names of all stages of a file.
fn prefix(to: &Pinned) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(to.name());
    prefix.push(".partial-");
    prefix
}

/// Removes the stages of processes that have crashed. Running processes have theirs locked. Ignores failures.
fn remove_stale(to: &Pinned) {
    let (parent, prefix) = (to.directory(), prefix(to));
    for entry in fs::read_dir(parent.base()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
            continue;
        }
        if let Ok(directory) = parent.subdirectory(&name)
            && let Lock::Held(Some(_lock)) = lock(&directory)
        {
            remove(parent, &name);
        }
    }
}

fn remove(parent: &Directory, name: &OsStr) {
    // If this fails, the next call that creates the same file retries it.
    let _ = fs::remove_dir_all(parent.file(name));
}

enum Lock {
    WouldBlock,
    /// `None` on a file system without locks.
    Held(Option<File>),
}

/// Locks a directory for as long as the returned file is open.
fn lock(directory: &Directory) -> Lock {
    if cfg!(not(unix)) {
        return Lock::Held(None);
    }
    match File::open(directory.base()).map(|file| (file.try_lock(), file)) {
        Ok((Ok(()), file)) => Lock::Held(Some(file)),
        Ok((Err(fs::TryLockError::WouldBlock), _)) => Lock::WouldBlock,
        Ok((Err(fs::TryLockError::Error(_)), _)) | Err(_) => Lock::Held(None),
    }
}

/// Creates a directory that only its owner can access.
fn create_directory(path: &Path) -> io::Result<()> {
    #[cfg_attr(not(unix), expect(unused_mut))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn rename_without_overwriting(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags};
        use rustix::io::Errno;
        match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Not supported by the kernel or the file system.
            Err(Errno::NOSYS | Errno::INVAL) => {}
            result => return Ok(result?),
        }
    }
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

/// Returns the permissions for a copy of a file: the same, and writable by its owner.
fn permissions(like: &Path) -> io::Result<fs::Permissions> {
    let permissions = fs::metadata(like)?.permissions();
    #[cfg(unix)]
    let permissions = {
        use std::os::unix::fs::PermissionsExt;
        fs::Permissions::from_mode(permissions.mode() | 0o600)
    };
    Ok(permissions)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn stale_stages_are_removed_and_locked_ones_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        let to = Arc::new(Pinned::resolve(&path, true).unwrap());
        let place = |name: &str| directory.path().join(name);
        for name in [".x.db.partial-1", ".x.db.partial-2", ".y.db.partial-3"] {
            fs::create_dir(place(name)).unwrap();
            fs::write(place(name).join("database"), "").unwrap();
        }
        fs::create_dir(place("elsewhere")).unwrap();
        std::os::unix::fs::symlink(place("elsewhere"), place(".x.db.partial-4")).unwrap();

        let one = Stage::new(&to).unwrap();
        let other = Stage::new(&to).unwrap();
        for stage in [&one, &other] {
            assert!(place(stage.name.to_str().unwrap()).is_dir());
        }
        let names = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.count(), 2 + [".x.db.partial-4", ".y.db.partial-3", "elsewhere"].len());
        drop((one, other));
        assert!(place("elsewhere").is_dir() && place(".y.db.partial-3").is_dir());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }
}
