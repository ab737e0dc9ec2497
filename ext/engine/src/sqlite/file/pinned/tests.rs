use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::sqlite::file::connection;
use crate::sqlite::{self, Location, Options};
use crate::{Database, Error, Key, Value};

/// A directory that a script may access, `in`, and one that it must not, `out`.
struct Directories(tempfile::TempDir);

impl Directories {
    fn new() -> Self {
        let directories = Self(tempfile::tempdir().unwrap());
        fs::create_dir(directories.path("in")).unwrap();
        fs::create_dir(directories.path("out")).unwrap();
        directories
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(directory)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn open(&self, name: &str, follow_links: bool) -> Result<Database, Error> {
        sqlite::open(Location::File { path: self.path(name), follow_links }, Options::default())
    }
}

fn set(database: &Database) {
    database.set_blocking(Key::from(["a"]), Value::U64(1)).unwrap();
}

#[test]
fn directory_replaced_by_a_link_is_not_followed() {
    let directories = Directories::new();
    let file = Arc::new(Pinned::resolve(&directories.path("in/x.db"), false).unwrap());
    fs::rename(directories.path("in"), directories.path("moved")).unwrap();
    symlink(directories.path("out"), directories.path("in")).unwrap();

    let (writer, _) = connection::open_writer(&file).unwrap();
    writer.execute("insert into kv (k, v, v_encoding, version) values (x'0261', x'', 3, 1)", []).unwrap();
    let reader = connection::open_reader(&file).unwrap();
    assert_eq!(reader.query_row("select count(*) from kv", [], |row| row.get(0)), Ok(1));
    assert_eq!(directories.names("moved"), ["x.db", "x.db-shm", "x.db-wal"]);
    drop((reader, writer));
    assert_eq!(directories.names("moved"), ["x.db"]);
    assert!(directories.names("out").is_empty());
}

#[test]
fn database_moves_with_its_directory() {
    let directories = Directories::new();
    let database = directories.open("in/x.db", false).unwrap();
    fs::rename(directories.path("in"), directories.path("moved")).unwrap();
    symlink(directories.path("out"), directories.path("in")).unwrap();
    set(&database);
    assert!(database.get_blocking(&Key::from(["a"])).unwrap().is_some());
    // The path now leads to another directory.
    assert!(matches!(directories.open("in/x.db", false), Err(Error::Open { .. })));
    assert!(directories.names("out").is_empty());
}

#[test]
fn links_in_place_of_files_are_not_followed() {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        for (target_exists, is_new) in [(false, false), (false, true), (true, false), (true, true)] {
            let directories = Directories::new();
            let target = directories.path("out/target");
            if target_exists {
                fs::write(&target, "foreign").unwrap();
            }
            if !is_new && !suffix.is_empty() {
                set(&directories.open("in/x.db", false).unwrap());
                crate::sqlite::wait_closed(std::time::Duration::from_secs(60));
            }
            symlink(&target, directories.path(&format!("in/x.db{suffix}"))).unwrap();
            // The database opens if SQLite does not use the link, or may delete it.
            match directories.open("in/x.db", false) {
                Ok(database) => set(&database),
                Err(error) => assert!(!error.to_string().contains("/proc"), "{error}"),
            }
            crate::sqlite::wait_closed(std::time::Duration::from_secs(60));
            let expected: &[&str] = if target_exists { &["target"] } else { &[] };
            assert_eq!(directories.names("out"), expected, "{suffix}");
            assert!(!target_exists || fs::read(&target).unwrap() == b"foreign", "{suffix}");
        }
    }
}

#[test]
fn links_in_place_of_directories_are_rejected_or_followed() {
    let directories = Directories::new();
    fs::create_dir(directories.path("out/sub")).unwrap();
    symlink(directories.path("out"), directories.path("in/link")).unwrap();
    symlink("link/sub/../x.db", directories.path("in/file")).unwrap();
    symlink("file", directories.path("in/again")).unwrap();
    symlink("loop", directories.path("in/loop")).unwrap();
    let base = directories.path("in");
    let message = "a part of this path is a symbolic link, which is not followed";
    for name in ["in/link/x.db", "in/link/sub/x.db", "in/file", "in/loop"] {
        let error = directories.open(name, false).expect_err(name).to_string();
        assert!(error.contains(message) && error.contains(&base.display().to_string()), "{error}");
        assert!(linux::walk(&directories.path(name)).is_err(), "{name}");
    }
    assert!(directories.names("out/sub").is_empty());
    assert!(directories.open("in/loop", true).is_err());
    for name in ["in/link/x.db", "in/file", "in/again"] {
        set(&directories.open(name, true).unwrap());
    }
    crate::sqlite::wait_closed(std::time::Duration::from_secs(60));
    assert_eq!(directories.names("out"), ["sub", "x.db"]);
    assert_eq!(directories.names("in"), ["again", "file", "link", "loop"]);
}

#[test]
fn walk_opens_the_same_directory_as_a_path() {
    let directories = Directories::new();
    let path = directories.path("in/../out/./.");
    assert_eq!(rustix::fs::fstat(linux::walk(&path).unwrap()).unwrap().st_ino, rustix::fs::stat(&path).unwrap().st_ino);
    assert_eq!(
        rustix::fs::fstat(linux::walk(Path::new("..")).unwrap()).unwrap().st_ino,
        rustix::fs::stat("..").unwrap().st_ino
    );
}

#[test]
fn files_of_one_directory_share_its_descriptor() {
    let directories = Directories::new();
    let [one, other, elsewhere] =
        ["in/x.db", "in/../in/y.db", "out/x.db"].map(|name| Pinned::resolve(&directories.path(name), false).unwrap());
    assert!(Arc::ptr_eq(&one.directory, &other.directory));
    assert!(!Arc::ptr_eq(&one.directory, &elsewhere.directory));
}

#[test]
fn errors_name_the_requested_path() {
    let directories = Directories::new();
    fs::write(directories.path("in/text"), "a text that is longer than the header of a database ".repeat(20)).unwrap();
    fs::create_dir(directories.path("in/directory")).unwrap();
    let long = format!("in/{}", "x".repeat(300));
    for name in ["in/text", "in/directory", "in/missing/x.db", "in/text/x.db", "in/..", &long] {
        let error = directories.open(name, false).expect_err(name).to_string();
        assert!(error.contains(&directories.path(name).display().to_string()), "{error}");
        assert!(!error.contains("/proc"), "{error}");
    }
}

/// Returns a complete journal that names a super-journal, and rolls back nothing.
fn journal_with_super_journal(pages: u32, name: &str) -> Vec<u8> {
    const MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    const SECTOR: usize = 512;
    const PAGE: u32 = 4096;
    let mut journal = MAGIC.to_vec();
    for number in [0, 0, pages, SECTOR as u32, PAGE] {
        journal.extend(u32::to_be_bytes(number));
    }
    journal.resize(SECTOR, 0);
    // The page number of the lock bytes, which is not followed by page content.
    journal.extend((0x4000_0000 / PAGE + 1).to_be_bytes());
    journal.extend(name.as_bytes());
    journal.extend((name.len() as u32).to_be_bytes());
    journal.extend(name.bytes().map(u32::from).sum::<u32>().to_be_bytes());
    journal.extend(MAGIC);
    journal
}

#[test]
fn file_named_as_a_super_journal_is_not_deleted() {
    let directories = Directories::new();
    set(&directories.open("in/x.db", false).unwrap());
    crate::sqlite::wait_closed(std::time::Duration::from_secs(60));
    let target = directories.path("out/target");
    fs::write(&target, "foreign").unwrap();
    let pages = fs::metadata(directories.path("in/x.db")).unwrap().len() / 4096;
    let journal = journal_with_super_journal(pages as u32, target.to_str().unwrap());
    fs::write(directories.path("in/x.db-journal"), journal).unwrap();

    let error = directories.open("in/x.db", false).expect_err("the journal is not rolled back").to_string();
    assert!(error.contains("access permission denied"), "{error}");
    assert_eq!(fs::read(target).unwrap(), b"foreign");
}

/// Returns a file that is named by its path, as on systems without `/proc`.
fn by_path(path: &Path, follow_links: bool) -> io::Result<Arc<Pinned>> {
    let (directory, name) = Directory::resolve_path(path, follow_links)?;
    Ok(Arc::new(Pinned { directory, name, path: path.to_owned() }))
}

#[test]
fn file_named_by_its_path_is_not_opened_through_links() {
    let directories = Directories::new();
    let file = by_path(&directories.path("in/x.db"), false).unwrap();
    let (connection, _) = connection::open_writer(&file).unwrap();
    fs::rename(directories.path("in/x.db"), directories.path("in/y.db")).unwrap();
    assert!(connection::has_moved(&connection));
    fs::rename(directories.path("in/y.db"), directories.path("in/x.db")).unwrap();
    assert!(!connection::has_moved(&connection));
    drop(connection);

    symlink(directories.path("in"), directories.path("link")).unwrap();
    symlink("x.db", directories.path("in/link.db")).unwrap();
    for name in ["link/x.db", "in/link.db", "link/new.db"] {
        let path = directories.path(name);
        let error = connection::open_writer(&by_path(&path, false).unwrap()).err().expect(name);
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        let followed = by_path(&path, true).unwrap();
        assert_eq!(followed.directory.base(), directories.path("in"), "{name}");
        connection::open_writer(&followed).unwrap();
    }
    assert_eq!(directories.names("in"), ["link.db", "new.db", "x.db"]);
}
