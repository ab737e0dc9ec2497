//! The examples of the documents, and the behaviour that their text describes.

mod blocks;
mod harness;

use std::fs;

use crate::support::{Sandbox, read_repository, repository};
use blocks::{files, read_directory};
use harness::{Harness, Runs};

/// Runs the blocks of a document, each in its harness.
#[track_caller]
fn passes(document: &str) {
    let blocks = files(document);
    let harnesses = read_directory(&format!("tests/documents/{document}"));
    assert!(harnesses.keys().eq(blocks.keys()), "each block of {document} has a harness: {:?}", harnesses.keys());
    let failures: Vec<_> = harnesses_of(document).into_iter().filter_map(|harness| harness.run().err()).collect();
    assert!(failures.is_empty(), "{} of {} blocks fail\n{}", failures.len(), blocks.len(), failures.join("\n"));
}

fn harnesses_of(document: &str) -> Vec<Harness> {
    files(document).iter().map(|(file, block)| Harness::read(&format!("{document}/{file}"), block)).collect()
}

macro_rules! documents {
    ($($name:ident: $document:literal)*) => {
        const DOCUMENTS: &[&str] = &[$($document),*];
        $(
            #[test]
            fn $name() {
                passes($document);
            }
        )*
    };
}

documents! {
    blocks_of_the_guide: "1-guide"
    blocks_of_the_quick_start: "2-quick-start"
    blocks_of_the_comprehensive_guide: "3-comprehensive-guide"
    blocks_of_the_notes: "4-notes"
    blocks_of_the_manual: "5-manual"
}

#[test]
fn every_block_equals_its_file() {
    for document in DOCUMENTS {
        let directory = format!("testdata/documents/{document}");
        let (blocks, found) = (files(document), read_directory(&directory));
        assert!(found.keys().eq(blocks.keys()), "{directory} has other files than {document}.md has blocks");
        for (name, block) in blocks {
            assert_eq!(
                found[&name], block,
                "{directory}/{name} is not the block; testdata/documents/extract writes it"
            );
        }
    }
}

#[test]
#[ignore = "writes testdata/documents: testdata/documents/extract runs it"]
fn extract() {
    for document in DOCUMENTS {
        let directory = format!("testdata/documents/{document}");
        for name in read_directory(&directory).keys() {
            fs::remove_file(repository(&directory).join(name)).unwrap();
        }
        for (name, block) in files(document) {
            fs::create_dir_all(repository(&directory)).unwrap();
            fs::write(repository(&directory).join(name), block).unwrap();
        }
    }
}

#[test]
fn tables_of_the_documentation_are_current() {
    let mut counts = String::new();
    let mut reasons = String::new();
    let mut total = [0; 4];
    for document in DOCUMENTS {
        let mut row = [0; 4];
        for Harness { name, runs, .. } in harnesses_of(document) {
            let (kind, reason) = match runs {
                Runs::Unchanged => (1, None),
                Runs::Corrected(reason) => (2, Some(reason)),
                Runs::WithoutCode(reason) => (3, Some(reason)),
            };
            row[0] += 1;
            row[kind] += 1;
            if let Some(reason) = reason {
                reasons += &format!("| [{name}](../tests/documents/{name}) | {reason} |\n");
            }
        }
        total = std::array::from_fn(|column| total[column] + row[column]);
        counts += &table_row(document, row);
    }
    counts += &table_row("all", total);

    let documentation = read_repository("docs/documents.md");
    for table in [counts, reasons] {
        assert!(documentation.contains(&format!("| --- |\n{table}\n")), "docs/documents.md must contain\n{table}");
    }
}

/// Formats the row of a document: its blocks, those of each kind, and those that pass, which are all of them if the tests pass.
fn table_row(document: &str, [blocks, unchanged, corrected, without_code]: [u32; 4]) -> String {
    format!("| {document} | {blocks} | {unchanged} | {corrected} | {without_code} | {blocks} |\n")
}

#[test]
fn quick_start_prints_the_output_in_its_comments() {
    let sandbox = Sandbox::new();
    let script = read_repository("testdata/documents/2-quick-start/01.ts");
    for _run in 0..2 {
        assert_eq!(sandbox.run(&script).stdout(), "{ name: \"Alice\", email: \"alice@example.com\" }\n");
    }
}

#[test]
fn list_of_the_manual_prints_and_keeps_all_users() {
    let sandbox = Sandbox::new();
    let block = read_repository("testdata/documents/5-manual/02.ts");
    let script = format!("const kv = await Deno.openKv();\n{block}");
    let expected = "[ \"users\", \"alice\" ]\n{ birthday: \"January 1, 1990\" }\n\
        [ \"users\", \"sam\" ]\n{ birthday: \"February 14, 1985\" }\n\
        [ \"users\", \"taylor\" ]\n{ birthday: \"December 25, 1970\" }\n";
    assert_eq!(sandbox.run(&script).stdout(), expected);
    // The script has the same name, and so the same database.
    let second = "const kv = await Deno.openKv();
        for await (const entry of kv.list({ prefix: ['users'] })) { console.log(entry.key); console.log(entry.value); }";
    assert_eq!(sandbox.run(second).stdout(), expected);
}

#[test]
fn readme_example_counts_its_runs() {
    let sandbox = Sandbox::new();
    let script = read_repository("examples/quickstart.ts");
    let readme = read_repository("README.md");
    assert!(readme.contains(&script), "the README must contain examples/quickstart.ts");
    for run in 1..=2 {
        let expected = format!(
            "{{ name: \"Alice\" }}\n[ \"users\", \"alice\" ] {{ name: \"Alice\" }}\n[ \"users\", \"bob\" ] {{ name: \"Bob\" }}\n\
             committed: true run: [Deno.KvU64: {run}n]\n"
        );
        assert_eq!(sandbox.run(&script).stdout(), expected);
        assert!(readme.contains(&expected) || run == 1, "the README must contain the output of the second run");
    }
}
