//! Flags of the kinds that commands have.

use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, ArgAction, ArgMatches};

/// A flag that is there or not.
pub(super) fn switch(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

/// A flag with one value.
pub(super) fn one(name: &'static str, value: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).value_parser(NonEmptyStringValueParser::new())
}

/// A flag with a list of values, or none.
pub(super) fn list(name: String, value: &'static str) -> Arg {
    Arg::new(name.clone())
        .long(name)
        .value_name(value)
        .num_args(0..)
        .require_equals(true)
        .value_delimiter(',')
        .action(ArgAction::Append)
}

/// The values of a [`list`], if the flag is there.
pub(super) fn maybe_list(matches: &mut ArgMatches, name: &str) -> Option<Vec<String>> {
    matches.contains_id(name).then(|| matches.remove_many(name).into_iter().flatten().collect())
}

/// A flag that is known for compatibility only, with a value or without.
pub(super) fn optional(name: &'static str) -> Arg {
    Arg::new(name).long(name).num_args(0..=1).require_equals(true).action(ArgAction::Append).hide(true)
}
