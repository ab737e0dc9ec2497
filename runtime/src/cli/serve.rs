use clap::{Arg, ArgMatches, Command, value_parser};
use openkv::{Options, ServeAddress};
use openkv_js::transpile::MediaType;

use super::arguments::one;
use super::flags::{self, RuntimeFlags};
use super::launch;
use super::outcome::Outcome;
use super::watch::{self, Watch};

/// `openkv serve`: serves the default export of a module.
pub(crate) struct Serve {
    file: String,
    /// `Deno.args`.
    args: Vec<String>,
    address: ServeAddress,
    media_type: Option<MediaType>,
    watch: Option<Watch>,
    flags: RuntimeFlags,
}

/// Flags of Deno for servers that are not supported.
const UNSUPPORTED: [(&str, Option<char>, &str); 3] = [
    ("open", None, "open the printed address in a browser"),
    ("parallel", None, "a server runs on one thread: start several processes behind a proxy"),
    ("watch-hmr", None, "modules are not replaced while a script runs: restart it with --watch"),
];

pub(super) fn declare() -> Command {
    let script = Arg::new("script")
        .value_names(["FILE", "ARGS"])
        .num_args(1..)
        .required(true)
        .trailing_var_arg(true)
        .help("The path or URL of the module, whose default export has `fetch`, and its arguments (Deno.args)");
    let command = watch::declare(flags::declare(Command::new("serve")))
        .about("Serves the default export of a module over HTTP")
        .override_usage("openkv serve [FLAGS] FILE [ARGS]...")
        .arg(
            Arg::new("port")
                .long("port")
                .value_name("PORT")
                .value_parser(value_parser!(u16))
                .default_value("8000")
                .help("The TCP port, or 0 for any that is free"),
        )
        .arg(one("host", "HOST").default_value("0.0.0.0").help("The address or name of the interface"))
        .arg(flags::ext())
        .arg(script);
    flags::unsupported(command, &UNSUPPORTED)
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<Serve, clap::Error> {
    flags::check_unsupported(matches, &UNSUPPORTED)?;
    let mut flags = RuntimeFlags::read(matches)?;
    let host: String = matches.remove_one("host").expect("--host has a default");
    let port = matches.remove_one("port").expect("--port has a default");
    // As on Deno, the server needs no permission for its own address. An empty list permits all.
    let own = format!("{host}:{port}");
    match &mut flags.permissions.allow_net {
        Some(hosts) if hosts.is_empty() => {}
        hosts => hosts.get_or_insert_default().push(own),
    }
    let mut script = matches.remove_many("script").expect("FILE is required");
    Ok(Serve {
        file: script.next().expect("FILE is required"),
        args: script.collect(),
        address: ServeAddress { host, port },
        media_type: matches.remove_one("ext"),
        watch: watch::read(matches),
        flags,
    })
}

impl Serve {
    pub(super) fn execute(self) -> Outcome {
        launch::prepare(&self.flags)?;
        match &self.watch {
            Some(watch) => watch.run("Process", &self.flags, async |run| run.main_module(self.options()?).await),
            None => launch::run(self.options()?),
        }
    }

    fn options(&self) -> Result<Options, String> {
        let options = launch::options(&self.flags, launch::url(&self.file)?, self.args.clone())?;
        Ok(Options { main_media_type: self.media_type, serve: Some(self.address.clone()), ..options })
    }
}
