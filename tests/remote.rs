//! `Deno.openKv` with URLs.

use crate::support::{Output, Sandbox, read_repository};

fn run(sandbox: &Sandbox, flags: &[&str], script: &str) -> Output {
    sandbox.write("main.ts", script);
    let mut command = sandbox.command(["run", "--no-prompt"].iter().chain(flags).chain(&["main.ts"]));
    command.env("DENO_KV_ACCESS_TOKEN", "token");
    Output::of(command, "")
}

/// Prints the error of each URL without the port of the server.
const SHOW: &str = r#"
async function show(...urls: string[]) {
  for (const url of urls) {
    try {
      (await Deno.openKv(url)).close();
      console.log("opened");
    } catch (error) {
      const { name, constructor, message } = error as Error;
      console.log(name, name === constructor.name, message.replaceAll(/127\.0\.0\.1:\d{2,}/g, "HOST"));
    }
  }
}
"#;

#[test]
fn invalid_remote_databases_are_rejected_with_a_reason() {
    let script = r#"
        const replies: Record<string, () => Response> = {
          "/401": () => new Response("no such token", { status: 401 }),
          "/404": () => new Response(null, { status: 404 }),
          "/html": () => new Response("<html></html>"),
          "/version": () => Response.json({ version: 9 }),
        };
        const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} },
          (request) => replies[new URL(request.url).pathname]());
        await show(...Object.keys(replies).map((path) => `http://127.0.0.1:${server.addr.port}${path}`));
        await server.shutdown();
        await show("http://127.0.0.1:1/", "https://127.0.0.1:1/", "http://", "https://[");
        Deno.env.delete("DENO_KV_ACCESS_TOKEN");
        await show("http://127.0.0.1:1/");
        Deno.env.set("DENO_KV_ACCESS_TOKEN", "a\nb");
        await show("http://127.0.0.1:1/");
    "#;
    let prefix = "TypeError true Could not open Deno KV database:";
    let refused = |scheme: &str| {
        format!(
            "{prefix} failed to connect to '{scheme}://127.0.0.1:1/': error sending request for url ({scheme}://127.0.0.1:1/): \
             client error (Connect): tcp connect error: Connection refused (os error 111)"
        )
    };
    let expected = [
        format!(
            "{prefix} the metadata endpoint at 'http://HOST/401' responded with status 401 Unauthorized: no such token"
        ),
        format!("{prefix} the metadata endpoint at 'http://HOST/404' responded with status 404 Not Found"),
        format!(
            "{prefix} 'http://HOST/html' is not a valid KV Connect endpoint (failed to read the metadata version: expected \
             value at line 1 column 1)"
        ),
        format!("{prefix} 'http://HOST/version' reported unsupported KV Connect metadata version 9"),
        refused("http"),
        refused("https"),
        "TypeError true Invalid database url: http://".into(),
        "TypeError true Invalid database url: https://[".into(),
        "Error true Missing DENO_KV_ACCESS_TOKEN environment variable. Please set it to your access token from \
         https://console.deno.com"
            .into(),
        format!("{prefix} the access token has characters that cannot be sent: check it for line breaks"),
    ];
    let output = run(&Sandbox::new(), &["-A"], &format!("{SHOW}{script}"));
    assert_eq!(output.stdout(), expected.join("\n") + "\n");
}

#[test]
fn url_requires_permissions_for_network_and_token() {
    let script = format!("{SHOW} await show('http://127.0.0.1:1/');");
    let denied = |what: &str, flag: &str| format!("NotCapable true Requires {what}, run again with the {flag} flag\n");
    let no_token = denied("env access to \"DENO_KV_ACCESS_TOKEN\"", "--allow-env");
    let no_network = denied("net access to \"127.0.0.1:1\"", "--allow-net");
    let token = "--allow-env=DENO_KV_ACCESS_TOKEN";
    for (flags, expected) in [
        (&[][..], &no_token),
        (&["--allow-net"], &no_token),
        (&["--allow-net", "--allow-env=OTHER"], &no_token),
        (&[token], &no_network),
        (&[token, "--allow-net=localhost"], &no_network),
        (&["-A", "--deny-net=127.0.0.1"], &no_network),
    ] {
        assert_eq!(&run(&Sandbox::new(), flags, &script).stdout(), expected, "{flags:?}");
    }
    let reached = run(&Sandbox::new(), &[token, "--allow-net=127.0.0.1:1"], &script).stdout();
    assert!(reached.contains("Connection refused"), "{reached}");
}

#[test]
fn endpoints_require_permission() {
    let script = r#"
        const reply = { version: 3, databaseId: "a5cc3b2e-0000-4000-8000-000000000001", token: "t",
          endpoints: [{ url: "http://other.test/v3", consistency: "strong" }],
          expiresAt: new Date(Date.now() + 3600_000).toISOString() };
        const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, () => Response.json(reply));
        const kv = await Deno.openKv(`http://127.0.0.1:${server.addr.port}/`);
        for (const call of [() => kv.get(["a"]), () => kv.set(["a"], 1), () => kv.watch([["a"]]).getReader().read()]) {
          console.log(await call().catch((error) => `${error.name}: ${error.message}`));
        }
        kv.close();
        await server.shutdown();
    "#;
    let flags = ["--allow-net=127.0.0.1", "--allow-env"];
    let expected =
        "NotCapable: Requires net access to \"other.test:80\", run again with the --allow-net flag\n".repeat(3);
    assert_eq!(run(&Sandbox::new(), &flags, script).stdout(), expected);
}

#[test]
fn remote_database_satisfies_required_distributed_database() {
    let sandbox = Sandbox::new();
    sandbox.write("main.ts", format!("{SHOW} await show('http://127.0.0.1:1/', 'a.db');"));
    for by_default in [false, true] {
        let mut command = sandbox.command(["-A", "main.ts"]);
        command.env("DENO_KV_ACCESS_TOKEN", "token").env("DENO_KV_REQUIRES_DISTRIBUTED_DATABASE", "error");
        if by_default {
            sandbox.write("main.ts", format!("{SHOW} await show(undefined!, 'a.db');"));
            command.env("DENO_KV_DEFAULT_PATH", "http://127.0.0.1:1/");
        }
        let output = Output::of(command, "").stdout();
        let (remote, local) = output.split_once('\n').unwrap();
        assert!(remote.contains("Connection refused"), "{remote}");
        assert!(local.contains("requires a remote database: give the URL of one"), "{local}");
    }
}

#[test]
fn tls_trusts_the_certificates_of_fetch() {
    let sandbox = Sandbox::new();
    sandbox.write("certificate.ts", read_repository("tests/certificate.ts"));
    let script = r#"
        import { caCerts, cert, key } from "./certificate.ts";
        Deno.writeTextFileSync("ca.pem", caCerts[0]);
        const reply = { version: 3, databaseId: "a5cc3b2e-0000-4000-8000-000000000001", token: "t",
          endpoints: [{ url: "/v3", consistency: "strong" }], expiresAt: "2100-01-01T00:00:00Z" };
        const options = { port: 0, hostname: "127.0.0.1", cert, key, onListen() {} };
        const server = Deno.serve(options, () => Response.json(reply));
        await show(`https://127.0.0.1:${server.addr.port}/db`, `http://127.0.0.1:${server.addr.port}/db`);
        await server.shutdown();
    "#;
    let outcome = |flags: &[&str]| run(&sandbox, flags, &format!("{script}{SHOW}")).stdout();
    let unknown = outcome(&["-A"]);
    assert!(unknown.contains("invalid peer certificate: UnknownIssuer"), "{unknown}");
    let trusted = outcome(&["-A", "--cert=ca.pem"]);
    let (over_tls, without) = trusted.split_once('\n').unwrap();
    assert_eq!(over_tls, "opened");
    assert!(without.starts_with("TypeError true Could not open Deno KV database: failed to connect to "), "{without}");
    assert!(outcome(&["-A", "--unsafely-ignore-certificate-errors"]).starts_with("opened\n"));
}
