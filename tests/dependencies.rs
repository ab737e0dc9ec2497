//! `openkv add`, `remove`, `install` and `cache`, with a registry on loopback. Deno is the oracle of the files that they write.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::registry::{Registry, is_there};
use crate::support::{Output, Sandbox, skip};

/// Starts a registry with packages of npm and of JSR.
fn registry() -> Registry {
    let registry = Registry::start();
    for (name, versions) in [
        ("greet", &["1.0.0", "1.2.0", "2.0.0"][..]),
        ("@test/words", &["0.1.0"]),
        ("@test/next", &["1.0.0-rc.1"]),
        ("types", &["1.0.0"]),
    ] {
        for version in versions {
            let manifest = json!({ "name": name, "version": version, "type": "module", "exports": "./main.js" });
            registry.publish(manifest, &[("main.js", &format!("export default '{name} {version}';"))]);
        }
    }
    registry.publish_to_jsr("@kv/tool", "1.3.0", "export default 'tool 1.3.0';");
    registry
}

/// A project in a sandbox.
struct Project<'a> {
    registry: &'a Registry,
    sandbox: Sandbox,
}

impl Project<'_> {
    fn openkv(&self, args: &str) -> Output {
        self.run(self.registry.command(&self.sandbox, &args.split(' ').collect::<Vec<_>>()))
    }

    /// Runs the command on Deno, with a separate cache.
    fn deno(&self, args: &str) -> Output {
        let mut command = Command::new("deno");
        command.args(args.split(' ')).current_dir(self.sandbox.path(""));
        command.env("NPM_CONFIG_REGISTRY", &self.registry.server.url).env("HOME", self.sandbox.path(""));
        command.env("DENO_DIR", self.sandbox.path("other_deno_dir")).env("NO_COLOR", "1");
        self.run(command)
    }

    fn run(&self, mut command: Command) -> Output {
        command.env("JSR_URL", &self.registry.server.url);
        Output::of(command, "")
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.sandbox.path(file)).ok()
    }
}

/// Runs commands in a project with a file, and the same with Deno. Compares exit codes, all files and the installed packages.
/// Returns the file that was written.
#[track_caller]
fn compare(registry: &Registry, files: &[(&str, &str)], commands: &[&str], written: &str) -> String {
    let run = |is_deno: bool| {
        let project = Project { registry, sandbox: Sandbox::new() };
        for (name, text) in files {
            project.sandbox.write(name, text);
        }
        let run = |command: &&str| if is_deno { project.deno(command) } else { project.openkv(command) };
        let codes: Vec<_> = commands
            .iter()
            .map(|command| {
                let output = run(command);
                (output.code, output.stderr)
            })
            .collect();
        let texts = ["deno.json", "deno.jsonc", "package.json", "deno.lock"].map(|name| project.read(name));
        let installed =
            ["greet", "@test/words", "types"].map(|name| project.sandbox.path("node_modules").join(name).exists());
        (codes, texts, installed, project.read(written))
    };
    let (codes, texts, installed, text) = run(false);
    if !is_there(&mut Command::new("deno")) {
        skip("deno", "as the oracle of dependencies: it is not on the PATH");
    } else {
        let (other_codes, other_texts, other_installed, _) = run(true);
        let only_codes = |codes: &[(Option<i32>, String)]| codes.iter().map(|(code, _)| *code).collect::<Vec<_>>();
        assert_eq!(only_codes(&codes), only_codes(&other_codes), "{commands:?}: {codes:?} {other_codes:?}");
        assert_eq!((texts, installed), (other_texts, other_installed), "{commands:?}: {codes:?}");
    }
    text.unwrap_or_default()
}

#[test]
fn packages_are_added_to_deno_json() {
    let registry = registry();
    let added = |files: &[(&str, &str)], command: &str| compare(&registry, files, &[command], "deno.json");
    let created = added(&[], "add npm:greet");
    assert_eq!(created, "{\n  \"imports\": {\n    \"greet\": \"npm:greet@^2.0.0\"\n  }\n}\n");
    for (command, import) in [
        ("add greet@1", r#""greet": "npm:greet@^1.2.0""#),
        ("add greet@~1.0.0", r#""greet": "npm:greet@~1.0.0""#),
        ("add greet@1.0.0", r#""greet": "npm:greet@1.0.0""#),
        ("add --save-exact greet", r#""greet": "npm:greet@2.0.0""#),
        ("add old@npm:greet@1", r#""old": "npm:greet@^1.2.0""#),
        ("add npm:@test/next@1.0.0-rc.1", r#""@test/next": "npm:@test/next@1.0.0-rc.1""#),
        ("add --unscoped @test/words", r#""words": "npm:@test/words@^0.1.0""#),
        ("add jsr:@kv/tool", r#""@kv/tool": "jsr:@kv/tool@^1.3.0""#),
        ("add --jsr @kv/tool@latest", r#""@kv/tool": "jsr:@kv/tool@^1.3.0""#),
        ("install greet", r#""greet": "npm:greet@^2.0.0""#),
        ("i greet", r#""greet": "npm:greet@^2.0.0""#),
    ] {
        let text = added(&[], command);
        assert!(text.contains(import), "{command}: {text}");
    }
    // Comments and order stay.
    let text = compare(
        &registry,
        &[(
            "deno.jsonc",
            "{\n  // the tasks\n  \"tasks\": {},\n  \"imports\": {\n    \"a\": \"./a.ts\", // first\n    \"z\": \"./z.ts\"\n  }\n}\n",
        )],
        &["add greet", "add @test/words"],
        "deno.jsonc",
    );
    assert!(text.contains("// the tasks") && text.contains("\"./a.ts\", // first\n"), "{text}");
    let order = ["@test/words", "\"a\"", "greet", "\"z\""].map(|name| text.find(name).unwrap());
    assert!(order.is_sorted(), "{text}");
}

#[test]
fn packages_are_added_to_package_json() {
    let registry = registry();
    let package =
        ("package.json", "{\n  \"name\": \"own\",\n  \"devDependencies\": {\n    \"types\": \"^1.0.0\"\n  }\n}\n");
    let compare = |files: &[(&str, &str)], commands: &[&str]| compare(&registry, files, commands, "package.json");
    let text = compare(&[package], &["add greet"]);
    assert!(text.contains("\"dependencies\": {\n    \"greet\": \"^2.0.0\"\n  },\n  \"devDependencies\""), "{text}");
    let text = compare(&[package], &["add old@npm:greet@1"]);
    assert!(text.contains(r#""old": "npm:greet@^1.2.0""#), "{text}");
    let text = compare(&[package], &["add greet", "add -D greet@1"]);
    assert!(!text.contains("\"dependencies\"") && text.contains(r#""greet": "^1.2.0""#), "{text}");
    let text = compare(&[package], &["add -O greet"]);
    assert!(text.contains("\"optionalDependencies\": {\n    \"greet\": \"^2.0.0\"\n  }"), "{text}");
    let text = compare(&[package], &["add --no-save greet"]);
    assert_eq!(text, package.1);
    let text = compare(&[], &["add --package-json greet"]);
    assert!(text.contains(r#""greet": "^2.0.0""#), "{text}");
    compare(&[package, ("deno.json", "{}\n")], &["add greet jsr:@kv/tool"]);
    compare(&[package], &["add jsr:@kv/tool"]);
    compare(&[("package.json", "{}"), ("deno.json", r#"{ "preferPackageJson": true }"#)], &["add greet"]);
}

#[test]
fn packages_are_removed() {
    let registry = registry();
    let package = (
        "package.json",
        "{\n  \"dependencies\": { \"greet\": \"1\" },\n  \"devDependencies\": { \"types\": \"1\" }\n}\n",
    );
    let config = (
        "deno.json",
        "{\n  \"imports\": {\n    \"greet\": \"npm:greet@1\",\n    // kept\n    \"@test/words\": \"npm:@test/words\"\n  }\n}\n",
    );
    compare(&registry, &[package], &["install", "remove greet"], "package.json");
    compare(&registry, &[package], &["install", "rm greet types nothing"], "package.json");
    let text = compare(&registry, &[config], &["install", "remove npm:greet"], "deno.json");
    assert!(text.contains("// kept") && !text.contains("greet"), "{text}");
    compare(&registry, &[config], &["uninstall greet @test/words"], "deno.json");
    compare(&registry, &[package, config], &["remove greet"], "deno.json");
    compare(&registry, &[package, config], &["remove --package-json greet"], "deno.json");
    compare(&registry, &[config], &["remove nothing"], "deno.json");
}

#[test]
fn dependencies_are_installed() {
    let registry = registry();
    let package = ("package.json", r#"{ "dependencies": { "greet": "1" }, "devDependencies": { "types": "1" } }"#);
    let config = (
        "deno.json",
        r#"{ "imports": { "greet": "npm:greet@1", "tool": "jsr:@kv/tool@1", "own": "./own.ts", "none": "./none.ts" } }"#,
    );
    let own = ("own.ts", "import 'npm:@test/words'; export default 'own';");
    for (files, command) in [
        (&[package][..], "install"),
        (&[package], "install --prod"),
        (&[package], "install --lockfile-only"),
        (&[config, own], "install"),
        (&[config, own], "install --node-modules-dir"),
        (&[package, config, own], "install"),
        (&[package, ("deno.json", r#"{ "nodeModulesDir": "none" }"#)], "install"),
        (&[], "install"),
    ] {
        compare(&registry, files, &[command], "deno.lock");
    }

    // Everything that is imported runs offline afterwards.
    let project = Project { registry: &registry, sandbox: Sandbox::new() };
    for (name, text) in [config, own] {
        project.sandbox.write(name, text);
    }
    project.sandbox.write("main.ts", "import greet from 'greet'; import tool from 'tool'; console.log(greet, tool);");
    assert_eq!(project.openkv("install").code, Some(0));
    registry.server.requests();
    assert_eq!(project.openkv("run --cached-only --frozen main.ts").stdout(), "greet 1.2.0 tool 1.3.0\n");
    assert_eq!(registry.server.requests(), [""; 0]);
}

#[test]
fn modules_are_cached_with_what_they_import() {
    let registry = registry();
    let files = [
        ("main.ts", "import greet from 'npm:greet@1'; import './other.ts'; console.log(greet);"),
        ("other.ts", "import 'npm:@test/words'; if (false) await import('npm:types');"),
        ("broken.ts", "import './missing.ts';"),
        ("deno.json", "{}"),
    ];
    for command in ["cache main.ts", "install -e main.ts", "install --entrypoint main.ts other.ts"] {
        compare(&registry, &files, &[command, "run --cached-only --frozen main.ts"], "deno.lock");
    }
    for command in ["cache broken.ts", "cache missing.ts", "install -e broken.ts", "cache --frozen main.ts"] {
        compare(&registry, &files, &[command], "deno.lock");
    }
    let project = Project { registry: &registry, sandbox: Sandbox::new() };
    project.sandbox.write("main.ts", files[0].1);
    let error = project.openkv("cache main.ts").stderr();
    assert!(
        error.starts_with("Download http")
            && error.contains("Module not found \"file://")
            && error.contains("main.ts:1:"),
        "{error}"
    );
}

#[test]
fn messages_tell_what_changes_and_what_is_not_found() {
    let registry = registry();
    let project = Project { registry: &registry, sandbox: Sandbox::new() };
    let output = project.openkv("add greet@1");
    assert_eq!(output.code, Some(0));
    assert!(output.stderr.contains("Add npm:greet@1.2.0\nCreated deno.json configuration file.\n"), "{output:?}");
    let output = project.openkv("remove greet nothing");
    assert!(output.stderr.ends_with("Removed greet\n"), "{output:?}");
    assert!(project.openkv("remove greet").stderr.ends_with("No packages were removed\n"));
    assert_eq!(project.openkv("add -q greet").stdout(), "");
    for (command, message) in [
        ("add none", "npm:none was not found.\n"),
        ("add greet@7", "Could not find npm package 'greet' matching '7'."),
        ("add @kv/tool", "npm:@kv/tool was not found, but a matching jsr package exists. Did you mean jsr:@kv/tool?"),
        ("add jsr:@kv/none", "jsr:@kv/none was not found.\n"),
        ("add jsr:@kv/tool@beta", "jsr:@kv/tool has no version with the tag 'beta'"),
        ("add --unscoped @test/words @other/words", "would both be added as \"words\""),
        ("add npm:@", "failed to parse the package npm:@"),
    ] {
        let before = project.read("deno.json");
        let output = project.openkv(command);
        assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""), "{command}");
        assert!(output.stderr.contains(message), "{command}: {output:?}");
        assert_eq!(project.read("deno.json"), before, "{command}");
    }
    project.sandbox.write("deno.json", r#"{ "importMap": "map.json" }"#);
    project.sandbox.write("map.json", "{}");
    assert!(project.openkv("add greet").stderr().contains("which has an \"importMap\""));
    for command in ["add", "remove", "cache", "install -g greet", "install --compile main.ts", "remove -g greet"] {
        assert_eq!(project.openkv(command).code, Some(2), "{command}");
    }
}
