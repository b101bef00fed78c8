//! SIGKILL at random moments.

use std::thread;
use std::time::Duration;

use flamestore_clock::{Chance, Clock, SeededChance, SystemClock};
use flamestore_tests::files;
use flamestore_tests::server::Server;

use super::load::{FLAGS, Load};

/// So many, and on a slow machine more, until they have struck everything that they are to strike.
const KILLS: usize = 50;
const MAX_KILLS: usize = 500;
/// The load runs between these many milliseconds before each kill.
const LOAD_MS: std::ops::Range<u64> = 20..400;

#[test]
fn what_was_acknowledged_is_answered_once_after_every_sigkill() {
    let seed = SystemClock::default().now_nanos() as u64;
    println!("seed {seed}");
    let chance = SeededChance::new(seed);
    let mut server = Server::start(FLAGS);
    let load = Load::new();
    let mut kill = 0;
    while kill < KILLS || (kill < MAX_KILLS && struck(&server, &load).is_err()) {
        let running = load.run(&server);
        thread::sleep(Duration::from_millis(LOAD_MS.start + chance.next_u64() % (LOAD_MS.end - LOAD_MS.start)));
        server.kill();
        running.end();
        server.start_again();
        load.compare(&server, &format!("kill {kill}, seed {seed}"));
        kill += 1;
    }
    let found = struck(&server, &load).expect("kills must have struck flushes and compactions under a real load");
    println!("{kill} kills, {found}");
    // And after a clean stop, from blocks alone.
    server.stop();
    server.start_again();
    load.compare(&server, "clean stop");
}

/// What there was to strike; `Err` when some of it is too little.
fn struck(server: &Server, load: &Load) -> Result<String, String> {
    let stored = files(&server.bucket());
    let ending = |end: &str| stored.iter().filter(|p| p.to_string_lossy().ends_with(end)).count();
    let (blocks, compactions) = (ending("meta.json"), ending(".json.zst"));
    let pushes = load.acknowledged();
    let found = format!("{pushes} pushes acknowledged, {blocks} blocks, {compactions} snapshots of the index");
    if compactions > 3 && pushes > KILLS && blocks > 3 { Ok(found) } else { Err(found) }
}

/// The comparison itself: it must notice what a lost log costs.
#[test]
#[should_panic(expected = "was acknowledged")]
fn a_log_that_is_lost_is_noticed() {
    let mut server = Server::start(&[]);
    let load = Load::new();
    let running = load.run(&server);
    load.exceeds(0);
    server.kill();
    running.end();
    std::fs::remove_dir_all(server.local().join("wal")).expect("a log");
    server.start_again();
    load.compare(&server, "lost log");
}
