use super::*;

#[test]
fn id_is_stored_with_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let id = || {
        let database = crate::sqlite::open(file(&directory), Options::default()).unwrap();
        let ids = [block_on(database.id()).unwrap(), block_on(database.id()).unwrap()];
        assert_eq!(ids[0], ids[1]);
        let version = commit(&database, set("a", text("a")));
        database.close();
        assert!(matches!(block_on(database.id()), Err(Error::Closed)));
        (ids[0], version)
    };
    let (first, second) = (id(), id());
    assert!(first.0.is_some());
    assert_eq!(first.0, second.0);
    assert_eq!(first.1, Versionstamp::from_version(1), "the id is no commit");
}

#[test]
fn databases_in_memory_have_ids_of_their_own() {
    let ids = [memory(), memory()].map(|database| block_on(database.id()).unwrap());
    assert_ne!(ids[0], ids[1]);
}
