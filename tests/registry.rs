//! A registry on loopback, of npm and of JSR.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};

use crate::modules::Server;
use crate::support::{Output, Sandbox};

pub struct Registry {
    pub server: Server,
    /// The manifests of packages, by name and version.
    packages: Mutex<BTreeMap<String, BTreeMap<String, Value>>>,
}

impl Registry {
    pub fn start() -> Self {
        Self { server: Server::start(&[]), packages: Mutex::default() }
    }

    /// Publishes a version of a package, dated 2020.
    pub fn publish(&self, manifest: Value, files: &[(&str, &str)]) {
        self.publish_at("2020-01-01T00:00:00.000Z", manifest, files);
    }

    pub fn publish_at(&self, time: &str, mut manifest: Value, files: &[(&str, &str)]) {
        let [name, version] = ["name", "version"].map(|key| manifest[key].as_str().unwrap().to_owned());
        let tarball = tarball(&manifest, files);
        let path = format!("/{name}/-/{}-{version}.tgz", name.rsplit('/').next().unwrap());
        manifest["dist"] = json!({
            "tarball": format!("{}{path}", self.server.url),
            "integrity": format!("sha512-{}", BASE64_STANDARD.encode(Sha512::digest(&tarball))),
        });
        manifest["published"] = time.into();
        self.server.put(&path, tarball);

        let mut packages = self.packages.lock().unwrap();
        let versions = packages.entry(name.clone()).or_default();
        versions.insert(version.clone(), manifest);
        let time: BTreeMap<_, _> =
            versions.iter().map(|(version, manifest)| (version, manifest["published"].clone())).collect();
        let info = json!({ "name": name, "dist-tags": { "latest": version }, "versions": versions, "time": time });
        // Deno and npm encode the slash after a scope in different ways.
        for name in [name.clone(), name.replace('/', "%2f"), name.replace('/', "%2F")] {
            self.server.put(&format!("/{name}"), info.to_string());
        }
    }

    /// Publishes a package of JSR, which consists of one module.
    pub fn publish_to_jsr(&self, name: &str, version: &str, module: &str) {
        let checksum: String = Sha256::digest(module).iter().map(|byte| format!("{byte:02x}")).collect();
        let manifest = json!({ "exports": { ".": "./mod.ts" },
            "manifest": { "/mod.ts": { "size": module.len(), "checksum": format!("sha256-{checksum}") } } });
        let put = |path: &str, text: String| self.server.put(&format!("/{name}/{path}"), text);
        put("meta.json", json!({ "versions": { version: {} } }).to_string());
        put(&format!("{version}_meta.json"), manifest.to_string());
        put(&format!("{version}/mod.ts"), module.into());
    }

    pub fn command(&self, sandbox: &Sandbox, args: &[&str]) -> Command {
        let mut command = sandbox.command(args);
        command.env("NPM_CONFIG_REGISTRY", &self.server.url).env("HOME", sandbox.path(""));
        command
    }

    /// Runs `main.ts` with additional flags. Downloads are not logged.
    pub fn run(&self, sandbox: &Sandbox, flags: &[&str]) -> Output {
        Output::of(self.command(sandbox, &[&["run", "--quiet", "--no-prompt"], flags, &["main.ts"]].concat()), "")
    }

    /// Runs `main.ts` on Deno, with a separate cache. Returns `None` if Deno is not installed.
    pub fn deno(&self, sandbox: &Sandbox, flags: &[&str]) -> Option<Output> {
        let mut command = Command::new("deno");
        if !is_there(&mut command) {
            return None;
        }
        let mut command = Command::new("deno");
        command.args(["run", "--quiet", "--no-prompt"]).args(flags).arg("main.ts").current_dir(sandbox.path(""));
        command.env("NPM_CONFIG_REGISTRY", &self.server.url).env("HOME", sandbox.path(""));
        command.env("DENO_DIR", sandbox.path("other_deno_dir")).env("NO_COLOR", "1").env_remove("RUST_BACKTRACE");
        Some(Output::of(command, ""))
    }
}

/// Returns whether a program can be started.
pub fn is_there(command: &mut Command) -> bool {
    let command = command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn tarball(manifest: &Value, files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let manifest = manifest.to_string();
    for (name, content) in [("package.json", manifest.as_str())].iter().chain(files) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, format!("package/{name}"), content.as_bytes()).unwrap();
    }
    let mut compressed = archive.into_inner().unwrap();
    compressed.flush().unwrap();
    compressed.finish().unwrap()
}
