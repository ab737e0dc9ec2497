//! What is derived from modules and kept in the cache directory for the next run: their imports, exports and compiled code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::support::Sandbox;

/// The directory of the files.
const DIRECTORY: &str = "deno_dir/openkv";

/// Code that is long enough to be kept.
fn padding() -> String {
    let function = |i| format!("export function pad{i}(x: number): number {{ return x + {i}; }}\n");
    (0..50).map(function).collect()
}

/// Writes a program of ES modules and two packages, of a CommonJS and an ES module, whose output is `1 2 3 4`.
fn write_program(sandbox: &Sandbox) {
    sandbox.write("package.json", r#"{ "dependencies": { "package": "1.0.0", "modern": "1.0.0" } }"#);
    sandbox
        .write("node_modules/package/package.json", r#"{ "name": "package", "version": "1.0.0", "main": "main.js" }"#);
    let comment = "// a comment\n".repeat(100);
    sandbox.write("node_modules/package/main.js", format!("{comment}exports.three = 3;\n"));
    let modern = r#"{ "name": "modern", "version": "1.0.0", "main": "modern.js", "type": "module" }"#;
    sandbox.write("node_modules/modern/package.json", modern);
    sandbox.write("node_modules/modern/modern.js", format!("{comment}export const four = 4;\n"));
    sandbox.write("two.ts", format!("export const two: number = 2;\n{}", padding()));
    let imports = r#"import { two } from "./two.ts"; import { three } from "package"; import { four } from "modern";"#;
    let main = format!("{imports}\nexport const one: number = 1;\nconsole.log(one, two, three, four);\n{}", padding());
    sandbox.write("main.ts", main);
}

/// Returns what replaces one of the intact files.
type Damage = fn(usize, &[Vec<u8>]) -> Vec<u8>;

fn run(sandbox: &Sandbox) -> String {
    sandbox.openkv(["run", "-A", "main.ts"]).stdout()
}

/// Returns the kept files in a directory, with the time of their last change.
fn kept(directory: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let mut files = BTreeMap::new();
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files.extend(kept(&path));
        } else {
            files.insert(path.clone(), path.metadata().unwrap().modified().unwrap());
        }
    }
    files
}

#[test]
fn kept_files_are_used_and_follow_their_modules() {
    let sandbox = Sandbox::new();
    write_program(&sandbox);
    assert_eq!(run(&sandbox), "1 2 3 4\n");
    let files = kept(&sandbox.path(DIRECTORY));
    let count = |kind| files.keys().filter(|file| file.extension().unwrap() == kind).count();
    assert_eq!(["imports", "exports", "code", "cjs-code"].map(count), [2, 1, 3, 1]);
    assert_eq!(run(&sandbox), "1 2 3 4\n");
    assert_eq!(kept(&sandbox.path(DIRECTORY)), files, "the files were used, and not written again");

    // Of the same length, as V8 itself compares only the lengths.
    sandbox.write("two.ts", format!("export const two: number = 4;\n{}", padding()));
    assert_eq!(run(&sandbox), "1 4 3 4\n");
    let text = std::fs::read_to_string(sandbox.path("node_modules/package/main.js")).unwrap();
    sandbox.write("node_modules/package/main.js", text.replace("= 3", "= 5"));
    assert_eq!(run(&sandbox), "1 4 5 4\n");
    sandbox.write("node_modules/package/main.js", text.replace("exports.three = 3", "exports.other = 3"));
    let stderr = sandbox.openkv(["run", "-A", "main.ts"]).stderr();
    assert!(stderr.contains("does not provide an export named 'three'"), "{stderr}");
    sandbox.write("node_modules/package/main.js", &text);
    sandbox.write("main.ts", r#"import { two } from "./gone.ts"; console.log(two);"#);
    let stderr = sandbox.openkv(["run", "-A", "main.ts"]).stderr();
    assert!(stderr.contains("Module not found") && stderr.contains("gone.ts"), "{stderr}");
}

#[test]
fn damaged_and_exchanged_files_are_not_used() {
    let sandbox = Sandbox::new();
    write_program(&sandbox);
    run(&sandbox);
    let files: Vec<_> = kept(&sandbox.path(DIRECTORY)).into_keys().collect();
    let intact: Vec<_> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    let damages: [Damage; 5] = [
        |i, intact| intact[i][..intact[i].len() / 2].to_vec(),
        |_, _| Vec::new(),
        |i, intact| vec![0; intact[i].len()],
        |i, intact| {
            let mut damaged = intact[i].clone();
            damaged[intact[i].len() / 2] ^= 0x10;
            damaged
        },
        |i, intact| intact[(i + 1) % intact.len()].clone(),
    ];
    for damage in damages {
        for (i, file) in files.iter().enumerate() {
            std::fs::write(file, damage(i, &intact)).unwrap();
        }
        assert_eq!(run(&sandbox), "1 2 3 4\n");
        let read: Vec<_> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
        let replaced = read.iter().zip(&intact).filter(|(read, intact)| read.len() == intact.len()).count();
        assert_eq!(replaced, files.len(), "the next run finds intact files");
    }
}

#[test]
fn package_that_becomes_an_es_module_is_one() {
    let sandbox = Sandbox::new();
    write_program(&sandbox);
    sandbox.write("node_modules/package/main.js", "globalThis.kind = typeof module;");
    sandbox.write("main.ts", r#"import "package"; console.log(globalThis.kind);"#);
    assert_eq!(run(&sandbox), "object\n");
    let package = |ty| format!(r#"{{ "name": "package", "version": "1.0.0", "main": "main.js", "type": "{ty}" }}"#);
    sandbox.write("node_modules/package/package.json", package("module"));
    assert_eq!(run(&sandbox), "undefined\n");
    sandbox.write("node_modules/package/package.json", package("commonjs"));
    assert_eq!(run(&sandbox), "object\n");
}

#[test]
fn programs_run_if_nothing_can_be_kept() {
    let sandbox = Sandbox::new();
    write_program(&sandbox);
    sandbox.write(DIRECTORY, "a file instead of a directory");
    assert_eq!(run(&sandbox), "1 2 3 4\n");
    assert_eq!(run(&sandbox), "1 2 3 4\n");
}

#[test]
fn no_code_cache_keeps_no_code() {
    let sandbox = Sandbox::new();
    write_program(&sandbox);
    let without = || sandbox.openkv(["run", "-A", "--no-code-cache", "main.ts"]).stdout();
    assert_eq!(without(), "1 2 3 4\n");
    let code =
        || kept(&sandbox.path(DIRECTORY)).into_keys().filter(|file| file.to_str().unwrap().ends_with("code")).count();
    assert_eq!(code(), 0);
    run(&sandbox);
    assert_eq!(code(), 4);
    assert_eq!(without(), "1 2 3 4\n");
}

#[test]
fn compiled_code_of_other_v8_flags_is_compiled_again() {
    let sandbox = Sandbox::new();
    write_program(&sandbox);
    run(&sandbox);
    let files = kept(&sandbox.path(DIRECTORY));
    let jitless = sandbox.openkv(["run", "-A", "--v8-flags=--no-lazy", "main.ts"]);
    assert_eq!(jitless.stdout(), "1 2 3 4\n");
    assert_ne!(kept(&sandbox.path(DIRECTORY)), files, "V8 rejected the code");
    assert_eq!(run(&sandbox), "1 2 3 4\n");
}

#[test]
fn processes_start_the_same_program_concurrently() {
    let sandbox = Sandbox::new();
    write_program(&sandbox);
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8).map(|_| scope.spawn(|| run(&sandbox))).collect();
        runs.into_iter().for_each(|run| assert_eq!(run.join().unwrap(), "1 2 3 4\n"));
    });
    assert_eq!(run(&sandbox), "1 2 3 4\n");
    let temporary = kept(&sandbox.path(DIRECTORY)).into_keys().filter(|file| {
        !["cjs-code", "code", "exports", "imports"].contains(&file.extension().unwrap().to_str().unwrap())
    });
    assert_eq!(temporary.count(), 0);
}

#[cfg(unix)]
#[test]
fn files_of_any_name_are_kept_in_the_cache_directory_only() {
    use std::os::unix::ffi::OsStrExt;

    let sandbox = Sandbox::new();
    let long = format!("{}.js", "a".repeat(240));
    sandbox.write(&long, format!("console.log('long');\n{}", "// padding\n".repeat(200)));
    let other = sandbox.path("").join(std::ffi::OsStr::from_bytes(b"m.\xff"));
    std::fs::write(other, "export default 1;").unwrap();
    sandbox.write("sub/target.ts", "console.log('target');");
    sandbox.write(
        "main.ts",
        format!("import './{long}'; try {{ await import('./m.%FF'); }} catch (e) {{ console.log(e.name); }}"),
    );
    let stdout = run(&sandbox);
    assert!(stdout.starts_with("long\n"), "{stdout}");
    let code = kept(&sandbox.path(DIRECTORY)).into_keys().filter(|file| file.extension().unwrap() == "code").count();
    assert_eq!(code, 1, "a long name");

    // Deno decodes the separators in the path of what it has transpiled.
    for parents in 1..10 {
        sandbox.write("main.ts", format!("import './sub/{}sub/target.ts';", "..%2F".repeat(parents)));
        let stderr = sandbox.openkv(["run", "main.ts"]).stderr();
        assert!(stderr.contains("it contains an encoded path separator"), "{stderr}");
    }
    let outside = kept(&sandbox.path("")).into_keys().filter(|file| file.to_string_lossy().ends_with("target.ts.js"));
    assert_eq!(outside.count(), 0);
}
