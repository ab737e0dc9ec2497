use clap::Command;
use openkv_ext::DECLARATIONS;

use super::outcome::{Outcome, print};

/// `openkv types`: prints declarations.
pub(super) fn declare() -> Command {
    Command::new("types").about("Prints the TypeScript declarations of Deno KV").after_help(
        "They declare what OpenKV adds to Deno KV, too. Everything else that scripts find is Deno's: Deno's own \
         declarations hold for it.",
    )
}

pub(super) fn execute() -> Outcome {
    print(DECLARATIONS)
}
