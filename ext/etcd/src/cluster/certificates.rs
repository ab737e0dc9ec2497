use std::path::Path;
use std::process::Command;

/// Creates the files `ca`, `server` and `client`, each with a certificate (`.pem`) and its key (`.key`), for the address 127.0.0.1.
/// Returns `None` without `openssl`.
pub(super) fn create(directory: &Path) -> Option<()> {
    let request = |name: &str, extensions: &[&str]| {
        let mut command = Command::new("openssl");
        command.current_dir(directory).args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        command.args(["-nodes", "-days", "2", "-subj", &format!("/CN={name}"), "-keyout", &format!("{name}.key")]);
        command.args(["-out", &format!("{name}.pem")]).args(extensions);
        command.output().is_ok_and(|output| output.status.success()).then_some(())
    };
    let issued = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE", "-addext"];
    request("ca", &[])?;
    request("server", &[&issued[..], &["subjectAltName=IP:127.0.0.1"]].concat())?;
    request("client", &[&issued[..], &["extendedKeyUsage=clientAuth"]].concat())
}
