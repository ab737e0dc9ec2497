//! Loading of modules.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::support::{Output, Sandbox};

/// A server of modules, which records the paths of requests.
pub struct Server {
    pub url: String,
    files: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn start(files: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            files: Arc::default(),
            requests: Arc::default(),
        };
        files.iter().for_each(|(path, text)| server.put(path, text));
        let (files, requests) = (server.files.clone(), server.requests.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (files, requests) = (files.clone(), requests.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &files, &requests));
            }
        });
        server
    }

    pub fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        self.files.lock().unwrap().insert(path.into(), content.as_ref().to_vec());
    }

    /// Returns the sorted paths of the requests since the last call, each with the token that was sent. Requests to a proxy have URLs.
    pub fn requests(&self) -> Vec<String> {
        let mut requests = std::mem::take(&mut *self.requests.lock().unwrap());
        requests.sort();
        requests
    }
}

/// Handles the requests of one connection. A file with the text `-> PATH` is a redirect.
fn serve(stream: TcpStream, files: &Mutex<HashMap<String, Vec<u8>>>, requests: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    while let Some(Ok(request)) = lines.next() {
        let mut token = String::new();
        while let Some(Ok(line)) = lines.next().filter(|line| line.as_ref().is_ok_and(|line| !line.is_empty())) {
            if let Some((_, value)) =
                line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("authorization"))
            {
                token = format!(" {value}");
            }
        }
        let path = request.split(' ').nth(1).unwrap().to_owned();
        let content = files.lock().unwrap().get(&path).cloned();
        requests.lock().unwrap().push(format!("{path}{token}"));
        let (head, body) = match content.as_deref().map(|content| content.strip_prefix(b"-> ").ok_or(content)) {
            Some(Ok(to)) => (format!("302 Found\r\nlocation: {}", String::from_utf8_lossy(to)), &b""[..]),
            Some(Err(content)) => ("200 OK".into(), content),
            None => ("404 Not Found".into(), &b""[..]),
        };
        let head = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len());
        if (&stream).write_all(&[head.as_bytes(), body].concat()).is_err() {
            return;
        }
    }
}

/// Runs `main.ts` with all permissions and further flags, without logging downloads.
fn run(sandbox: &Sandbox, flags: &[&str]) -> Output {
    sandbox.openkv(["run", "-A", "--quiet"].iter().chain(flags).chain(&["main.ts"]))
}

#[test]
fn import_meta_locates_the_module() {
    let sandbox = Sandbox::new();
    sandbox.write("lib/a.ts", "export const { main, filename, dirname } = import.meta;");
    let script = "import * as a from './lib/a.ts';
        const at = (path: string) => path.replace(Deno.cwd(), '');
        console.log(import.meta.main, at(import.meta.filename!), at(import.meta.dirname!), a.main, at(a.filename!));
        console.log(at(import.meta.resolve('./x.ts')), import.meta.resolve('https://a.example/b.ts'));";
    let expected = "true /main.ts  false /lib/a.ts\nfile:///x.ts https://a.example/b.ts\n";
    assert_eq!(sandbox.run(script).stdout(), expected);
}

#[test]
fn import_maps_of_configuration_and_command_line_apply() {
    let sandbox = Sandbox::new();
    sandbox.write("lib/one.ts", "export const name = 'one';");
    sandbox.write("lib/two.ts", "export const name = 'two';");
    let config = r#"{ // comments are allowed
        "imports": { "lib": "./lib/one.ts", "lib/": "./lib/" } }"#;
    sandbox.write("deno.jsonc", config);
    sandbox.write("map.json", r#"{ "imports": { "lib": "./lib/two.ts", "lib/": "./lib/" } }"#);
    sandbox.write(
        "main.ts",
        "import { name } from 'lib'; import * as two from 'lib/two.ts'; console.log(name, two.name);",
    );
    assert_eq!(run(&sandbox, &[]).stdout(), "one two\n");
    assert_eq!(run(&sandbox, &["--import-map", "map.json"]).stdout(), "two two\n");
    assert_eq!(run(&sandbox, &["--config", "deno.jsonc"]).stdout(), "one two\n");
    let error = run(&sandbox, &["--no-config"]).stderr();
    assert!(error.starts_with("error: Import \"lib/two.ts\" not a dependency\n  hint: map it in \"imports\" of deno.json, or import \"./lib/two.ts\"\n    at file://"), "{error}");
}

#[test]
fn workspace_member_inherits_from_the_root() {
    let sandbox = Sandbox::new();
    let root = r#"{ "workspace": ["./one", "./two"], "imports": { "name": "./root.ts", "only": "./root.ts" },
        "compilerOptions": { "jsxFactory": "h", "jsxFragmentFactory": "root" } }"#;
    sandbox.write("deno.json", root);
    sandbox.write("root.ts", "export default 'root';");
    let member = r#"{ "imports": { "name": "./own.ts" }, "compilerOptions": { "jsxFragmentFactory": "f" } }"#;
    sandbox.write("one/deno.json", member);
    sandbox.write("one/own.ts", "export default 'one';");
    sandbox
        .write("two/deno.json", r#"{ "imports": { "name": "./own.ts" }, "scopes": { "./": { "only": "./own.ts" } } }"#);
    sandbox.write("two/own.ts", "export default 'two';");
    sandbox.write("two/mod.ts", "import name from 'name'; import only from 'only'; export default [name, only];");
    let script = "import name from 'name'; import only from 'only'; import two from '../two/mod.ts';
        const h = (tag: unknown, _: unknown, ...inner: unknown[]) => [tag, ...inner], f = 'fragment';
        console.log(name, only, two, <b>{1}</b>, <></>);";
    sandbox.write("one/main.tsx", script);
    let expected = "one root [ \"two\", \"root\" ] [ \"b\", 1 ] [ \"fragment\" ]\n";
    assert_eq!(sandbox.openkv(["one/main.tsx"]).stdout(), expected);
    sandbox.write("main.ts", "import name from 'name'; console.log(name);");
    assert_eq!(sandbox.openkv(["main.ts"]).stdout(), "root\n");

    // A directory that is not a member only has its own configuration.
    sandbox.write("three/deno.json", r#"{ "imports": { "name": "./own.ts" } }"#);
    sandbox.write("three/own.ts", "export default 'three';");
    sandbox.write("three/main.ts", "import name from 'name'; console.log(name); await import('only');");
    let output = sandbox.openkv(["three/main.ts"]);
    assert!(output.stdout == "three\n" && output.stderr.contains("\"only\" not a dependency"), "{output:?}");

    sandbox.write("deno.json", r#"{ "compilerOptions": { "jsx": "vue" }, "workspace": ["./one"] }"#);
    let error = sandbox.openkv(["one/main.tsx"]).stderr();
    let expected = format!(
        "error: Unsupported 'jsx' compiler option value 'vue'. Supported: 'react-jsx', 'react-jsxdev', 'react', 'precompile'\n  \
         at file://{}\n",
        sandbox.path("deno.json").display()
    );
    assert_eq!(error, expected, "as on Deno");
}

#[test]
fn invalid_configuration_is_one_error_message() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", "");
    for (config, message) in [
        ("{ imports", "error: Unterminated"),
        (r#"{ "imports": { "a": 1 }, "lock": 3 }"#, "error: the entry \"lock\" of "),
        (r#"{ "compilerOptions": { "jsx": "vue" } }"#, "error: the entry \"compilerOptions\" of "),
    ] {
        sandbox.write("deno.json", config);
        let error = run(&sandbox, &[]).stderr();
        assert!(error.starts_with(message) || error.contains("deno.json"), "{error}");
    }
    let error = run(&sandbox, &["--config", "missing.json"]).stderr();
    assert!(error.contains("missing.json"), "{error}");
    let error = run(&sandbox, &["--no-config", "--import-map", "missing.json"]).stderr();
    assert!(error.contains("failed to load the import map missing.json: "), "{error}");
}

#[test]
fn scripts_of_a_project_share_the_default_database() {
    let sandbox = Sandbox::new();
    sandbox.write("deno.json", "{}");
    sandbox.write("main.ts", "await (await Deno.openKv()).set(['a'], 1);");
    sandbox.write("lib/other.ts", "console.log((await (await Deno.openKv()).get(['a'])).value);");
    run(&sandbox, &[]).stdout();
    assert_eq!(sandbox.openkv(["lib/other.ts"]).stdout(), "1\n");
    assert_eq!(sandbox.openkv(["run", "--no-config", "lib/other.ts"]).stdout(), "null\n");
}

#[test]
fn configuration_selects_the_jsx_transform() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "h.ts",
        "export const h = (tag: string, props: unknown, ...inner: unknown[]) => [tag, props, ...inner];",
    );
    sandbox.write("jsx/jsx-runtime.ts", "export const jsx = (tag: string, props: object) => ({ tag, ...props });");
    sandbox.write("main.tsx", "import { h } from './h.ts'; const a: number = 1; console.log(<b id='x'>{a}</b>);");
    let run = |config: &str| {
        sandbox.write("deno.json", config);
        sandbox.openkv(["main.tsx"]).stdout()
    };
    assert_eq!(run(r#"{ "compilerOptions": { "jsxFactory": "h" } }"#), "[ \"b\", { id: \"x\" }, 1 ]\n");
    let config = r#"{ "compilerOptions": { "jsx": "react-jsx", "jsxImportSource": "ui" },
        "imports": { "ui/jsx-runtime": "./jsx/jsx-runtime.ts" } }"#;
    assert_eq!(run(config), "{ tag: \"b\", id: \"x\", children: 1 }\n");
}

#[test]
fn data_and_blob_urls_text_and_bytes_are_modules() {
    let sandbox = Sandbox::new();
    sandbox.write("note.txt", "hello\n");
    let script = r#"
        import note from "./note.txt" with { type: "text" };
        import bytes from "./note.txt" with { type: "bytes" };
        import { a } from "data:text/typescript,export const a: string = 'data';";
        const blob = new Blob(["export const b: string = 'blob';"], { type: "text/typescript" });
        const { b } = await import(URL.createObjectURL(blob));
        console.log([note, bytes.length, a, b]);
    "#;
    assert_eq!(sandbox.run(script).stdout(), "[ \"hello\\n\", 6, \"data\", \"blob\" ]\n");
}

#[test]
fn module_written_by_the_script_can_be_imported() {
    let script = "const load = () => import('./made.ts').then((m) => m.made, (e) => e.constructor.name);
        console.log(await load());
        await Deno.writeTextFile('made.ts', 'export const made: number = 1;');
        console.log(await load());";
    assert_eq!(Sandbox::new().run(script).stdout(), "TypeError\n1\n");
}

#[test]
fn changed_modules_are_read_again_before_they_run() {
    let sandbox = Sandbox::new();
    sandbox.write("late.ts", "export const v = 'as it was';");
    sandbox.write("top.ts", "export { v } from './missing.ts';");
    sandbox.write("wrong.ts", "export { v } from './broken.ts';");
    sandbox.write("broken.ts", "export const v = ;");
    sandbox.write("gone.ts", "export const v = 'gone';");
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    for file in ["late.ts", "broken.ts"] {
        std::fs::File::open(sandbox.path(file)).unwrap().set_modified(long_ago).unwrap();
    }
    let script = r#"
        const show = (imported: Promise<{ v: string }>) => imported.then((m) => m.v, (e) => e.message.split("\n")[0]);
        Deno.writeTextFileSync("late.ts", "export const v = 'changed';");
        Deno.writeTextFileSync("missing.ts", "export const v = 'there now';");
        Deno.writeTextFileSync("broken.ts", "export const v = 'mended';");
        Deno.removeSync("gone.ts");
        console.log(await show(import("./late.ts")), "|", await show(import("./top.ts")), "|", await show(import("./wrong.ts")));
        console.log(await show(import("./gone.ts")));
        // A module that has run is not read again, also for later importers.
        Deno.writeTextFileSync("late.ts", "export const v = ;");
        Deno.writeTextFileSync("again.ts", "export { v } from './late.ts';");
        console.log(await show(import("./late.ts")), "|", await show(import(["./again", ".ts"].join(""))));
    "#;
    assert_eq!(sandbox.run(script).stdout(), "changed | there now | mended\ngone\nchanged | changed\n");
}

#[test]
fn changed_module_requires_read_permission() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("late.ts", "export default 'as it was';");
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    std::fs::File::open(file).unwrap().set_modified(long_ago).unwrap();
    let script = "Deno.writeTextFileSync('late.ts', 'export default 1;');
        console.log(await import('./late.ts').then((m) => m.default, (e) => e.message.split('\"')[0]));";
    sandbox.write("main.ts", script);
    assert_eq!(sandbox.openkv(["run", "-W", "--no-prompt", "main.ts"]).stdout(), "Requires read access to \n");
}

#[test]
fn computed_asset_requires_read_permission() {
    let sandbox = Sandbox::new();
    sandbox.write("secret.ts", "export default 'of the program';");
    sandbox.write("note.txt", "no code at all");
    sandbox.write("other.txt", "no code either");
    let script = r#"
        import "./secret.ts";
        import note from "./note.txt" with { type: "text" };
        const show = (imported: Promise<{ default: unknown }>) =>
            imported.then((m) => m.default, (e) => e.message.split('"')[0]);
        const name = (of: string) => ["./", of].join("");
        console.log(note, "|", (await import("./note.txt", { with: { type: "bytes" } })).default.length);
        console.log(await show(import(name("secret.ts"), { with: { type: "text" } })));
        console.log(await show(import(name("other.txt"), { with: { type: "text" } })));
        console.log(await show(import(name("missing.txt"), { with: { type: "bytes" } })));
        const source = `export { default } from "${new URL("secret.ts", import.meta.url)}" with { type: "text" };`;
        console.log(await show(import("data:text/javascript," + encodeURIComponent(source))));
    "#;
    sandbox.write("main.ts", script);
    let denied = "Requires read access to \n";
    let named = "no code at all | 14\n";
    assert_eq!(sandbox.openkv(["run", "--no-prompt", "main.ts"]).stdout(), format!("{named}{}", denied.repeat(4)));
    let secret = "export default 'of the program';\n";
    let expected = format!("{named}{secret}no code either\nModule not found \n{secret}");
    assert_eq!(sandbox.openkv(["run", "-R", "main.ts"]).stdout(), expected);
}

#[test]
fn remote_assets_are_fetched_once_from_allowed_hosts() {
    let other = Server::start(&[("/note.txt", "of another host")]);
    let server = Server::start(&[
        ("/note.txt", "no code at all"),
        ("/computed.txt", "no code either"),
        ("/away.txt", &format!("-> {}/note.txt", other.url)),
    ]);
    let sandbox = Sandbox::new();
    let script = format!(
        r#"
        import note from "{0}/note.txt" with {{ type: "text" }};
        import bytes from "{0}/note.txt" with {{ type: "bytes" }};
        const url = Deno.args[0] + "/computed.txt";
        const computed = [];
        for (const type of ["text", "bytes"]) computed.push((await import(url, {{ with: {{ type }} }})).default.length);
        const away = import(Deno.args[0] + "/away.txt", {{ with: {{ type: "text" }} }});
        console.log(note, bytes.length, computed, await away.then((m) => m.default, (e) => e.message.split('"')[0]));
        "#,
        server.url
    );
    sandbox.write("main.ts", script);
    let allow = format!("--allow-import={}", server.url.trim_start_matches("http://"));
    let args = ["run", "--quiet", "--no-prompt", "--reload", &allow, "main.ts", &server.url];
    let expected = "no code at all 14 [ 14, 14 ] Requires import access to \n";
    assert_eq!(sandbox.openkv(args).stdout(), expected);
    assert_eq!(server.requests(), ["/away.txt", "/computed.txt", "/note.txt"]);
    assert_eq!(other.requests(), [""; 0]);
}

#[test]
fn computed_import_requires_read_permission() {
    let sandbox = Sandbox::new();
    sandbox.write("a.ts", "export default 'a';");
    sandbox.write(
        "main.ts",
        "console.log((await import('./a.ts')).default);
        const name = ['./b', '.ts'].join('');
        console.log(await import(name).then((m) => m.default, (e) => e.message.split('\"')[0]));",
    );
    sandbox.write("b.ts", "export default 'b';");
    assert_eq!(sandbox.openkv(["main.ts"]).stdout(), "a\nRequires read access to \n");
    assert_eq!(sandbox.openkv(["-R", "main.ts"]).stdout(), "a\nb\n");
}

#[test]
fn remote_modules_are_cached_and_reloaded() {
    let server = Server::start(&[
        ("/a.ts", "export { b } from './old/b.ts'; export const a: number = 1;"),
        ("/old/b.ts", "-> /new/b.ts"),
        ("/new/b.ts", "export const b: string = import.meta.url;"),
    ]);
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", format!("import {{ a, b }} from '{}/a.ts'; console.log(a, b);", server.url));
    let expected = format!("1 {}/new/b.ts\n", server.url);
    let all = ["/a.ts", "/new/b.ts", "/old/b.ts"];

    let error = run(&sandbox, &["--cached-only"]).stderr();
    assert!(error.contains("--cached-only"), "{error}");
    let error = run(&sandbox, &["--no-remote"]).stderr();
    assert!(error.contains("--no-remote"), "{error}");
    assert_eq!(server.requests(), [""; 0]);

    let output = sandbox.openkv(["run", "-A", "main.ts"]);
    assert_eq!((output.stdout, output.stderr.lines().count()), (expected.clone(), 3));
    assert_eq!(server.requests(), all);
    assert_eq!(run(&sandbox, &[]).stdout(), expected);
    assert_eq!(run(&sandbox, &["--cached-only"]).stdout(), expected);
    assert_eq!(server.requests(), [""; 0]);

    server.put("/a.ts", "export { b } from './old/b.ts'; export const a: number = 2;");
    let some = format!("--reload={}/a.ts", server.url);
    assert_eq!(run(&sandbox, &[&some]).stdout(), expected.replacen('1', "2", 1));
    assert_eq!(server.requests(), ["/a.ts"]);
    assert_eq!(run(&sandbox, &["--reload"]).stdout(), expected.replacen('1', "2", 1));
    assert_eq!(server.requests(), all);
}

#[test]
fn remote_modules_require_an_allowed_host() {
    let server = Server::start(&[
        ("/a.ts", "export default 'a';"),
        ("/file.ts", "import 'file:///etc/passwd';"),
        ("/main.ts", "import a from './a.ts'; console.log(a);"),
    ]);
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", format!("import a from '{}/a.ts'; console.log(a);", server.url));
    let host = server.url.trim_start_matches("http://");
    let allow = format!("--allow-import={host}");
    assert_eq!(sandbox.openkv(["run", "--quiet", &allow, "main.ts"]).stdout(), "a\n");
    let error = sandbox.openkv(["run", "main.ts"]).stderr();
    assert!(error.starts_with(&format!("error: Requires import access to \"{host}\"")), "{error}");

    // The host of the main module is allowed.
    assert_eq!(sandbox.openkv(["run", "--quiet", &format!("{}/main.ts", server.url)]).stdout(), "a\n");
    let error = sandbox.openkv(["run", "-A", "--quiet", &format!("{}/file.ts", server.url)]).stderr();
    assert!(error.contains("Remote modules are not allowed to import local modules"), "{error}");
}

#[test]
fn lockfile_rejects_a_changed_module() {
    let server = Server::start(&[("/a.ts", "export default 'a';"), ("/b.ts", "export default 'b';")]);
    let sandbox = Sandbox::new();
    sandbox.write("deno.json", "{}");
    let import = |name: &str| format!("import x from '{}/{name}.ts'; console.log(x);", server.url);
    sandbox.write("main.ts", import("a"));
    assert_eq!(run(&sandbox, &[]).stdout(), "a\n");
    let locked = std::fs::read_to_string(sandbox.path("deno.lock")).unwrap();
    assert!(locked.contains(&format!("\"{}/a.ts\": \"", server.url)), "{locked}");

    server.put("/a.ts", "export default 'evil';");
    let error = run(&sandbox, &["--reload"]).stderr();
    assert!(error.contains("Integrity check failed"), "{error}");
    assert_eq!(run(&sandbox, &["--reload", "--no-lock"]).stdout(), "evil\n");
    assert_eq!(std::fs::read_to_string(sandbox.path("deno.lock")).unwrap(), locked);

    sandbox.write("main.ts", import("b"));
    let error = run(&sandbox, &["--frozen"]).stderr();
    assert!(error.contains("deno.lock") && error.contains("--frozen"), "{error}");
    assert_eq!(std::fs::read_to_string(sandbox.path("deno.lock")).unwrap(), locked);
    assert_eq!(run(&sandbox, &["--lock=other.lock"]).stdout(), "b\n");
    assert!(std::fs::read_to_string(sandbox.path("other.lock")).unwrap().contains("/b.ts"));
}

#[test]
fn jsr_packages_are_resolved_by_version() {
    let module = "export const version: string = '1.2.0'; // tool";
    let manifest = r#"{ "exports": { ".": "./mod.ts" }, "manifest": { "/mod.ts": { "size": 47,
        "checksum": "sha256-a5bbe964062f35e71685d2dd16e147f4d5ce04fc49c18a80c21ee69174f6ff59" } } }"#;
    let server = Server::start(&[
        ("/@kv/tool/meta.json", r#"{ "versions": { "1.0.0": {}, "1.2.0": {}, "2.0.0": {} } }"#),
        ("/@kv/tool/1.2.0_meta.json", manifest),
        ("/@kv/tool/1.2.0/mod.ts", module),
    ]);
    let sandbox = Sandbox::new();
    sandbox.write("deno.json", "{}");
    sandbox.write("main.ts", "import { version } from 'jsr:@kv/tool@1'; console.log(version);");
    sandbox.write(".env", format!("JSR_URL={}", server.url));
    assert_eq!(run(&sandbox, &["--env-file"]).stdout(), "1.2.0\n");
    let locked = std::fs::read_to_string(sandbox.path("deno.lock")).unwrap();
    assert!(locked.contains(r#""jsr:@kv/tool@1": "1.2.0""#), "{locked}");

    server.put("/@kv/tool/1.2.0/mod.ts", module.replace("tool", "evil"));
    let error = run(&sandbox, &["--env-file", "--no-lock", "--reload"]).stderr();
    assert!(error.contains("Integrity check failed"), "{error}");
}

#[test]
fn unmapped_import_suggests_a_specifier() {
    let sandbox = Sandbox::new();
    for (import, message) in [
        (
            "chalk",
            "Import \"chalk\" not a dependency\n  hint: map it in \"imports\" of deno.json, or import \"npm:chalk\"",
        ),
        (
            "@std/path",
            "Import \"@std/path\" not a dependency\n  hint: map it in \"imports\" of deno.json, or import \"jsr:@std/path\"",
        ),
        ("fs/other", "Import \"fs/other\" not a dependency\n"),
        ("node:other", "No such built-in module: node:other\n"),
    ] {
        sandbox.write("main.ts", format!("import '{import}';"));
        for config in [None, Some(r#"{ "imports": { "other": "./other.ts" } }"#)] {
            match config {
                Some(config) => drop(sandbox.write("deno.json", config)),
                None => drop(std::fs::remove_file(sandbox.path("deno.json"))),
            }
            let stderr = sandbox.openkv(["run", "main.ts"]).stderr();
            assert!(stderr.starts_with(&format!("error: {message}")), "{stderr}");
            assert!(stderr.contains("\n    at file://"), "{stderr}");
        }
    }
}

#[test]
fn resolving_requires_no_module() {
    let sandbox = Sandbox::new();
    let script = "for (const name of ['npm:zod', 'node:fs', 'fs', 'jsr:@std/path', 'https://a.example/b', 'mapped']) {
            console.log(import.meta.resolve(name));
        }
        try { import.meta.resolve('zod') } catch (error) { console.log(error.name) }";
    sandbox.write("deno.json", r#"{ "imports": { "mapped": "npm:chalk@5" } }"#);
    let expected = "npm:zod\nnode:fs\nnode:fs\njsr:@std/path\nhttps://a.example/b\nnpm:chalk@5\nTypeError\n";
    assert_eq!(sandbox.run(script).stdout(), expected);
}

#[test]
fn webassembly_source_can_be_imported() {
    let sandbox = Sandbox::new();
    sandbox.write("empty.wasm", b"\0asm\x01\0\0\0");
    let script = "import source empty from './empty.wasm';
        const again = await import.source('./empty.wasm');
        console.log(empty instanceof WebAssembly.Module, again === empty);";
    for file in ["main.js", "main.ts"] {
        sandbox.write(file, script);
        assert_eq!(sandbox.openkv(["run", "-R", file]).stdout(), "true true\n", "{file}");
    }
    let script = "const name = './empty.wasm'; await import.source(name);";
    sandbox.write("main.js", script);
    let stderr = sandbox.openkv(["run", "main.js"]).stderr();
    assert!(stderr.contains("Requires read access to "), "{stderr}");
}
