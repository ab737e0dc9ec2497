//! The state of files after a power failure: everything that was synced, and a random part of the rest.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::{fs, io};

use rand::Rng;
use rand::seq::IndexedRandom;

/// The unit that a disk writes atomically, in bytes.
const SECTOR: u64 = 512;

/// A change of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was created.
    Create,
    /// Bytes were written to it.
    Write {
        /// The offset in bytes.
        at: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// It was truncated or extended to a length in bytes.
    Truncate(u64),
    /// It was deleted.
    Delete {
        /// Whether the directory was synced.
        directory: bool,
    },
    /// It was synced.
    Sync {
        /// Whether the directory was synced as well.
        directory: bool,
    },
}

/// The files of a directory. The contents and the name of a file are synced separately, as in POSIX.
#[derive(Default)]
pub struct Files {
    contents: Vec<Content>,
    /// The current directory.
    directory: Directory,
    /// The directory on disk.
    durable: Directory,
    /// The changes of the directory since it was synced.
    pending: Vec<(OsString, Option<usize>)>,
}

/// Maps names to positions of contents.
type Directory = BTreeMap<OsString, usize>;

/// The content of a file.
#[derive(Default)]
struct Content {
    durable: Vec<u8>,
    /// The writes and truncations since it was synced.
    pending: Vec<Change>,
}

/// The files after a power failure.
#[derive(Default)]
pub struct Image(Vec<(OsString, Vec<u8>)>);

impl Files {
    /// Reads the files of a directory. They count as synced.
    pub fn read(directory: &Path) -> io::Result<Self> {
        let mut files = Self::default();
        for (name, durable) in Image::of(directory)?.0 {
            files.durable.insert(name, files.contents.len());
            files.contents.push(Content { durable, pending: Vec::new() });
        }
        files.directory.clone_from(&files.durable);
        Ok(files)
    }

    /// Records a change of a file.
    pub fn apply(&mut self, name: &OsStr, change: Change) {
        match change {
            Change::Create => {
                let position = self.contents.len();
                self.contents.push(Content::default());
                self.directory.insert(name.to_owned(), position);
                self.pending.push((name.to_owned(), Some(position)));
            }
            Change::Delete { directory } => {
                self.directory.remove(name);
                self.pending.push((name.to_owned(), None));
                self.sync_directory(directory);
            }
            Change::Sync { directory } => {
                if let Some(content) = self.content(name) {
                    for change in std::mem::take(&mut content.pending) {
                        change.apply(&mut content.durable);
                    }
                }
                self.sync_directory(directory);
            }
            Change::Write { .. } | Change::Truncate(_) => {
                if let Some(content) = self.content(name) {
                    content.pending.push(change);
                }
            }
        }
    }

    fn content(&mut self, name: &OsStr) -> Option<&mut Content> {
        self.contents.get_mut(*self.directory.get(name)?)
    }

    fn sync_directory(&mut self, synced: bool) {
        if synced {
            self.durable.clone_from(&self.directory);
            self.pending.clear();
        }
    }

    /// Returns the files after a power failure at this moment. Unsynced changes may be lost independently, and writes may be torn.
    pub fn image(&self, random: &mut impl Rng) -> Image {
        // The probability of keeping a change.
        let kept = *[0.0, 0.3, 0.7, 0.95, 1.0].choose(random).expect("the list is not empty");
        let mut directory = self.durable.clone();
        for (name, position) in &self.pending {
            if random.random_bool(kept) {
                match position {
                    Some(position) => directory.insert(name.clone(), *position),
                    None => directory.remove(name),
                };
            }
        }
        let left = |(name, position): (_, usize)| {
            let Content { durable, pending } = &self.contents[position];
            let mut content = durable.clone();
            for change in pending {
                if random.random_bool(kept) {
                    let torn = random.random_bool(0.2);
                    if torn { change.tear(&mut content, random) } else { change.apply(&mut content) }
                }
            }
            (name, content)
        };
        Image(directory.into_iter().map(left).collect())
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write { at, bytes } => write(content, *at, bytes),
            Change::Truncate(length) => content.resize(*length as usize, 0),
            Change::Create | Change::Delete { .. } | Change::Sync { .. } => {}
        }
    }

    /// Applies random sectors of a write. Other changes are atomic.
    fn tear(&self, content: &mut Vec<u8>, random: &mut impl Rng) {
        let Change::Write { at, bytes } = self else { return self.apply(content) };
        let mut start = 0;
        while start < bytes.len() {
            let sector_end = (at + start as u64) / SECTOR * SECTOR + SECTOR;
            let end = bytes.len().min((sector_end - at) as usize);
            if random.random_bool(0.5) {
                write(content, at + start as u64, &bytes[start..end]);
            }
            start = end;
        }
    }
}

fn write(content: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let end = at as usize + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at as usize..end].copy_from_slice(bytes);
}

impl Image {
    /// Reads the files of a directory.
    pub fn of(directory: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                files.push((entry.file_name(), fs::read(entry.path())?));
            }
        }
        Ok(Self(files))
    }

    /// Replaces the files of a directory.
    pub fn restore(&self, directory: &Path) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            fs::remove_file(entry?.path())?;
        }
        self.0.iter().try_for_each(|(name, content)| fs::write(directory.join(name), content))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn written(byte: u8) -> Change {
        Change::Write { at: 100, bytes: vec![byte; 1000] }
    }

    /// Returns the contents of the file after each of many power failures. `None` where it does not exist.
    fn left(files: &Files) -> Vec<Option<Vec<u8>>> {
        let mut random = StdRng::seed_from_u64(1);
        let content = |image: Image| image.0.into_iter().next().map(|(_, content)| content);
        (0..200).map(|_| content(files.image(&mut random))).collect()
    }

    #[test]
    fn synced_changes_are_kept_and_others_may_be_lost() {
        let mut files = Files::default();
        let name = OsStr::new("file");
        files.apply(name, Change::Create);
        files.apply(name, written(1));
        files.apply(name, Change::Sync { directory: false });
        assert!(left(&files).contains(&None));

        files.apply(name, Change::Sync { directory: true });
        let synced = [vec![0; 100], vec![1; 1000]].concat();
        assert!(left(&files).iter().all(|content| content.as_deref() == Some(&synced)));

        files.apply(name, written(2));
        let left = left(&files);
        let torn = |content: &Vec<u8>| content[100..].contains(&1) && content[100..].contains(&2);
        assert!(left.contains(&Some(synced)) && left.iter().flatten().any(torn));
        assert!(left.iter().flatten().all(|content| content[..100] == [0; 100] && content.len() == 1100));
    }

    #[test]
    fn unsynced_deletion_may_be_lost() {
        let mut files = Files::default();
        let name = OsStr::new("file");
        files.apply(name, Change::Create);
        files.apply(name, Change::Sync { directory: true });
        files.apply(name, Change::Delete { directory: false });
        let left = left(&files);
        assert!(left.contains(&None) && left.iter().any(Option::is_some));
        files.apply(name, Change::Delete { directory: true });
        assert_eq!(self::left(&files), vec![None; 200]);
    }
}
