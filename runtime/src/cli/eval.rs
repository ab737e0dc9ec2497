use clap::{Arg, ArgMatches, Command};
use deno_permissions::PermissionsOptions;
use openkv_js::transpile::MediaType;

use super::arguments;
use super::flags::{self, RuntimeFlags};
use super::launch;
use super::outcome::Outcome;

/// `openkv eval`: runs code from the command line.
pub(crate) struct Eval {
    code: String,
    /// `Deno.args`.
    args: Vec<String>,
    /// Whether the code is an expression whose value is printed.
    print: bool,
    media_type: MediaType,
    flags: RuntimeFlags,
}

pub(super) fn declare() -> Command {
    let code = Arg::new("code")
        .value_names(["CODE", "ARGS"])
        .num_args(1..)
        .required(true)
        .trailing_var_arg(true)
        .allow_hyphen_values(true)
        .help("The code, TypeScript unless --ext is given, and its arguments (Deno.args)");
    flags::declare(Command::new("eval"))
        .about("Runs code from the command line, with all permissions that are not denied")
        .override_usage("openkv eval [FLAGS] CODE [ARGS]...")
        .arg(arguments::switch("print").short('p').help("Evaluate the code as an expression, and print its value"))
        .arg(flags::ext().default_value("mts"))
        .arg(code)
}

pub(super) fn read(matches: &mut ArgMatches) -> Result<Eval, clap::Error> {
    let mut flags = RuntimeFlags::read(matches)?;
    flags.permissions = allow_all(flags.permissions);
    flags.allow_all = true;
    let mut code = matches.remove_many("code").expect("CODE is required");
    Ok(Eval {
        code: code.next().expect("CODE is required"),
        args: code.collect(),
        print: matches.get_flag("print"),
        media_type: matches.remove_one("ext").expect("--ext has a default"),
        flags,
    })
}

/// Grants all permissions that are not denied, as the user has written the code.
fn allow_all(permissions: PermissionsOptions) -> PermissionsOptions {
    let all = Some(vec![]);
    PermissionsOptions {
        allow_env: all.clone(),
        allow_ffi: all.clone(),
        allow_import: all.clone(),
        allow_net: all.clone(),
        allow_read: all.clone(),
        allow_run: all.clone(),
        allow_sys: all.clone(),
        allow_write: all,
        ..permissions
    }
}

impl Eval {
    pub(super) fn execute(self) -> Outcome {
        launch::prepare(&self.flags)?;
        let main_module = launch::url(&format!("./$deno$eval{}", self.media_type.as_ts_extension()))?;
        let mut options = launch::options(&self.flags, main_module, self.args)?;
        // The code may end in a comment.
        options.main_text = Some(if self.print { format!("console.log({}\n)", self.code) } else { self.code });
        launch::run(options)
    }
}
