use clap::Command;
use openkv_ext::DECLARATIONS;

use super::outcome::{Outcome, print};

/// Declares `openkv types`, which prints the type declarations.
pub(super) fn declare() -> Command {
    Command::new("types")
        .about("Prints the TypeScript declarations of Deno KV")
        .after_help("They include the additions of OpenKV to Deno KV. For all other APIs, use Deno's own declarations.")
}

pub(super) fn execute() -> Outcome {
    print(DECLARATIONS)
}
