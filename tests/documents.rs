//! The examples of the documents, as they are.

use crate::support::{Sandbox, read_repository};

#[test]
fn the_quick_start_prints_what_its_comments_say() {
    let sandbox = Sandbox::new();
    let script = read_repository("testdata/documents/2-quick-start/01.ts");
    for _run in 0..2 {
        assert_eq!(sandbox.run(&script).stdout(), "{ name: \"Alice\", email: \"alice@example.com\" }\n");
    }
}

#[test]
fn the_list_of_the_manual_prints_all_users_and_keeps_them() {
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
fn the_example_of_the_readme_counts_its_runs() {
    let sandbox = Sandbox::new();
    let script = read_repository("examples/quickstart.ts");
    let readme = read_repository("README.md");
    assert!(readme.contains(&script), "the README shows examples/quickstart.ts");
    for run in 1..=2 {
        let expected = format!(
            "{{ name: \"Alice\" }}\n[ \"users\", \"alice\" ] {{ name: \"Alice\" }}\n[ \"users\", \"bob\" ] {{ name: \"Bob\" }}\n\
             committed: true run: [Deno.KvU64: {run}n]\n"
        );
        assert_eq!(sandbox.run(&script).stdout(), expected);
        assert!(readme.contains(&expected) || run == 1, "the README shows the output of the second run");
    }
}
