//! Writing of the lockfile, and the dependencies of the workspace in it.

use std::fs;

use crate::modules::Server;
use crate::support::{Output, Sandbox};

fn run(sandbox: &Sandbox, flags: &[&str]) -> Output {
    sandbox.openkv(["run", "-A", "--quiet"].iter().chain(flags).chain(&["main.ts"]))
}

/// Starts a server of small modules, and creates a project whose script imports the first ones.
fn project(modules: usize) -> (Server, Sandbox) {
    let (server, sandbox) = (Server::start(&[]), Sandbox::new());
    for number in 0..50 {
        server.put(&format!("/{number}.ts"), "export {};");
    }
    sandbox.write("deno.json", "{}");
    import(&server, &sandbox, modules);
    (server, sandbox)
}

fn import(server: &Server, sandbox: &Sandbox, modules: usize) {
    let imports = (0..modules).map(|number| format!("import '{}/{number}.ts';\n", server.url));
    sandbox.write("main.ts", imports.collect::<String>());
}

fn read(sandbox: &Sandbox, file: &str) -> String {
    fs::read_to_string(sandbox.path(file)).unwrap()
}

#[test]
fn lockfile_keeps_what_workers_add() {
    let (server, sandbox) = project(1);
    let main = format!(
        "import '{0}/0.ts';
         const worker = new Worker(new URL('worker.ts', import.meta.url), {{ type: 'module' }});
         await new Promise((resolve) => worker.onmessage = resolve);
         worker.terminate();
         const name = '{0}/2.ts';
         await import(name);",
        server.url
    );
    sandbox.write("main.ts", main);
    sandbox.write("worker.ts", format!("import '{}/1.ts'; postMessage('loaded');", server.url));
    run(&sandbox, &[]).stdout();
    let lock = read(&sandbox, "deno.lock");
    assert!((0..3).all(|number| lock.contains(&format!("/{number}.ts"))), "{lock}");
}

#[cfg(unix)]
#[test]
fn lockfile_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt;

    let (server, sandbox) = project(1);
    let mode = |file| fs::metadata(sandbox.path(file)).unwrap().permissions().mode();
    run(&sandbox, &[]).stdout();
    assert_eq!(mode("deno.lock"), mode("main.ts"), "a new file has the default mode");
    for (modules, chosen) in [(2, 0o100_640), (3, 0o100_444)] {
        fs::set_permissions(sandbox.path("deno.lock"), fs::Permissions::from_mode(chosen)).unwrap();
        import(&server, &sandbox, modules);
        run(&sandbox, &[]).stdout();
        assert!(read(&sandbox, "deno.lock").contains(&format!("/{}.ts", modules - 1)));
        assert_eq!(mode("deno.lock"), chosen);
    }
}

#[cfg(unix)]
#[test]
fn lockfile_stays_a_symbolic_link() {
    use std::os::unix::fs::symlink;

    let (server, sandbox) = project(1);
    fs::create_dir(sandbox.path("shared")).unwrap();
    symlink("shared/link", sandbox.path("deno.lock")).unwrap();
    symlink("real.lock", sandbox.path("shared/link")).unwrap();
    for modules in [1, 2] {
        import(&server, &sandbox, modules);
        run(&sandbox, &[]).stdout();
        assert!(read(&sandbox, "shared/real.lock").contains(&format!("/{}.ts", modules - 1)));
        for link in ["deno.lock", "shared/link"] {
            assert!(fs::symlink_metadata(sandbox.path(link)).unwrap().is_symlink(), "{link}");
        }
    }
}

/// Only a link that existed before the script is followed: one that the script creates must not bypass its permissions.
#[cfg(unix)]
#[test]
fn lockfile_link_created_by_a_script_is_not_followed() {
    let (server, sandbox) = project(1);
    run(&sandbox, &[]).stdout();
    sandbox.write("other", "text");
    let script = "Deno.removeSync('deno.lock'); Deno.symlinkSync('other', 'deno.lock'); await import(Deno.args[0]);";
    sandbox.write("main.ts", script);
    let module = format!("{}/1.ts", server.url);
    sandbox.openkv(["run", "-A", "--quiet", "main.ts", &module]).stdout();
    assert_eq!(read(&sandbox, "other"), "text");
    assert!(read(&sandbox, "deno.lock").contains(&module));
}

#[test]
fn directory_of_the_lockfile_is_created() {
    let (_server, sandbox) = project(1);
    run(&sandbox, &["--lock=new/directory/x.lock"]).stdout();
    assert!(read(&sandbox, "new/directory/x.lock").contains("/0.ts"));
}

#[cfg(unix)]
#[test]
fn failed_write_keeps_the_old_lockfile() {
    let (server, sandbox) = project(1);
    run(&sandbox, &[]).stdout();
    let before = read(&sandbox, "deno.lock");
    import(&server, &sandbox, 50);
    // Limits the size of files to less than that of the new lockfile.
    let mut openkv = std::process::Command::new("bash");
    openkv.args(["-c", "trap '' XFSZ; ulimit -f 2; exec \"$@\"", "bash", env!("CARGO_BIN_EXE_openkv")]);
    openkv.args(["run", "-A", "--quiet", "main.ts"]).current_dir(sandbox.path(""));
    let output = openkv.env("DENO_DIR", sandbox.path("deno_dir")).env("NO_COLOR", "1").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("deno.lock") && stderr.contains("failed to write the lock file"), "{stderr}");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(read(&sandbox, "deno.lock"), before);
    let mut names: Vec<_> = fs::read_dir(sandbox.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["deno.json", "deno.lock", "deno_dir", "main.ts"]);
}

#[test]
fn invalid_workspace_is_rejected_with_the_reason() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", "console.log('runs');");
    sandbox.write("broken/package.json", "{ broken");
    sandbox.write("empty/main.ts", "");
    let (root, broken) = (sandbox.path(""), sandbox.path("broken"));
    let (root, broken) = (root.display(), broken.display());
    let malformed = format!("Malformed package.json '{broken}/package.json'.");
    for (config, expected) in [
        (r#""workspace": ["./broken"]"#, format!("{malformed}\n    0: key must be a string at line 1 column 3\n")),
        (
            r#""links": ["./broken"]"#,
            format!(
                "Failed loading link './broken' in config 'file://{root}'.\n    0: {malformed}\n    \
                1: key must be a string at line 1 column 3\n"
            ),
        ),
        (
            r#""links": ["./missing"]"#,
            format!(
                "Failed loading link './missing' in config 'file://{root}'.\n    \
                0: Could not find link member in 'file://{root}missing/'.\n"
            ),
        ),
        (
            r#""workspace": ["./empty"]"#,
            format!("Could not find config file for workspace member in 'file://{root}empty/'.\n"),
        ),
    ] {
        sandbox.write("deno.json", format!("{{ {config} }}"));
        assert_eq!(sandbox.openkv(["main.ts"]).stderr(), format!("error: {expected}"), "{config}");
    }
}

#[test]
fn missing_workspace_member_is_skipped_with_a_warning() {
    let sandbox = Sandbox::new();
    sandbox.write("deno.json", r#"{ "workspace": ["./missing", "./a"] }"#);
    sandbox.write("a/deno.json", "{}");
    for module in ["main.ts", "a/main.ts"] {
        sandbox.write(module, "console.log('runs');");
        let output = sandbox.openkv(["run", module]);
        let missing = format!("file://{}/", sandbox.path("missing").display());
        let warning = format!("Workspace member \"./missing\" not found at {missing}. Skipping.\n");
        assert_eq!((output.code, output.stdout.as_str(), output.stderr), (Some(0), "runs\n", warning), "{module}");
        assert_eq!(sandbox.openkv(["run", "--quiet", module]).stdout(), "runs\n");
    }
    sandbox.write("a_test.ts", "Deno.test('a', () => {});");
    sandbox.write("b_test.ts", "Deno.test('b', () => {});");
    let output = sandbox.openkv(["test"]);
    assert_eq!((output.code, output.stderr.matches("not found").count()), (Some(0), 1), "{output:?}");
}

/// The expected lockfile is the one that Deno writes for the same workspace.
#[test]
fn lockfile_lists_dependencies_of_workspace_members() {
    let server = Server::start(&[("/a.ts", "export default 'a';")]);
    let sandbox = Sandbox::new();
    let root = r#"{ "workspace": ["./one", "./two", "./three"], "imports": { "@std/x": "jsr:@std/x@1" },
        "scopes": { "./one/": { "chalk": "npm:chalk@^5.0.0" } },
        "compilerOptions": { "jsx": "react-jsx", "jsxImportSource": "npm:preact@10" } }"#;
    sandbox.write("deno.json", root);
    sandbox.write("one/deno.json", r#"{ "imports": { "@std/y": "jsr:@std/y@2" } }"#);
    sandbox.write("two/deno.json", "{}");
    let package = r#"{ "dependencies": { "a": "1", "b": "file:../b" }, "devDependencies": { "c": "^2.3.0" } }"#;
    sandbox.write("two/package.json", package);
    sandbox.write("three/deno.json", "{}");
    sandbox.write("one/main.ts", format!("import '{}/a.ts';", server.url));
    sandbox.openkv(["run", "-A", "--quiet", "one/main.ts"]).stdout();
    let expected = r#"
  "workspace": {
    "dependencies": [
      "jsr:@std/x@1",
      "npm:chalk@5",
      "npm:preact@10"
    ],
    "members": {
      "one": {
        "dependencies": [
          "jsr:@std/y@2"
        ]
      },
      "two": {
        "packageJson": {
          "dependencies": [
            "npm:a@1",
            "npm:c@^2.3.0"
          ]
        }
      }
    }
  }
}
"#;
    let locked = read(&sandbox, "deno.lock");
    assert!(locked.ends_with(expected), "{locked}");
    sandbox.openkv(["run", "-A", "--frozen", "one/main.ts"]).stdout();
    assert!(!sandbox.path("one/deno.lock").exists());

    // Removing a member removes its dependencies.
    sandbox.write("deno.json", root.replace(r#""./one", "#, ""));
    sandbox.write("main.ts", "");
    let error = run(&sandbox, &["--frozen"]).stderr();
    assert!(error.contains("deno.lock") && error.contains("--frozen"), "{error}");
    run(&sandbox, &["--no-config", "--lock=deno.lock"]).stdout();
    assert_eq!(read(&sandbox, "deno.lock"), locked, "without a configuration, no dependencies are removed");
    run(&sandbox, &[]).stdout();
    let shorter = read(&sandbox, "deno.lock");
    assert!(!shorter.contains("@std/y") && shorter.contains("npm:a@1"), "{shorter}");
}

/// As in Deno, the import map of an imported package applies to its modules.
#[test]
fn lockfile_lists_dependencies_of_linked_packages() {
    let (server, sandbox) = project(0);
    sandbox.write("app/deno.json", r#"{ "imports": { "linked": "../linked/mod.ts" } }"#);
    let config = r#"{ "name": "@w/linked", "version": "1.2.3", "exports": "./mod.ts",
        "imports": { "own": "./own.ts", "@std/x": "jsr:@std/x@3" } }"#;
    sandbox.write("linked/deno.json", config);
    let package = r#"{ "name": "npm-linked", "dependencies": { "a": "^1.0.0", "b": "file:../b" },
        "peerDependencies": { "c": "2" }, "peerDependenciesMeta": { "c": { "optional": true } } }"#;
    sandbox.write("linked/package.json", package);
    sandbox.write("linked/mod.ts", "export { default } from 'own';");
    sandbox.write("linked/own.ts", "export default 'own';");
    let script = format!("import linked from 'linked'; import '{}/0.ts'; console.log(linked);", server.url);
    sandbox.write("app/main.ts", script);
    assert_eq!(sandbox.openkv(["run", "-A", "--quiet", "app/main.ts"]).stdout(), "own\n");
    let expected = r#"
  "workspace": {
    "links": {
      "jsr:@w/linked@1.2.3": {
        "dependencies": [
          "jsr:@std/x@3"
        ]
      },
      "npm:npm-linked": {
        "dependencies": [
          "npm:a@1"
        ],
        "peerDependencies": [
          "npm:c@2"
        ],
        "peerDependenciesMeta": {
          "c": {
            "optional": true
          }
        }
      }
    }
  }
}
"#;
    let locked = read(&sandbox, "app/deno.lock");
    assert!(locked.ends_with(expected), "{locked}");
}

#[test]
fn removed_dependency_is_removed_from_the_lockfile() {
    let sandbox = Sandbox::new();
    let lock = r#"{
  "version": "5",
  "specifiers": {
    "jsr:@kv/tool@1": "1.2.0",
    "jsr:@kv/part@^1.0.0": "1.0.0",
    "jsr:@kv/kept@2": "2.0.0"
  },
  "jsr": {
    "@kv/kept@2.0.0": { "integrity": "00" },
    "@kv/part@1.0.0": { "integrity": "01" },
    "@kv/tool@1.2.0": { "integrity": "02", "dependencies": ["jsr:@kv/part"] }
  },
  "workspace": {
    "dependencies": ["jsr:@kv/kept@2", "jsr:@kv/tool@1"]
  }
}
"#;
    sandbox.write("deno.lock", lock);
    sandbox.write("main.ts", "");
    sandbox.write("deno.json", r#"{ "imports": { "tool": "jsr:@kv/tool@1", "kept": "jsr:@kv/kept@2" } }"#);
    run(&sandbox, &["--frozen"]).stdout();
    assert_eq!(read(&sandbox, "deno.lock"), lock);
    sandbox.write("deno.json", r#"{ "imports": { "kept": "jsr:@kv/kept@2" } }"#);
    run(&sandbox, &[]).stdout();
    let shorter = read(&sandbox, "deno.lock");
    assert!(shorter.contains("@kv/kept@2.0.0") && !shorter.contains("tool") && !shorter.contains("part"), "{shorter}");
}
