//! npm packages from a registry on loopback.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::registry::{Registry, is_there};
use crate::support::{Output, Sandbox, skip};

/// Starts a registry with several versions of a package that depends on another one.
fn greetings() -> Registry {
    let registry = Registry::start();
    for version in ["1.0.0", "1.2.0", "2.0.0"] {
        let manifest = json!({
            "name": "greet", "version": version, "type": "module", "dependencies": { "@test/words": "^1.0.0" },
            "exports": { ".": "./main.js", "./loud": { "quiet": "./main.js", "default": "./loud.js" }, "./data.json": "./data.json", "./note.txt": "./note.txt" },
        });
        let main = format!(
            "import {{ hello }} from '@test/words'; export const greet = (name) => `${{hello}} ${{name}} {version}`;"
        );
        registry.publish(
            manifest,
            &[
                ("main.js", &main),
                ("loud.js", "import { greet as quiet } from './main.js'; export const greet = (name) => quiet(name).toUpperCase();"),
                ("data.json", r#"{ "a": 1 }"#),
                ("note.txt", "a note\n"),
            ],
        );
    }
    let words = json!({ "name": "@test/words", "version": "1.1.0", "type": "module", "main": "index.js" });
    registry.publish(words, &[("index.js", "export const hello = 'hello';")]);
    registry
}

const ALL: [&str; 4] = ["/@test%2fwords", "/@test/words/-/words-1.1.0.tgz", "/greet", "/greet/-/greet-1.2.0.tgz"];

fn read(sandbox: &Sandbox, file: &str) -> String {
    fs::read_to_string(sandbox.path(file)).unwrap()
}

#[test]
fn es_modules_of_packages_are_cached_and_locked() {
    let (registry, sandbox) = (greetings(), Sandbox::new());
    let script = "import { greet } from 'npm:greet@1';
        import { greet as loud } from 'npm:greet@1/loud';
        console.log(greet('you'), '|', loud('you'));";
    sandbox.write("main.ts", script);
    let expected = "hello you 1.2.0 | HELLO YOU 1.2.0\n";
    let error = registry.run(&sandbox, &["--cached-only"]).stderr();
    assert!(error.contains("--cached-only"), "{error}");
    assert_eq!(registry.server.requests(), [""; 0]);

    // No permission is required.
    assert_eq!(registry.run(&sandbox, &[]).stdout(), expected);
    assert_eq!(registry.server.requests(), ALL);
    for flags in [&[][..], &["--cached-only"], &["--no-remote"]] {
        assert_eq!(registry.run(&sandbox, flags).stdout(), expected);
    }
    assert_eq!(registry.server.requests(), [""; 0]);
    assert_eq!(registry.run(&sandbox, &["--reload"]).stdout(), expected);
    assert_eq!(registry.server.requests(), ALL);
    assert_eq!(registry.run(&sandbox, &["--reload=npm:greet"]).stdout(), expected);
    assert_eq!(registry.server.requests(), ["/greet", "/greet/-/greet-1.2.0.tgz"]);
    assert_eq!(registry.run(&sandbox, &["--conditions=quiet"]).stdout(), "hello you 1.2.0 | hello you 1.2.0\n");

    // The lock file pins the version, and is identical to Deno's.
    sandbox.write("deno.json", "{}");
    assert_eq!(registry.run(&sandbox, &[]).stdout(), expected);
    let locked = read(&sandbox, "deno.lock");
    assert!(locked.contains(r#""npm:greet@1": "1.2.0""#) && locked.contains("sha512-"), "{locked}");
    let newer = json!({ "name": "greet", "version": "1.3.0", "type": "module", "exports": "./main.js" });
    registry.publish(newer, &[("main.js", "export const greet = () => 'newer';")]);
    assert_eq!(registry.run(&sandbox, &["--frozen", "--reload"]).stdout(), expected);
    sandbox.write("main.ts", "import { greet } from 'npm:greet@1.2'; console.log(greet('you'));");
    let lock_of = |run: &dyn Fn() -> Option<Output>| {
        fs::remove_file(sandbox.path("deno.lock")).unwrap();
        run().map(|output| (output.stdout(), read(&sandbox, "deno.lock")))
    };
    let ours = lock_of(&|| Some(registry.run(&sandbox, &[])));
    match lock_of(&|| registry.deno(&sandbox, &[])) {
        None => skip("deno", "as the oracle of lock files: it is not on the PATH"),
        denos => assert_eq!(ours, denos),
    }
}

#[test]
fn frozen_lock_file_rejects_new_packages() {
    let (registry, sandbox) = (greetings(), Sandbox::new());
    sandbox.write("deno.json", "{}");
    sandbox.write("main.ts", "import { greet } from 'npm:greet@1'; console.log(greet('you'));");
    let error = registry.run(&sandbox, &["--frozen"]).stderr();
    assert!(error.contains("deno.lock\" is out of date") && error.contains("--frozen=false"), "{error}");
    assert!(!sandbox.path("deno.lock").exists());
    let requests = registry.server.requests();
    assert!(
        !requests.iter().any(|path| path.ends_with(".tgz")),
        "nothing is downloaded that is not locked: {requests:?}"
    );
    registry.run(&sandbox, &[]).stdout();
    registry.run(&sandbox, &["--frozen"]).stdout();
}

#[test]
fn package_with_wrong_checksum_is_rejected() {
    let (registry, sandbox) = (greetings(), Sandbox::new());
    sandbox.write("deno.json", "{}");
    sandbox.write("main.ts", "import { greet } from 'npm:greet@2'; console.log(greet('you'));");
    registry.run(&sandbox, &[]).stdout();
    let evil = json!({ "name": "greet", "version": "2.0.0", "type": "module", "exports": "./main.js" });
    registry.publish(evil, &[("main.js", "export const greet = () => 'evil';")]);
    fs::remove_dir_all(sandbox.path("deno_dir")).unwrap();
    let error = registry.run(&sandbox, &[]).stderr();
    assert!(error.contains("Tarball checksum did not match") && error.contains("greet@2.0.0"), "{error}");
}

#[test]
fn flags_exclude_packages_and_young_versions() {
    let (registry, sandbox) = (greetings(), Sandbox::new());
    sandbox.write("main.ts", "import { greet } from 'npm:greet@1'; console.log(greet('you'));");
    let error = registry.run(&sandbox, &["--no-npm"]).stderr();
    assert!(error.contains("--no-npm") && error.contains("main.ts:1:"), "{error}");
    // Versions younger than the minimum age are not chosen.
    let young = json!({ "name": "greet", "version": "1.9.0", "type": "module", "exports": "./main.js" });
    registry.publish_at("2999-01-01T00:00:00.000Z", young, &[("main.js", "export const greet = () => 'young';")]);
    assert_eq!(registry.run(&sandbox, &[]).stdout(), "hello you 1.2.0\n");
    assert_eq!(registry.run(&sandbox, &["--reload", "--min-dep-age=0"]).stdout(), "young\n");
    assert_eq!(registry.run(&sandbox, &["--reload", "--min-dep-age=2019-01-01"]).code, Some(1));
    sandbox.write("deno.json", r#"{ "minimumDependencyAge": "0" }"#);
    assert_eq!(registry.run(&sandbox, &["--reload", "--no-lock"]).stdout(), "young\n");
}

#[test]
fn packages_are_imported_dynamically_and_through_import_maps() {
    let (registry, sandbox) = (greetings(), Sandbox::new());
    sandbox.write("deno.json", r#"{ "imports": { "greet": "npm:greet@1", "greet/": "npm:/greet@1/" } }"#);
    let script = r#"
        import { greet } from "greet";
        import data from "greet/data.json" with { type: "json" };
        import note from "greet/note.txt" with { type: "text" };
        console.log(greet("a"), data, note, import.meta.resolve("greet").endsWith("/greet/1.2.0/main.js"));
        const name = ["npm:greet", "@2"].join("");
        console.log(import.meta.resolve(name));
        console.log((await import(name)).greet("b"), (await import("greet/loud")).greet("c"));
        console.log(await import("npm:missing@1").catch((error) => error.message.split("\n")[0]));
        console.log(await import("npm:greet@7").catch((error) => error.message.split("\n")[0]));
        console.log(await import("greet/hidden").catch((error) => error.message.split(" in ")[0]));
    "#;
    sandbox.write("main.ts", script);
    let expected = "hello a 1.2.0 { a: 1 } a note\n true\nnpm:greet@2\nhello b 2.0.0 HELLO C 1.2.0\n";
    let output = registry.run(&sandbox, &[]).stdout();
    let (found, errors) = output.split_at(expected.len());
    assert_eq!(found, expected);
    let expected_errors = "npm package 'missing' does not exist.\nCould not find npm package 'greet' matching '7'.\n\
        [ERR_PACKAGE_PATH_NOT_EXPORTED] Package subpath './hidden' is not defined by \"exports\"\n";
    assert_eq!(errors, expected_errors);
    fs::remove_file(sandbox.path("deno.lock")).unwrap();
    if let Some(output) = registry.deno(&sandbox, &[]) {
        assert_eq!(output.stdout(), [expected, expected_errors].concat());
    }
}

/// Modules of the package itself need no permission.
#[test]
fn package_needs_permission_to_import_other_files() {
    let (registry, sandbox) = (Registry::start(), Sandbox::new());
    let secret = sandbox.write("secret.js", "export default 'secret';");
    let url = format!("file://{}", secret.display());
    let manifest = json!({ "name": "curious", "version": "1.0.0", "type": "module", "exports": "./main.js" });
    let main = format!(
        "export const own = (await import('./own.js')).default;
        export const read = async () => {{ try {{ return (await import({url:?})).default; }} catch (error) {{ return error.message; }} }};"
    );
    registry.publish(manifest, &[("main.js", &main), ("own.js", "export default 'own';")]);
    sandbox.write("main.ts", "import { own, read } from 'npm:curious'; console.log(own, await read());");
    let output = registry.run(&sandbox, &[]).stdout();
    assert!(output.starts_with("own Requires read access to "), "{output}");
    assert_eq!(registry.run(&sandbox, &["-R"]).stdout(), "own secret\n");
}

#[test]
fn npmrc_configures_registries_and_tokens() {
    let (registry, private, sandbox) = (greetings(), Registry::start(), Sandbox::new());
    let manifest = json!({ "name": "@own/tool", "version": "1.0.0", "type": "module", "exports": "./main.js" });
    private.publish(manifest, &[("main.js", "export default 'private';")]);
    sandbox.write("deno.json", "{}");
    let host = private.server.url.trim_start_matches("http:");
    let npmrc = format!("@own:registry={}\n{host}/:_authToken=${{TOKEN}}\n", private.server.url);
    sandbox.write(".npmrc", npmrc);
    let script =
        "import tool from 'npm:@own/tool'; import { greet } from 'npm:greet@1'; console.log(tool, greet('you'));";
    sandbox.write("main.ts", script);
    let mut command = registry.command(&sandbox, &["run", "--quiet", "main.ts"]);
    command.env("TOKEN", "s3cret");
    assert_eq!(Output::of(command, "").stdout(), "private hello you 1.2.0\n");
    assert_eq!(private.server.requests(), ["/@own%2ftool Bearer s3cret", "/@own/tool/-/tool-1.0.0.tgz Bearer s3cret"]);
    assert_eq!(registry.server.requests(), ALL);
}

#[test]
fn package_json_dependencies_are_installed() {
    let (registry, sandbox) = (greetings(), Sandbox::new());
    sandbox.write("package.json", r##"{ "dependencies": { "greet": "^1.0.0" }, "imports": { "#own": "./own.ts" } }"##);
    sandbox.write("own.ts", "export default 'own';");
    sandbox.write("main.ts", "import { greet } from 'greet'; import own from '#own'; console.log(greet('you'), own);");
    let error = registry.run(&sandbox, &[]).stderr();
    assert!(error.contains("\"greet\"") && error.contains("node_modules"), "{error}");
    assert_eq!(registry.run(&sandbox, &["--node-modules-dir=none"]).stdout(), "hello you 1.2.0 own\n");
    assert!(!sandbox.path("node_modules").exists());
    assert_eq!(registry.run(&sandbox, &["--node-modules-dir"]).stdout(), "hello you 1.2.0 own\n");
    assert!(sandbox.path("node_modules/greet/main.js").exists());
    // Installed packages are loaded from `node_modules`.
    fs::remove_dir_all(sandbox.path("deno_dir")).unwrap();
    registry.server.requests();
    assert_eq!(registry.run(&sandbox, &["--cached-only"]).stdout(), "hello you 1.2.0 own\n");
    assert_eq!(registry.server.requests(), [""; 0]);
}

#[test]
fn node_modules_dir_is_configurable() {
    let (registry, sandbox) = (greetings(), Sandbox::new());
    sandbox.write("deno.json", r#"{ "nodeModulesDir": "auto", "imports": { "greet": "npm:greet@1" } }"#);
    sandbox.write("main.ts", "import { greet } from 'greet'; console.log(greet('you'));");
    assert_eq!(registry.run(&sandbox, &[]).stdout(), "hello you 1.2.0\n");
    assert!(sandbox.path("node_modules/greet/main.js").exists());
    if let Some(output) = registry.deno(&sandbox, &["--cached-only"]) {
        assert_eq!(output.stdout(), "hello you 1.2.0\n", "Deno uses what OpenKV installed");
    }
}

#[test]
fn node_modules_installed_by_npm_are_used() {
    let (registry, sandbox) = (greetings(), Sandbox::new());
    if !is_there(&mut Command::new("npm")) {
        return skip("node", "npm is not on the PATH");
    }
    sandbox.write("package.json", r#"{ "dependencies": { "greet": "^1.0.0" } }"#);
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--no-update-notifier"]).current_dir(sandbox.path(""));
    npm.env("NPM_CONFIG_REGISTRY", &registry.server.url).env("HOME", sandbox.path(""));
    let output = Output::of(npm, "");
    assert_eq!(output.code, Some(0), "{output:?}");
    let script =
        "import { greet } from 'greet'; import { greet as loud } from 'greet/loud'; import * as other from 'npm:greet';
        console.log(greet('you'), loud('you'), other.greet === greet);";
    sandbox.write("main.ts", script);
    registry.server.requests();
    let expected = "hello you 1.2.0 HELLO YOU 1.2.0 true\n";
    assert_eq!(registry.run(&sandbox, &[]).stdout(), expected);
    assert_eq!(
        registry.run(&sandbox, &["--node-modules-dir=manual", "--node-modules-linker=hoisted"]).stdout(),
        expected
    );
    assert_eq!(registry.server.requests(), [""; 0]);
}

/// Only packages that modules of the project can import by name need no permission.
#[test]
fn node_modules_of_another_project_need_read_permission() {
    let (registry, sandbox) = (Registry::start(), Sandbox::new());
    sandbox.write("app/package.json", "{}");
    sandbox
        .write("app/node_modules/own/package.json", r#"{ "name": "own", "type": "module", "exports": "./main.js" }"#);
    sandbox.write("app/node_modules/own/main.js", "export default 'own';");
    sandbox.write("other/node_modules/private/data.json", "1");
    sandbox.write("other/node_modules/private/main.mjs", "export default 'private';");
    let script = r#"
        import own from "own";
        const show = (imported: Promise<{ default: unknown }>) =>
            imported.then((m) => m.default, (error) => error.message.split('"')[0]);
        const at = (file: string) => new URL(`../other/node_modules/private/${file}`, import.meta.url).href;
        console.log(own, await show(import(new URL("node_modules/own/main.js", import.meta.url).href)));
        console.log(await show(import(at("main.mjs"))), "|", await show(import(at("data.json"), { with: { type: "json" } })), "|",
            await show(import(at("data.json"), { with: { type: "text" } })));
    "#;
    sandbox.write("app/main.ts", script);
    let run = |flags: &[&str]| {
        let mut command =
            registry.command(&sandbox, &[&["run", "--quiet", "--no-prompt"], flags, &["main.ts"]].concat());
        command.current_dir(sandbox.path("app"));
        Output::of(command, "").stdout()
    };
    let denied = "Requires read access to ";
    assert_eq!(run(&[]), format!("own own\n{denied} | {denied} | {denied}\n"));
    assert_eq!(run(&["-R"]), "own own\nprivate | 1 | 1\n");
}

#[test]
fn test_modules_and_eval_import_packages() {
    let (registry, sandbox) = (greetings(), Sandbox::new());
    sandbox.write("deno.json", r#"{ "imports": { "greet": "npm:greet@1" } }"#);
    sandbox.write("a_test.ts", "import { greet } from 'greet'; Deno.test(greet('test'), () => {});");
    let output = Output::of(registry.command(&sandbox, &["test", "--quiet"]), "");
    assert!(output.stdout.contains("hello test 1.2.0 ... ok"), "{output:?}");
    let code = "import { greet } from 'greet'; console.log(greet('eval'))";
    assert_eq!(Output::of(registry.command(&sandbox, &["eval", "--quiet", code]), "").stdout(), "hello eval 1.2.0\n");
    let input = "const { greet } = await import('greet')\ngreet('repl')";
    let output = Output::of(registry.command(&sandbox, &["repl", "--quiet"]), input).stdout();
    assert!(output.contains("hello repl 1.2.0"), "{output}");
}

#[cfg(unix)]
#[test]
fn lifecycle_scripts_run_only_if_allowed() {
    let registry = Registry::start();
    let scripts = json!({ "preinstall": "printf 1 > first.txt", "install": "printf 2 > second.txt",
        "postinstall": "printf '%s' \"$npm_lifecycle_event $(cat first.txt second.txt)\" > third.txt" });
    let manifest = json!({ "name": "scripted", "version": "1.0.0", "type": "module", "main": "main.js",
        "scripts": scripts, "hasInstallScript": true });
    registry.publish(manifest, &[("main.js", "export default 'scripted';")]);
    let failing = json!({ "name": "failing", "version": "1.0.0", "type": "module", "main": "main.js",
        "scripts": { "postinstall": "echo why it failed; exit 7" }, "hasInstallScript": true });
    registry.publish(failing, &[("main.js", "export default 'failing';")]);
    let written = |sandbox: &Sandbox, file: &str| {
        fs::read_to_string(sandbox.path(&format!("node_modules/scripted/{file}"))).unwrap_or_default()
    };
    for (flags, config, expected) in [
        (&["--node-modules-dir"][..], "{}", ""),
        (&["--node-modules-dir", "--allow-scripts"], "{}", "postinstall 12"),
        (&["--node-modules-dir", "--allow-scripts=npm:scripted@1"], "{}", "postinstall 12"),
        (&["--node-modules-dir", "--allow-scripts=npm:other"], "{}", ""),
        (&["--node-modules-dir"], r#"{ "allowScripts": ["npm:scripted"] }"#, "postinstall 12"),
        (&["--node-modules-dir=none", "--allow-scripts"], "{}", ""),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("deno.json", config);
        sandbox.write("main.ts", "import scripted from 'npm:scripted'; console.log(scripted);");
        let output = registry.run(&sandbox, flags);
        assert_eq!((output.code, output.stdout.as_str()), (Some(0), "scripted\n"), "{flags:?}: {output:?}");
        assert_eq!(written(&sandbox, "third.txt"), expected, "{flags:?} {config}");
    }

    // Scripts run in the environment that the process was started with.
    let manifest = json!({ "name": "telling", "version": "1.0.0", "type": "module", "main": "main.js",
        "scripts": { "postinstall": "printf '%s' \"$VALUE\" > value.txt" }, "hasInstallScript": true });
    registry.publish(manifest, &[("main.js", "")]);
    let sandbox = Sandbox::new();
    sandbox.write(
        "main.ts",
        "Deno.env.set('VALUE', 'changed'); Deno.env.delete('PATH'); await import('npm:telling' + '');",
    );
    let mut command =
        registry.command(&sandbox, &["run", "--allow-env", "--node-modules-dir", "--allow-scripts", "main.ts"]);
    command.env("VALUE", "as it was");
    assert_eq!(Output::of(command, "").code, Some(0));
    let told = fs::read_dir(sandbox.path("node_modules/.deno"))
        .unwrap()
        .find_map(|entry| fs::read_to_string(entry.unwrap().path().join("node_modules/telling/value.txt")).ok());
    assert_eq!(told.as_deref(), Some("as it was"));

    let sandbox = Sandbox::new();
    sandbox.write("deno.json", "{}");
    sandbox.write("main.ts", "import scripted from 'npm:scripted'; console.log(scripted);");
    let output = Output::of(registry.command(&sandbox, &["run", "--node-modules-dir", "main.ts"]), "");
    assert!(output.stderr.contains("npm:scripted@1.0.0"), "a warning names what was not run: {output:?}");
    sandbox.write("main.ts", "import failing from 'npm:failing'; console.log(failing);");
    let error = registry.run(&sandbox, &["--node-modules-dir", "--allow-scripts=npm:failing"]).stderr();
    assert!(error.contains("\"postinstall\" of npm:failing@1.0.0 failed, exit status: 7\nwhy it failed"), "{error}");
}

#[test]
fn commonjs_packages_are_loaded_from_the_cache_and_from_node_modules() {
    let registry = Registry::start();
    let manifest = json!({ "name": "inner", "version": "1.2.3", "main": "lib" });
    let files =
        [("lib/index.js", "exports.name = require('../data.json').name;"), ("data.json", r#"{ "name": "inner" }"#)];
    registry.publish(manifest, &files);
    let manifest = json!({ "name": "old", "version": "1.0.0", "main": "main.js", "dependencies": { "inner": "1" } });
    let main = "const path = require('path');
        exports.name = `${require('inner').name} in ${path.basename(__filename)}`;
        exports.again = require.resolve('inner') === require.resolve('inner/lib/index.js');";
    registry.publish(manifest, &[("main.js", main)]);
    for flags in [&[][..], &["--node-modules-dir"]] {
        let sandbox = Sandbox::new();
        sandbox.write("deno.json", "{}");
        sandbox.write(
            "main.ts",
            "import old, { again, name } from 'npm:old'; console.log(name, again, old.name === name);",
        );
        assert_eq!(registry.run(&sandbox, flags).stdout(), "inner in main.js true true\n", "{flags:?}");
    }
}

#[test]
fn typescript_of_a_package_is_rejected_by_require() {
    let sandbox = Sandbox::new();
    sandbox.write("package.json", "{}");
    sandbox.write("node_modules/pkg/package.json", r#"{ "name": "pkg", "main": "index.ts" }"#);
    sandbox.write("node_modules/pkg/index.ts", "module.exports = 1 as number;");
    let script = "import { createRequire } from 'node:module'; createRequire(import.meta.url)('pkg');";
    let error = sandbox.run(script).stderr();
    assert!(error.contains("[ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING]: Stripping types"), "{error}");
}

#[test]
fn require_loads_packages_that_modules_import() {
    let (registry, sandbox) = (Registry::start(), Sandbox::new());
    registry.publish(json!({ "name": "old", "version": "1.0.0", "main": "main.js" }), &[("main.js", "exports.a = 1;")]);
    sandbox.write(
        "main.ts",
        "import 'npm:old'; import { createRequire } from 'node:module';
        console.log(createRequire(import.meta.url)('old').a);",
    );
    assert_eq!(registry.run(&sandbox, &[]).stdout(), "1\n");
}

#[test]
fn commonjs_module_of_the_script_requires_permission_to_read() {
    let (registry, sandbox) = (Registry::start(), Sandbox::new());
    sandbox.write("other.cjs", "exports.name = 'other';");
    sandbox.write("own.cjs", "exports.name = require('./other.cjs').name;");
    sandbox.write("main.ts", "import own from './own.cjs'; console.log(own.name);");
    assert_eq!(registry.run(&sandbox, &["--allow-read"]).stdout(), "other\n");
    let error = registry.run(&sandbox, &[]).stderr();
    assert!(error.contains("NotCapable: Requires read access to "), "{error}");
}

#[test]
fn errors_in_packages_have_stacks_and_source_lines() {
    let (registry, sandbox) = (Registry::start(), Sandbox::new());
    let manifest = json!({ "name": "throwing", "version": "1.0.0", "type": "module", "main": "main.js" });
    registry.publish(manifest, &[("main.js", "export function fail() {\n  throw new Error('of a package');\n}\n")]);
    sandbox.write("main.ts", "import { fail } from 'npm:throwing';\ninterface A {}\n\nfail();");
    let error = registry.run(&sandbox, &[]).stderr();
    assert!(error.contains("/throwing/1.0.0/main.js:2:9") && error.contains("main.ts:4:1"), "{error}");
    assert!(error.contains("\n  throw new Error('of a package');\n        ^\n"), "{error}");
}

#[test]
fn program_of_a_package_runs() {
    let (registry, sandbox) = (Registry::start(), Sandbox::new());
    registry.publish(json!({ "name": "inner", "version": "1.0.0" }), &[("index.js", "module.exports = 'inner';")]);
    let manifest = json!({
        "name": "tool", "version": "1.0.0", "main": "main.js", "bin": { "tool": "bin/tool.js", "other": "bin/other.mjs" },
        "dependencies": { "inner": "1" },
    });
    let program =
        "#!/usr/bin/env node\nconsole.log(require('inner'), process.argv.slice(2).join(), require.main === module);";
    let files = [
        ("main.js", "console.log('main');"),
        ("bin/tool.js", program),
        ("bin/other.mjs", "console.log(import.meta.main, process.argv[1].endsWith('bin/other.mjs'));"),
    ];
    registry.publish(manifest, &files);
    registry.publish(json!({ "name": "library", "version": "1.0.0", "main": "main.js" }), &[("main.js", "")]);
    for flags in [&[][..], &["--node-modules-dir"]] {
        let run = |package: &str| {
            let args = [&["run", "-A", "-q"], flags, &[package, "a", "b"]].concat();
            Output::of(registry.command(&sandbox, &args), "")
        };
        assert_eq!(run("npm:tool@1").stdout(), "inner a,b true\n", "{flags:?}");
        assert_eq!(run("npm:tool/other").stdout(), "true true\n", "{flags:?}");
        let error = run("npm:tool/missing").stderr();
        assert!(error.contains("did not have a bin entry for 'missing'"), "{error}");
        let error = run("npm:library").stderr();
        assert!(error.contains("did not have a bin property"), "{error}");
    }
}

#[test]
fn program_of_a_package_runs_in_a_project_that_does_not_require_it() {
    let (registry, sandbox) = (Registry::start(), Sandbox::new());
    for version in ["1.0.0", "2.0.0"] {
        let manifest = json!({ "name": "tool", "version": version, "bin": "tool.js" });
        registry.publish(manifest, &[("tool.js", &format!("console.log('{version} of the registry');"))]);
    }
    let run = |package: &str| Output::of(registry.command(&sandbox, &["run", "-A", "-q", package]), "");
    sandbox.write("package.json", "{}");
    assert_eq!(run("npm:tool@1").stdout(), "1.0.0 of the registry\n");
    assert!(!sandbox.path("deno.lock").exists() && !sandbox.path("node_modules").exists());
    fs::create_dir_all(sandbox.path("node_modules/tool")).unwrap();
    sandbox.write("node_modules/tool/package.json", r#"{ "name": "tool", "version": "1.0.0", "bin": "tool.js" }"#);
    sandbox.write("node_modules/tool/tool.js", "console.log('1.0.0 of the project');");
    sandbox.write("package.json", r#"{ "dependencies": { "tool": "1" } }"#);
    assert_eq!(run("npm:tool@1").stdout(), "1.0.0 of the project\n");
    assert_eq!(run("npm:tool@2").stdout(), "2.0.0 of the registry\n");
}
