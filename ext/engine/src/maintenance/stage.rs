//! Makes a file that is there as a whole or not at all, even if the process or the machine dies.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::sqlite::pinned::{Directory, Pinned};
use crate::{FileProblem, Result};

/// The stages of this process, by the directory they are in and their names there. Locked while one is made, put in place or
/// removed.
static STAGES: Mutex<Vec<(Arc<Directory>, OsString)>> = Mutex::new(Vec::new());

/// Removes what the calls of this process have made so far, for a process that is about to exit: calls that make a file do not
/// return any more. A file that is in its place is there to stay.
pub fn abandon() {
    let stages = STAGES.lock();
    for (directory, name) in &*stages {
        remove(directory, name);
    }
    // Who makes a file waits for this lock, until the process exits.
    std::mem::forget(stages);
}

/// Where a file is made: in a directory of its own beside its place, which goes with whatever is left in it.
pub(super) struct Stage {
    /// The file to make.
    to: Arc<Pinned>,
    name: OsString,
    directory: Arc<Directory>,
    /// Tells other processes that this one is at work.
    _lock: Option<File>,
}

impl Stage {
    /// Beside the place of a file. Removes what processes left there that died.
    pub fn beside(to: &Arc<Pinned>) -> Result<Self> {
        remove_stale(to);
        Self::make(to).map_err(FileProblem::io(to.path()))
    }

    fn make(to: &Arc<Pinned>) -> io::Result<Self> {
        let place = to.directory();
        loop {
            let mut name = prefix(to);
            name.push(format!("{:08x}", rand::random::<u32>()));
            let mut stages = STAGES.lock();
            match create_directory(&place.file(&name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                result => result?,
            }
            let directory = place.subdirectory(&name)?;
            match lock(&directory) {
                // Another process was quicker, and took it for one that was left.
                Lock::Taken => continue,
                Lock::Held(_) if place.status(&name).is_err() => continue,
                Lock::Held(lock) => {
                    stages.push((place.clone(), name.clone()));
                    return Ok(Self { to: to.clone(), name, directory, _lock: lock });
                }
            }
        }
    }

    /// The file. In messages, it is the one to make.
    pub fn file(&self) -> Arc<Pinned> {
        Arc::new(Pinned::within(self.directory.clone(), "database", self.to.path()))
    }

    /// An image of the damaged file, which goes with the directory.
    pub fn image(&self) -> Arc<Pinned> {
        Arc::new(Pinned::within(self.directory.clone(), "image", self.to.path()))
    }

    /// Puts the file in its place, on the disk, with the permissions of another. Returns its size in bytes.
    pub fn put(self, like: &Pinned, overwrite: bool) -> Result<u64> {
        self.try_put(like, overwrite).map_err(FileProblem::io(self.to.path()))
    }

    fn try_put(&self, like: &Pinned, overwrite: bool) -> io::Result<u64> {
        let (staged, place) = (self.file().file(""), self.to.file(""));
        fs::set_permissions(&staged, permissions(&like.file(""))?)?;
        let file = File::open(&staged)?;
        file.sync_all()?;
        let size = file.metadata()?.len();
        let stages = STAGES.lock();
        if overwrite {
            fs::rename(&staged, &place)?;
        } else {
            rename_without_overwriting(&staged, &place)?;
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

/// What the names of all stages of a file begin with.
fn prefix(to: &Pinned) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(to.name());
    prefix.push(".partial-");
    prefix
}

/// Removes the stages of processes that died. Those that live have theirs locked. A failure is none of the caller's.
fn remove_stale(to: &Pinned) {
    let (place, prefix) = (to.directory(), prefix(to));
    for entry in fs::read_dir(place.base()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
            continue;
        }
        if let Ok(directory) = place.subdirectory(&name)
            && let Lock::Held(Some(_lock)) = lock(&directory)
        {
            remove(place, &name);
        }
    }
}

fn remove(place: &Directory, name: &OsStr) {
    // What cannot be removed is left to the next call that makes the same file.
    let _ = fs::remove_dir_all(place.file(name));
}

enum Lock {
    Taken,
    /// None where the file system has no such locks.
    Held(Option<File>),
}

/// Locks a directory, as long as the returned file is open.
fn lock(directory: &Directory) -> Lock {
    if cfg!(not(unix)) {
        return Lock::Held(None);
    }
    match File::open(directory.base()).map(|file| (file.try_lock(), file)) {
        Ok((Ok(()), file)) => Lock::Held(Some(file)),
        Ok((Err(fs::TryLockError::WouldBlock), _)) => Lock::Taken,
        Ok((Err(fs::TryLockError::Error(_)), _)) | Err(_) => Lock::Held(None),
    }
}

/// Creates a directory that only its owner may look into.
fn create_directory(path: &Path) -> io::Result<()> {
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
            // The kernel or the file system does not know how.
            Err(Errno::NOSYS | Errno::INVAL) => {}
            result => return Ok(result?),
        }
    }
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

/// The permissions of a file, so that a copy is as secret. Its owner may write the copy.
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
    fn stages_of_the_dead_are_removed_and_those_of_the_living_are_not() {
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

        let one = Stage::beside(&to).unwrap();
        let other = Stage::beside(&to).unwrap();
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
