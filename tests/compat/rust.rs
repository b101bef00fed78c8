//! The Rust SDK.

use std::process::Command;

use flamestore_tests::client::CPU;
use flamestore_tests::{Server, tools};

use super::arrived::{check, flame, running};
use super::{build, built, sources, work};

#[test]
fn a_rust_program_arrives_with_cpu_and_tags() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    if !tools::have("cargo", &cargo, &["--version"]) {
        return;
    }
    let home = built("rust");
    build(
        Command::new(cargo)
            .args(["build", "--quiet", "--locked", "--manifest-path"])
            .arg(sources("rust/Cargo.toml"))
            .arg("--target-dir")
            .arg(&home)
            // Flags that the server is built with are not for what stands beside it.
            .env_remove("RUSTFLAGS"),
    );
    let server = Server::start(&[]);
    let did = work(Command::new(home.join("debug/flamestore-compat")).arg(server.client().url()));

    let tagged = r#"{service_name="compat.rust", region="eu", phase="spin"}"#;
    check(&server, CPU, tagged, "spin_for_flamestore", running(&did));
    let untagged = flame(&server, CPU, r#"{service_name="compat.rust", phase=""}"#);
    assert!(!untagged.totals.keys().any(|name| name.contains("spin_for_flamestore")), "{untagged:?}");
}
