//! The kinds of flags that commands have.

use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, ArgAction, ArgMatches};

/// Returns a flag without a value.
pub(super) fn switch(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

/// Returns a flag with one value.
pub(super) fn one(name: &'static str, value: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).value_parser(NonEmptyStringValueParser::new())
}

/// Returns a flag with an optional list of values.
pub(super) fn list(name: String, value: &'static str) -> Arg {
    Arg::new(name.clone())
        .long(name)
        .value_name(value)
        .num_args(0..)
        .require_equals(true)
        .value_delimiter(',')
        .action(ArgAction::Append)
}

/// Returns the values of a [`list`], if the flag is present.
pub(super) fn maybe_list(matches: &mut ArgMatches, name: &str) -> Option<Vec<String>> {
    matches.contains_id(name).then(|| matches.remove_many(name).into_iter().flatten().collect())
}

/// Returns a hidden flag with an optional value, accepted for compatibility only.
pub(super) fn optional(name: &'static str) -> Arg {
    Arg::new(name).long(name).num_args(0..=1).require_equals(true).action(ArgAction::Append).hide(true)
}
