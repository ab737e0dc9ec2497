//! Restoring backups, and salvaging corrupt files.

use super::*;

#[test]
fn versionstamps_continue_after_those_of_the_replaced_file() {
    let directory = Directory::new();
    let (file, saved) = (directory.path("kv.sqlite3"), directory.path("backup.sqlite3"));
    fill(&file, 100);
    backup(&file, &saved, false, &mut quiet).unwrap();
    fill(&file, 1000);
    let last = info(&file, 0).unwrap().last_versionstamp;
    assert!(last > info(&saved, 0).unwrap().last_versionstamp);

    assert!(matches!(problem(restore(&saved, &file, false, &mut quiet)), FileProblem::Exists));
    let restored = restore(&saved, &file, true, &mut quiet).unwrap();
    assert_eq!((restored.last_versionstamp, restored.forgot_versionstamps), (last, false));
    let now = info(&file, 0).unwrap();
    assert_eq!((now.entries, now.last_versionstamp), (100, last));
    assert_eq!(directory.names(), ["backup.sqlite3", "kv.sqlite3"]);
    assert_eq!(restored.size, fs::metadata(&file).unwrap().len());

    // A new file continues those of the backup.
    let new = directory.path("new.sqlite3");
    let restored = restore(&saved, &new, false, &mut quiet).unwrap();
    assert_eq!(restored.last_versionstamp, info(&saved, 0).unwrap().last_versionstamp);
    assert_eq!(check(&new, &mut quiet).unwrap(), Report { entries: 100, messages: 1, problems: vec![] });
}

#[test]
fn restore_replaces_any_corrupt_file() {
    let directory = Directory::new();
    let (file, saved) = (directory.path("kv.sqlite3"), directory.path("backup.sqlite3"));
    fill(&saved, 100);
    let whole = fs::read(&saved).unwrap();
    type Change = fn(&mut Vec<u8>);
    let changes: [(&str, Change); 7] = [
        ("no header", |bytes| bytes[..100].fill(7)),
        ("no page 1", |bytes| bytes[..4096].fill(0)),
        ("truncated", |bytes| bytes.truncate(20_000)),
        ("truncated within the header", |bytes| bytes.truncate(50)),
        ("empty", Vec::clear),
        ("not a database", |bytes| *bytes = b"a text that is longer than the header of a database ".repeat(20)),
        ("a zeroed page", |bytes| bytes[12288..16384].fill(0)),
    ];
    for (name, change) in changes {
        for has_wal in [false, true] {
            let mut bytes = whole.clone();
            change(&mut bytes);
            fs::write(&file, bytes).unwrap();
            if has_wal {
                fs::write(with_suffix(&file, "-wal"), [7; 10_000]).unwrap();
            }
            let restored = restore(&saved, &file, true, &mut quiet).unwrap_or_else(|error| panic!("{name}: {error}"));
            let forgot = !matches!(name, "truncated" | "a zeroed page");
            assert_eq!(restored.forgot_versionstamps, forgot, "{name}");
            let report = check(&file, &mut quiet).unwrap();
            assert_eq!(report, Report { entries: 100, messages: 1, problems: vec![] }, "{name}");
            assert_eq!(directory.names(), ["backup.sqlite3", "kv.sqlite3"], "{name}");
        }
    }
    // A file with another page size can be replaced, too.
    Connection::open(&file)
        .unwrap()
        .execute_batch("pragma journal_mode = delete; pragma page_size = 8192; vacuum; pragma journal_mode = wal")
        .unwrap();
    assert_eq!(info(&file, 0).unwrap().page_size, 8192);
    restore(&saved, &file, true, &mut quiet).unwrap();
    assert_eq!(info(&file, 0).unwrap().page_size, 4096);
}

#[test]
fn corrupt_backup_is_rejected() {
    let directory = Directory::new();
    let (file, saved) = (directory.path("kv.sqlite3"), directory.path("backup.sqlite3"));
    fill(&file, 100);
    fill(&saved, 1000);
    let page = leaf(&saved);
    corrupt(&saved, |bytes| bytes[page * 4096..][..4096].fill(0));
    let before = fs::read(&file).unwrap();
    assert!(matches!(problem(restore(&saved, &file, true, &mut quiet)), FileProblem::Corrupt(_)));
    assert_eq!(info(&file, 0).unwrap().entries, 100);
    assert_eq!(fs::read(&file).unwrap().len(), before.len());
    assert_eq!(directory.names(), ["backup.sqlite3", "kv.sqlite3"]);
}

#[test]
fn salvage_saves_readable_rows_and_reports_the_rest() {
    let directory = Directory::new();
    let (file, saved) = (directory.path("kv.sqlite3"), directory.path("saved.sqlite3"));
    const ENTRIES: usize = 3000;
    fill(&file, ENTRIES);
    let page = leaf(&file);
    // A check continues after a corrupt page.
    let copy = directory.path("copy.sqlite3");
    fs::copy(&file, &copy).unwrap();
    corrupt(&copy, |bytes| bytes[page * 4096..][..4096].fill(0));
    let report = check(&copy, &mut quiet).unwrap();
    assert!(report.entries > 100 && report.messages == 1 && report.problems.len() > 1, "{report:?}");
    // Three corrupt pages, with rows between them.
    corrupt(&file, |bytes| [page - 30, page, page + 30].iter().for_each(|page| bytes[page * 4096..][..4096].fill(0)));
    let Salvage { entries, messages, lost, forgot_versionstamps } = salvage(&file, &saved, false, &mut quiet).unwrap();
    assert_eq!((messages, forgot_versionstamps), (1, false));
    let named = lost.iter().filter(|problem| matches!(problem.location, ProblemLocation::Entry(_))).count();
    assert!(named > 0 && named < 100, "{lost:?}");
    assert_eq!(entries as usize + named, ENTRIES, "{lost:?}");
    assert_eq!(check(&saved, &mut quiet).unwrap(), Report { entries, messages, problems: vec![] });
    assert_eq!(info(&saved, 0).unwrap().last_versionstamp, crate::Versionstamp::from_version(ENTRIES as u64 / 100 + 1));
}

#[test]
fn salvage_finds_rows_on_unreachable_pages() {
    let directory = Directory::new();
    let (file, saved) = (directory.path("kv.sqlite3"), directory.path("saved.sqlite3"));
    const ENTRIES: u64 = 3000;
    fill(&file, ENTRIES as usize);
    // Deleted entries are still on free pages, and must not be saved.
    let database = open(&file);
    let deleted = database.delete_range(&Selector::between(&key(100), &key(1100)).unwrap());
    futures_executor::block_on(deleted).unwrap();
    database.close();
    crate::sqlite::wait_closed(std::time::Duration::from_secs(60));
    let (whole, last) = (fs::read(&file).unwrap(), info(&file, 0).unwrap().last_versionstamp);
    let root: i64 = Connection::open(&file)
        .unwrap()
        .query_row("select rootpage from sqlite_schema where name = 'kv'", [], |row| row.get(0))
        .unwrap();

    // Without the root of the B-tree, which contains a few entries.
    corrupt(&file, |bytes| bytes[(root as usize - 1) * 4096..][..4096].fill(0));
    let salvaged = salvage(&file, &saved, true, &mut quiet).unwrap();
    let named =
        salvaged.lost.iter().filter(|problem| matches!(problem.location, ProblemLocation::Entry(_))).count() as u64;
    assert!(named < 10, "{:?}", salvaged.lost);
    assert_eq!((salvaged.entries + named, salvaged.messages), (ENTRIES - 1000, 1));

    // Without the file header, SQLite reads nothing.
    fs::write(&file, &whole).unwrap();
    corrupt(&file, |bytes| bytes[0] ^= 1);
    let salvaged = salvage(&file, &saved, true, &mut quiet).unwrap();
    assert_eq!((salvaged.entries, salvaged.messages), (ENTRIES - 1000, 1));
    assert!(matches!(&salvaged.lost[..], [Problem { location: ProblemLocation::File, .. }]), "{:?}", salvaged.lost);
    assert_eq!(info(&saved, 0).unwrap().last_versionstamp, last);
    assert!(check(&saved, &mut quiet).unwrap().problems.is_empty());

    // Without the second half of the file.
    fs::write(&file, &whole).unwrap();
    corrupt(&file, |bytes| bytes.truncate(bytes.len() / 2));
    let salvaged = salvage(&file, &saved, true, &mut quiet).unwrap();
    assert!(salvaged.entries > 400 && salvaged.entries < ENTRIES - 1000, "{}", salvaged.entries);
    let report = check(&saved, &mut quiet).unwrap();
    assert_eq!((report.entries, report.problems), (salvaged.entries, vec![]));
}
