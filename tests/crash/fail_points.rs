//! SIGKILL exactly at each step of log and flush. Wants a server built with `--features flamestore/failpoints`, as
//! `cargo xtask test` does.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::Duration;

use flamestore_tests::server::Server;
use flamestore_tests::{files, until};

use super::load::{FLAGS, Load};

/// Each fail point and how often it is passed before: a start passes the trims once, every commit those of the log.
const POINTS: &[(&str, u32)] = &[
    ("wal-create", 2),
    ("wal-before-write", 20),
    ("wal-after-write", 20),
    ("wal-after-sync", 20),
    ("engine-before-block", 1),
    ("engine-before-upload", 1),
    ("engine-after-commit", 1),
    ("engine-after-swap", 1),
    ("engine-before-trim", 2),
    ("engine-after-mark", 2),
    ("engine-after-trim", 2),
];
/// The load goes on for a while when the point is reached: a flush that hangs keeps no push from being acknowledged.
const LOAD_AFTER: Duration = Duration::from_millis(200);

#[test]
fn what_was_acknowledged_is_answered_once_after_a_kill_at_every_fail_point() {
    for (point, passes) in POINTS {
        let mut server = Server::start_with(FLAGS, &[("FLAMESTORE_HALT_AT", &format!("{point}:{passes}"))]);
        let load = Load::new();
        let running = load.run(&server);
        let reached = format!("halted at fail point {point}");
        until(&format!("{point} (is the server built with --features flamestore/failpoints?)"), || {
            let log = server.log();
            if log.contains(&reached) { Ok(()) } else { Err(log) }
        });
        thread::sleep(LOAD_AFTER);
        load.exceeds(0);
        server.kill();
        running.end();
        let acknowledged = load.acknowledged();
        println!("{point}: killed there after {acknowledged} acknowledged pushes");

        server.start_again();
        load.compare(&server, point);
        // The flush that died is done again, beside new pushes.
        let running = load.run(&server);
        thread::sleep(LOAD_AFTER);
        load.exceeds(acknowledged);
        server.kill();
        running.end();
        server.start_again();
        load.compare(&server, &format!("{point}, second start"));
        server.stop();
        server.start_again();
        load.compare(&server, &format!("{point}, from blocks"));
    }
}

#[test]
fn every_fail_point_of_log_and_store_is_in_the_list() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut found = BTreeSet::new();
    for source in ["wal/src", "engine/src"].into_iter().flat_map(|dir| files(&crates.join(dir))) {
        let text = std::fs::read_to_string(source).expect("source");
        let names = text.split("fail_point!(\"").skip(1).filter_map(|rest| rest.split('"').next());
        found.extend(names.map(str::to_owned));
    }
    assert_eq!(found, POINTS.iter().map(|(name, _)| (*name).to_owned()).collect());
}
