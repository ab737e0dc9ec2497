//! Packages of the npm registry that programs with Deno KV use: with `deno.json` alone, with `node_modules` of npm, and
//! offline. Deno runs the same programs.

use std::process::Command;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::registry::{Registry, is_there};
use crate::support::{Output, Sandbox, read_repository, skip};

/// The programs, and what they print. They also check the behaviour of each package themselves.
const PROGRAMS: [(&str, &str); 6] = [
    ("ids", "identifiers: 100 1000\n"),
    ("node_servers", "requests: 40\n"),
    ("queries", "statements: 5 2\n"),
    ("service", "counted 296 true\n422 times | 422 name\n404 1 visit\n"),
    ("tokens", "tokens are verified\n"),
    ("values", "values: { tea: 3, milk: 1 }\n"),
];

/// The package of JSR that the service imports.
const WORDS: &str = "
    export const delay = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));
    export const pluralize = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;";

/// A directory with the programs, and the registry of JSR.
struct Project {
    sandbox: Sandbox,
    jsr: Registry,
}

impl Project {
    fn new() -> Self {
        let project = Self { sandbox: Sandbox::new(), jsr: Registry::start() };
        project.jsr.publish_to_jsr("@kv/words", "1.2.0", WORDS);
        for (name, _) in PROGRAMS {
            let name = format!("{name}.ts");
            project.sandbox.write(&name, read_repository(&format!("tests/packages/{name}")));
        }
        project
    }

    /// Runs the programs.
    fn run(&self, flags: &[&str]) {
        self.run_with("openkv", |program| {
            let mut command = self.sandbox.command([&["run", "-A", "--quiet"], flags, &[program]].concat());
            if flags.contains(&"--cached-only") {
                // Nothing listens there.
                command.env("HTTPS_PROXY", "http://127.0.0.1:9").env("NO_PROXY", "127.0.0.1");
            }
            command
        });
    }

    /// Runs the programs on Deno, with a separate cache.
    fn run_on_deno(&self) {
        if !is_there(&mut Command::new("deno")) {
            return skip("deno", "as the oracle of packages: it is not on the PATH");
        }
        self.run_with("deno", |program| {
            let mut command = Command::new("deno");
            command.args(["run", "-A", "--quiet", "--unstable-kv", "--no-lock", program]);
            command.current_dir(self.sandbox.path("")).env("DENO_DIR", self.sandbox.path("other_deno_dir"));
            command.env("NO_COLOR", "1").env_remove("RUST_BACKTRACE");
            command
        });
    }

    fn run_with(&self, runtime: &str, command: impl Fn(&str) -> Command) {
        for (name, expected) in PROGRAMS {
            let mut command = command(&format!("{name}.ts"));
            command.env("JSR_URL", &self.jsr.server.url);
            let output = Output::of(command, "");
            assert_eq!(
                (output.code, output.stdout.as_str()),
                (Some(0), expected),
                "{runtime} {name}: {}",
                output.stderr
            );
        }
    }
}

/// Returns the dependencies of all programs, and their versions.
fn dependencies() -> Map<String, Value> {
    let manifest: Value = serde_json::from_str(&read_repository("tests/packages/package.json")).unwrap();
    manifest["dependencies"].as_object().unwrap().clone()
}

/// Returns whether packages can be installed from the registry of the machine, which `NPM_CONFIG_REGISTRY` or `.npmrc` may
/// name.
fn can_install() -> bool {
    static RESULT: LazyLock<Result<(), String>> = LazyLock::new(|| {
        let sandbox = Sandbox::new();
        sandbox.write("main.ts", "import 'npm:ulid@3.0.2';");
        let output = sandbox.openkv(["run", "main.ts"]);
        if output.code == Some(0) { Ok(()) } else { Err(output.stderr) }
    });
    if let Err(error) = &*RESULT {
        skip("registry", error);
    }
    RESULT.is_ok()
}

#[test]
fn packages_run_with_deno_json_alone_and_offline_afterwards() {
    if !can_install() {
        return;
    }
    let project = Project::new();
    let imports: Map<_, _> = dependencies()
        .iter()
        .map(|(name, version)| (name, version.as_str().unwrap()))
        .flat_map(|(name, version)| {
            let directory = format!("npm:/{name}@{version}/");
            [(name.clone(), format!("npm:{name}@{version}").into()), (format!("{name}/"), directory.into())]
        })
        .collect();
    project.sandbox.write("deno.json", json!({ "imports": imports }).to_string());
    project.run(&[]);
    assert!(!project.sandbox.path("node_modules").exists());
    project.jsr.server.requests();
    project.run(&["--cached-only", "--frozen"]);
    assert_eq!(project.jsr.server.requests(), [""; 0]);
    project.run_on_deno();
}

#[test]
fn packages_run_from_node_modules_of_npm_and_offline_afterwards() {
    if !can_install() {
        return;
    }
    if !is_there(&mut Command::new("npm")) {
        return skip("node", "npm is not on the PATH");
    }
    let project = Project::new();
    project.sandbox.write("package.json", read_repository("tests/packages/package.json"));
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(project.sandbox.path(""));
    let output = Output::of(npm, "");
    assert_eq!(output.code, Some(0), "{output:?}");
    project.run(&[]);
    let cached = std::fs::read_dir(project.sandbox.path("deno_dir/npm")).unwrap();
    assert_eq!(cached.count(), 0, "packages are loaded from node_modules");
    project.jsr.server.requests();
    project.run(&["--cached-only"]);
    assert_eq!(project.jsr.server.requests(), [""; 0]);
    project.run_on_deno();
}
