use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};
use deno_core::serde_json::json;
use deno_core::url::Url;
use openkv::{Options, StorageKey, storage_directory};
use openkv_ext::is_remote;
use openkv_js::transpile::transpile_extension;

use super::arguments::switch;
use super::flags::RuntimeFlags;
use super::launch;
use super::outcome::Outcome;
use super::program::{self, Program};

/// `openkv studio`: serves a page that shows databases.
pub(crate) struct Studio {
    /// The path or URL of a database. Without one, the default databases in the Deno directory are shown.
    database: Option<String>,
    port: u16,
    open: bool,
    read_only: bool,
    flags: RuntimeFlags,
}

/// The program that opens a URL in the user's browser.
const OPENER: &str = if cfg!(target_os = "macos") {
    "open"
} else if cfg!(windows) {
    "explorer"
} else {
    "xdg-open"
};

/// The server.
const SERVER: Program = Program {
    main: "studio/server.ts",
    modules: &[
        ("studio/classes.ts", include_str!("../../studio/classes.ts")),
        ("studio/data.ts", include_str!("../../studio/data.ts")),
        ("studio/expiry.ts", include_str!("../../studio/expiry.ts")),
        ("studio/file.ts", include_str!("../../studio/file.ts")),
        ("studio/format.ts", include_str!("../../studio/format.ts")),
        ("studio/lines.ts", include_str!("../../studio/lines.ts")),
        ("studio/server.ts", include_str!("../../studio/server.ts")),
        ("studio/successor.ts", include_str!("../../studio/successor.ts")),
        ("studio/transfer.ts", include_str!("../../studio/transfer.ts")),
    ],
};

/// The scripts of the page, in TypeScript: path, text.
const SCRIPTS: [(&str, &str); 14] = [
    ("/api.ts", include_str!("../../studio/page/api.ts")),
    ("/classes.ts", include_str!("../../studio/classes.ts")),
    ("/detail.ts", include_str!("../../studio/page/detail.ts")),
    ("/dom.ts", include_str!("../../studio/page/dom.ts")),
    ("/expiry.ts", include_str!("../../studio/page/expiry.ts")),
    ("/list.ts", include_str!("../../studio/page/list.ts")),
    ("/page.ts", include_str!("../../studio/page/page.ts")),
    ("/parse.ts", include_str!("../../studio/parse.ts")),
    ("/print.ts", include_str!("../../studio/print.ts")),
    ("/queue.ts", include_str!("../../studio/page/queue.ts")),
    ("/statistics.ts", include_str!("../../studio/page/statistics.ts")),
    ("/transfer.ts", include_str!("../../studio/page/transfer.ts")),
    ("/tree.ts", include_str!("../../studio/page/tree.ts")),
    ("/value.ts", include_str!("../../studio/page/value.ts")),
];

/// The other files of the page: path, media type, text.
const FILES: [(&str, &str, &str); 2] = [
    ("/", "text/html; charset=utf-8", include_str!("../../studio/page/index.html")),
    ("/style.css", "text/css; charset=utf-8", include_str!("../../studio/page/style.css")),
];

pub(super) fn declare() -> Command {
    Command::new("studio")
        .about("Shows databases in the browser")
        .arg(Arg::new("database").value_name("FILE|URL").help(
            "The database, as Deno.openKv opens it; by default, the default databases of scripts in the Deno directory",
        ))
        .arg(
            Arg::new("port")
                .long("port")
                .value_name("PORT")
                .value_parser(value_parser!(u16))
                .default_value("0")
                .help("The TCP port on 127.0.0.1, or 0 for any that is free"),
        )
        .arg(switch("read-only").help("Show the data without allowing changes"))
        .arg(switch("no-open").help("Print the address without opening it in the browser"))
}

pub(super) fn read(matches: &mut ArgMatches) -> Studio {
    let mut flags = program::flags();
    let open = !matches.get_flag("no-open");
    // The server runs `openkv db info` and `openkv db queue`. A list of programs would exclude environments with LD_LIBRARY_PATH.
    flags.permissions.allow_run = Some(Vec::new());
    Studio {
        database: matches.remove_one("database"),
        port: matches.remove_one("port").expect("--port has a default"),
        open,
        read_only: matches.get_flag("read-only"),
        flags,
    }
}

impl Studio {
    pub(super) fn execute(self) -> Outcome {
        launch::prepare(&self.flags)?;
        launch::run(self.options()?)
    }

    fn options(&self) -> Result<Options, String> {
        let databases = match &self.database {
            Some(database) => vec![json!({ "path": existing(database)?, "script": null })],
            None => default_databases()?
                .into_iter()
                .map(|(path, script)| json!({ "path": path, "script": script }))
                .collect(),
        };
        let scripts = SCRIPTS.iter().map(|(path, source)| {
            let text = transpile_extension(&format!("ext:openkv_studio{path}"), source);
            json!([path, "text/javascript; charset=utf-8", text])
        });
        let files: Vec<_> = FILES.iter().map(|file| json!(file)).chain(scripts).collect();
        let settings = json!({
            "databases": databases,
            "files": files,
            "port": self.port,
            "opener": self.open.then_some(OPENER),
            "readOnly": self.read_only,
        });
        SERVER.options(&self.flags, &settings)
    }
}

/// Returns the path or URL of a database. A file must exist: opening it would create it.
pub(super) fn existing(database: &str) -> Result<&str, String> {
    if is_remote(database) {
        return Ok(database);
    }
    match fs::metadata(database) {
        Ok(metadata) if metadata.is_file() => Ok(database),
        Ok(_) => Err(format!("failed to open the database '{database}': it is not a file")),
        Err(error) => Err(format!("failed to open the database '{database}': {error}")),
    }
}

/// Returns the files of the default databases in the Deno directory, with the URLs of the scripts or configuration files in
/// the current directory that they belong to.
fn default_databases() -> Result<Vec<(PathBuf, Option<Url>)>, String> {
    let directory = launch::current_directory()?;
    let urls: Vec<_> = files_in(&directory).filter_map(|file| Url::from_file_path(file).ok()).collect();
    let owners: Vec<_> =
        urls.into_iter().filter_map(|url| Some((storage_directory(&StorageKey::of_main_module(&url))?, url))).collect();
    // All keys have their directories in the same one.
    let any = Url::from_file_path(&directory).ok().and_then(|url| storage_directory(&StorageKey::of_main_module(&url)));
    let Some(root) = any.as_deref().and_then(Path::parent) else {
        return Err("failed to find the Deno directory: set DENO_DIR".into());
    };
    let mut databases: Vec<_> = files_in(root)
        .filter_map(|directory| {
            let file = directory.join("kv.sqlite3");
            let owner = owners.iter().find(|(of_owner, _)| of_owner.file_name() == directory.file_name());
            file.is_file().then(|| (file, owner.map(|(_, url)| url.clone())))
        })
        .collect();
    databases.sort_by(|(a, of_a), (b, of_b)| of_a.is_none().cmp(&of_b.is_none()).then_with(|| a.cmp(b)));
    if databases.is_empty() {
        return Err(format!("found no database in '{}': give the path or URL of one", root.display()));
    }
    Ok(databases)
}

/// Returns the paths of the visible files in a directory, none if it cannot be read.
fn files_in(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let is_visible =
        |path: &PathBuf| !path.file_name().is_some_and(|name| OsStr::as_encoded_bytes(name).starts_with(b"."));
    entries.map(|entry| entry.path()).filter(is_visible)
}
