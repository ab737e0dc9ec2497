//! Tests of the Node.js built-in modules. The scripts of `tests/node` also pass on Deno.

use std::process::Command;

use crate::conformance::{MEMORY, passes};
use crate::support::{Output, Sandbox, read_repository, repository};

/// Runs a script, and checks that all its tests pass, on this runtime and on Deno.
#[track_caller]
fn agrees_with_deno(name: &str) {
    passes(&format!("../node/{name}"), &MEMORY);
    if !is_deno_installed() {
        return;
    }
    let script = repository("tests/node").join(name).with_extension("ts");
    let mut deno = Command::new("deno");
    deno.args(["run", "--quiet", "-A", "--unstable-kv"]).arg(script).arg("reference").env("NO_COLOR", "1");
    let output = Output::of(deno, "");
    assert_eq!((output.code, output.stdout.contains("not ok")), (Some(0), false), "{}{}", output.stdout, output.stderr);
}

/// Returns whether the release of Deno that the runtime is compatible with is installed.
fn is_deno_installed() -> bool {
    let version = Command::new("deno").arg("--version").output();
    version.is_ok_and(|output| output.stdout.starts_with(format!("deno {} ", openkv::DENO_VERSION).as_bytes()))
}

macro_rules! agree {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                agrees_with_deno(stringify!($name));
            }
        )*
    };
}

agree!(crypto events files globals http modules net processes streams testing threads values);

/// Runs a script that fails. Returns the first line of its error message.
#[track_caller]
fn error_of(script: &str) -> String {
    let stderr = Sandbox::new().run(script).stderr();
    stderr.lines().next().unwrap_or_default().into()
}

#[test]
fn node_sqlite_is_rejected() {
    for script in [
        "import 'node:sqlite';",
        "await import('node:sqlite');",
        "process.getBuiltinModule('node:sqlite');",
        "import { createRequire } from 'node:module'; createRequire(import.meta.url)('node:sqlite');",
    ] {
        let error = error_of(script);
        assert!(error.contains("node:sqlite is not supported: "), "{error}");
    }
}

#[test]
fn rejection_of_node_sqlite_can_be_caught() {
    let output = Sandbox::new().run("try { await import('node:sqlite'); } catch ({ name }) { console.log(name); }");
    assert_eq!(output.stdout(), "TypeError\n");
}

#[test]
fn native_addon_is_rejected() {
    let error = error_of(
        "import { createRequire } from 'node:module';
        await Deno.writeTextFile('a.node', '');
        createRequire(import.meta.url)('./a.node');",
    );
    assert!(error.contains("native addons are not supported"), "{error}");
}

#[test]
fn proxy_of_an_environment_file_needs_permission() {
    let sandbox = Sandbox::new();
    sandbox.write("variables", "OTHER=1\nHTTPS_PROXY=http://127.0.0.1:4\n");
    sandbox
        .write("main.ts", "process.loadEnvFile('variables'); console.log(process.env.OTHER, process.env.HTTPS_PROXY);");
    let run = |flags: &[&str]| {
        let mut command = sandbox.command(["run", "--no-prompt", "--allow-env", "--allow-read"].iter().chain(flags));
        for name in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "https_proxy", "http_proxy"] {
            command.env_remove(name);
        }
        command.arg("main.ts");
        Output::of(command, "")
    };
    let error = run(&[]).stderr();
    assert!(error.contains("NotCapable: Requires net access to \"127.0.0.1:4\""), "{error}");
    assert_eq!(run(&["--allow-net=127.0.0.1:4"]).stdout(), "1 http://127.0.0.1:4\n");
}

#[test]
fn loading_a_package_needs_no_permission_unless_a_link_leaves_it() {
    let sandbox = Sandbox::new();
    sandbox.write("package.json", "{}");
    sandbox.write("node_modules/pkg/index.js", "module.exports = 'package';");
    sandbox.write("secret.json", "\"secret\"");
    #[cfg(unix)]
    std::os::unix::fs::symlink(sandbox.path("secret.json"), sandbox.path("node_modules/pkg/link.json")).unwrap();
    let script = |name: &str| {
        format!("import {{ createRequire }} from 'node:module'; console.log(createRequire(import.meta.url)('{name}'));")
    };
    let run = |name: &str, flag: &str| {
        sandbox.write("main.ts", script(name));
        sandbox.openkv(["run", "--no-prompt", flag, "main.ts"])
    };
    assert_eq!(run("pkg", "--quiet").stdout(), "package\n");
    assert_eq!(run("./secret.json", "--allow-read").stdout(), "secret\n");
    for (name, flag) in [
        ("./secret.json", "--quiet"),
        ("./node_modules/../secret.json", "--quiet"),
        #[cfg(unix)]
        ("pkg/link.json", "--quiet"),
        ("pkg", "--deny-read"),
    ] {
        let error = run(name, flag).stderr();
        assert!(error.contains("NotCapable: Requires read access to "), "{error}");
    }
}

/// `cargo xtask compatibility` generates the table.
#[test]
fn compatibility_table_matches_the_runtime() {
    let table = read_repository("docs/compatibility.md");
    let (names, _) = table.split_once("## Commands").unwrap();
    let rows: Vec<_> = names.lines().filter_map(row).collect();
    assert!(rows.len() > 100, "{}", rows.len());
    let script = "
        for (const name of Deno.args) {
            let has = name in Deno;
            if (name.startsWith('node:')) has = await import(name).then(() => true, () => false);
            console.log(name, has);
        }";
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", script);
    let found = sandbox.openkv(["run", "-A", "main.ts"].into_iter().chain(rows.iter().map(|(name, _)| *name))).stdout();
    let expected: String = rows.iter().map(|(name, state)| format!("{name} {}\n", *state != "absent")).collect();
    assert_eq!(found, expected);
}

/// Parses the name and the state of a row.
fn row(line: &str) -> Option<(&str, &str)> {
    let mut cells = line.split('|').map(str::trim).skip(1);
    Some((cells.next()?.strip_prefix('`')?.strip_suffix('`')?, cells.next()?))
}

#[test]
fn extra_certificates_of_the_environment_are_trusted() {
    let sandbox = Sandbox::new();
    let certificates = read_repository("tests/certificate.ts");
    let (_, authority) = certificates.split_once("caCerts = [`").unwrap();
    sandbox.write("authority.pem", authority.split('`').next().unwrap());
    sandbox.write("certificate.ts", &certificates);
    sandbox.write(
        "main.ts",
        "import { cert, key } from './certificate.ts';
        const options = { port: 0, hostname: '127.0.0.1', cert, key, onListen() {} };
        const server = Deno.serve(options, () => new Response('served'));
        const response = fetch(`https://localhost:${server.addr.port}`);
        console.log(await response.then((response) => response.text(), () => 'failed'));
        await server.shutdown();",
    );
    for (file, expected, warning) in [
        ("authority.pem", "served\n", ""),
        ("", "failed\n", ""),
        ("missing.pem", "failed\n", "failed to read the certificates in"),
    ] {
        let mut command = sandbox.command(["run", "-A", "main.ts"]);
        command.env("NODE_EXTRA_CA_CERTS", file);
        let output = Output::of(command, "");
        assert_eq!(output.stdout, expected, "{file}: {}", output.stderr);
        assert!(output.stderr.contains(warning), "{}", output.stderr);
    }
}
