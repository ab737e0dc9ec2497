//! The combinations of features that users choose. `test` checks the default ones.

/// The arguments of cargo for each.
const COMBINATIONS: [&[&str]; 13] = [
    &["-p", "openkv_engine", "--no-default-features"],
    &["-p", "openkv_engine", "--no-default-features", "--features", "bundled,denokv"],
    &["-p", "openkv_engine", "--features", "remote"],
    &["-p", "openkv_connect", "--no-default-features"],
    &["-p", "openkv_connect", "--no-default-features", "--features", "client"],
    &["-p", "openkv_connect", "--no-default-features", "--features", "server"],
    &["-p", "openkv_etcd"],
    &["-p", "openkv_postgres"],
    &["-p", "openkv_ext"],
    &["-p", "openkv", "--no-default-features"],
    &["-p", "openkv", "--no-default-features", "--features", "connect"],
    &["-p", "openkv", "--no-default-features", "--features", "etcd"],
    &["-p", "openkv", "--no-default-features", "--features", "postgres"],
];

/// Lints each combination. Returns whether all passed.
pub fn check() -> Result<bool, String> {
    for combination in COMBINATIONS {
        let mut clippy = crate::cargo(&["clippy", "--quiet"]);
        if !crate::succeeds(clippy.args(combination).args(["--", "--deny", "warnings"]))? {
            return Ok(false);
        }
    }
    Ok(true)
}
