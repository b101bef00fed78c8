//! The public Go clients of the API.

use std::process::Command;

use flamestore_tests::run::run;
use flamestore_tests::{Server, tools};

use super::{RUN_LIMIT, go_build};

#[test]
fn the_go_clients_of_the_api_push_and_query_over_every_protocol() {
    if !tools::have("go", "go", &["version"]) {
        return;
    }
    let program = go_build("connect", &[], "connect");
    let server = Server::start(&[]);
    // The program compares the answers itself.
    let said = run(Command::new(program).arg(server.client().url()), RUN_LIMIT);
    assert_eq!(said.lines().count(), 7, "{said}");
}
