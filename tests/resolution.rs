//! Imports through workspaces, links and import maps of configuration files, compared with Deno if it is installed.

use std::fs;

use serde_json::json;

use crate::registry::Registry;
use crate::support::Sandbox;

/// Runs `main.ts` with these flags, also on Deno if it is installed, and compares the output.
#[track_caller]
fn both(registry: &Registry, sandbox: &Sandbox, flags: &[&str]) -> String {
    let output = registry.run(sandbox, flags).stdout();
    if let Some(denos) = registry.deno(sandbox, flags) {
        assert_eq!(denos.stdout(), output, "on Deno");
    }
    output
}

#[test]
fn workspace_members_are_imported_by_name() {
    let (registry, sandbox) = (Registry::start(), Sandbox::new());
    sandbox.write("deno.json", r#"{ "workspace": ["./one", "./two", "./three"] }"#);
    let one = r#"{ "name": "@w/one", "version": "1.2.0", "exports": { ".": "./mod.ts", "./sub": "./lib/sub.ts" },
        "imports": { "own": "./lib/own.ts" } }"#;
    sandbox.write("one/deno.json", one);
    sandbox.write("one/mod.ts", "import own from 'own'; import two from '@w/two'; export default [own, two];");
    sandbox.write("one/lib/own.ts", "export default 'own';");
    sandbox.write("one/lib/sub.ts", "export default 'sub';");
    sandbox.write("two/deno.json", r#"{ "name": "@w/two", "version": "0.1.0", "exports": "./mod.ts" }"#);
    sandbox.write("two/mod.ts", "export default 'two';");
    sandbox.write(
        "three/package.json",
        r#"{ "name": "three", "version": "3.0.0", "type": "module", "exports": "./main.js" }"#,
    );
    sandbox.write("three/main.js", "export default 'three';");
    let script = "import one from '@w/one'; import sub from '@w/one/sub'; import again from 'jsr:@w/one@^1.0.0'; import three from 'three';
        console.log(one, sub, again === one, three);
        console.log(await import('@w/one/hidden').catch((error) => error.name));";
    sandbox.write("main.ts", script);
    assert_eq!(both(&registry, &sandbox, &[]), "[ \"own\", \"two\" ] sub true three\nTypeError\n");
    sandbox.write("two/main.ts", "import one from '@w/one'; console.log(one);");
    assert_eq!(sandbox.openkv(["two/main.ts"]).stdout(), "[ \"own\", \"two\" ]\n");
}

#[test]
fn linked_packages_replace_published_ones() {
    let (registry, sandbox) = (Registry::start(), Sandbox::new());
    sandbox.write("tool/deno.json", r#"{ "name": "@w/tool", "version": "1.0.0", "exports": "./mod.ts" }"#);
    sandbox.write("tool/mod.ts", "export default 'linked of jsr';");
    let manifest = r#"{ "name": "linked", "version": "1.0.0", "type": "module", "exports": "./main.js" }"#;
    sandbox.write("linked/package.json", manifest);
    sandbox.write("linked/main.js", "export default 'linked of npm';");
    let config = r#"{ "links": ["../tool", "../linked"], "nodeModulesDir": "auto" }"#;
    sandbox.write("app/deno.json", config);
    let script = "import tool from 'jsr:@w/tool@1'; import linked from 'npm:linked@1'; console.log(tool, '|', linked);";
    sandbox.write("app/main.ts", script);
    let mut command = registry.command(&sandbox, &["run", "--quiet", "main.ts"]);
    command.current_dir(sandbox.path("app"));
    let output = crate::support::Output::of(command, "").stdout();
    assert_eq!(output, "linked of jsr | linked of npm\n");
}

#[test]
fn sloppy_imports_need_a_flag() {
    let (registry, sandbox) = (Registry::start(), Sandbox::new());
    sandbox.write("a.ts", "export default 'a';");
    sandbox.write("b/index.tsx", "export default 'b';");
    sandbox.write("c.ts", "export default 'c';");
    sandbox.write("main.ts", "import a from './a'; import b from './b'; import c from './c.js'; console.log(a, b, c);");
    let error = registry.run(&sandbox, &[]).stderr();
    assert!(error.contains("Maybe add a '.ts' extension or run with --sloppy-imports"), "{error}");
    for flag in ["--unstable-sloppy-imports", "--sloppy-imports"] {
        assert_eq!(both(&registry, &sandbox, &[flag]), "a b c\n");
    }
    sandbox.write("deno.json", r#"{ "unstable": ["sloppy-imports"] }"#);
    assert_eq!(both(&registry, &sandbox, &[]), "a b c\n");
}

/// The error of an import reveals nothing about files that the script may not read.
#[test]
fn import_hint_needs_read_permission() {
    let sandbox = Sandbox::new();
    sandbox.write("secret/file.ts", "");
    let script = "const name = new URL('secret/file', import.meta.url).href;
        console.log(await import(name).catch((error) => error.message.includes('.ts\\'')));";
    sandbox.write("main.ts", script);
    assert_eq!(sandbox.openkv(["run", "--no-prompt", "main.ts"]).stdout(), "false\n");
}

#[test]
fn jsr_packages_import_from_jsr_and_npm() {
    let (registry, sandbox) = (Registry::start(), Sandbox::new());
    let leaf = json!({ "name": "leaf", "version": "1.0.0", "type": "module", "exports": "./main.js" });
    registry.publish(leaf, &[("main.js", "export default 'leaf';")]);
    registry.publish_to_jsr("@kv/part", "1.1.0", "export const part: string = 'part';");
    registry.publish_to_jsr(
        "@kv/tool",
        "2.0.0",
        "import { part } from 'jsr:@kv/part@1'; import leaf from 'npm:leaf@1'; export default [part, leaf] as string[];",
    );
    sandbox.write("deno.json", r#"{ "imports": { "tool": "jsr:@kv/tool@2" } }"#);
    sandbox.write("main.ts", "import tool from 'tool'; console.log(tool);");
    sandbox.write(".env", format!("JSR_URL={}", registry.server.url));
    let expected = "[ \"part\", \"leaf\" ]\n";
    assert_eq!(registry.run(&sandbox, &["-A", "--env-file"]).stdout(), expected);
    let locked = fs::read_to_string(sandbox.path("deno.lock")).unwrap();
    for text in [r#""jsr:@kv/part@1": "1.1.0""#, r#""npm:leaf@1": "1.0.0""#, "\"jsr:@kv/tool@2\""] {
        assert!(locked.contains(text), "{locked}");
    }
    registry.server.requests();
    assert_eq!(registry.run(&sandbox, &["-A", "--env-file", "--cached-only", "--frozen"]).stdout(), expected);
    assert_eq!(registry.server.requests(), [""; 0]);

    // A JSR package imports no other remote modules.
    let other = registry.server.url.replace("127.0.0.1", "localhost");
    registry.server.put("/other.ts", "console.log('runs');");
    registry.publish_to_jsr("@kv/evil", "1.0.0", &format!("import '{other}/other.ts';"));
    sandbox.write("main.ts", "import 'jsr:@kv/evil@1';");
    let error = registry.run(&sandbox, &["-A", "--env-file"]).stderr();
    assert!(error.contains("/other.ts is not allowed: JSR packages"), "{error}");
}

#[test]
fn remote_modules_are_vendored() {
    let (registry, sandbox) = (Registry::start(), Sandbox::new());
    registry.server.put("/a.ts", "export const a: string = 'remote';");
    sandbox.write("deno.json", r#"{ "vendor": true }"#);
    sandbox.write("main.ts", format!("import {{ a }} from '{}/a.ts'; console.log(a);", registry.server.url));
    assert_eq!(registry.run(&sandbox, &["-A"]).stdout(), "remote\n");
    let host = registry.server.url.trim_start_matches("http://").replace(':', "_port_");
    let mut vendored = fs::read_dir(sandbox.path("vendor").join(format!("http_{host}"))).unwrap();
    let vendored = vendored.next().unwrap().unwrap().path();
    // Changes to vendored files take effect.
    fs::write(&vendored, "export const a: string = 'changed';").unwrap();
    assert_eq!(registry.run(&sandbox, &["-A"]).stdout(), "changed\n");
    assert_eq!(registry.run(&sandbox, &["-A", "--vendor=false"]).stdout(), "remote\n");
}

#[test]
fn modules_are_transpiled_once() {
    let sandbox = Sandbox::new();
    let script = "interface A { a: number }\n\nconst a: A = { a: 1 };\nif (Deno.args[0]) throw new Error('line 4');\nconsole.log(a.a);";
    let main = sandbox.write("main.ts", script);
    assert_eq!(sandbox.openkv(["main.ts"]).stdout(), "1\n");
    let emitted = sandbox.path("deno_dir/gen/file").join(main.strip_prefix("/").unwrap());
    let emitted = format!("{}.js", emitted.display());
    let cached = fs::read_to_string(&emitted).unwrap();
    assert!(!cached.contains("interface"), "{cached}");
    // The cached output has a source map, and is not used for a changed source.
    let error = sandbox.openkv(["main.ts", "throw"]).stderr();
    assert!(error.contains("throw new Error('line 4');") && error.contains("main.ts:4:25"), "{error}");
    sandbox.write("main.ts", "console.log(2 as number);");
    assert_eq!(sandbox.openkv(["main.ts"]).stdout(), "2\n");
    fs::write(&emitted, "damaged").unwrap();
    assert_eq!(sandbox.openkv(["main.ts"]).stdout(), "2\n");
}
