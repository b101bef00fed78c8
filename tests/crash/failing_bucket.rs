//! SIGKILL at random moments over a bucket in S3 whose requests are dropped, refused and delayed.

use std::thread;
use std::time::Duration;

use flamestore_clock::{Chance, Clock, SeededChance, SystemClock};
use flamestore_tests::server::Server;
use flamestore_tests::stores::{S3, Unruly};

use super::load::{FLAGS, Load};

/// So many, and on a slow machine more, until every kind of fault has struck.
const KILLS: usize = 10;
const MAX_KILLS: usize = 100;
/// The load runs between these many milliseconds before each kill.
const LOAD_MS: std::ops::Range<u64> = 300..1500;

#[test]
fn what_was_acknowledged_is_answered_once_whatever_the_bucket_does() {
    let Some(store) = S3::start() else { return };
    let seed = SystemClock::default().now_nanos() as u64;
    println!("seed {seed}");
    let chance = SeededChance::new(seed);
    let proxy = Unruly::start(store.addr(), seed);
    let flags = proxy.flags(store.flags());
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(FLAGS.iter().copied()).collect();
    let mut server = Server::start(&flags);
    let load = Load::new();
    let mut kill = 0;
    while kill < KILLS || (kill < MAX_KILLS && struck(&load, &proxy).is_err()) {
        proxy.misbehave(true);
        let running = load.run(&server);
        thread::sleep(Duration::from_millis(LOAD_MS.start + chance.next_u64() % (LOAD_MS.end - LOAD_MS.start)));
        server.kill();
        running.end();
        // Every other start is as rough as what was before.
        proxy.misbehave(kill % 2 == 0);
        server.start_again();
        proxy.misbehave(false);
        load.compare(&server, &format!("kill {kill}, seed {seed}"));
        kill += 1;
    }
    let found =
        struck(&load, &proxy).expect("kills and each kind of fault must have struck compactions and a real load");
    println!("{kill} kills, {found}");
    // And after a clean stop, from blocks alone.
    server.stop();
    server.start_again();
    load.compare(&server, "clean stop");
}

/// What happened; `Err` when some of it is too little.
fn struck(load: &Load, proxy: &Unruly) -> Result<String, String> {
    let (pushes, writes, faults) = (load.acknowledged(), proxy.index_writes(), proxy.struck());
    let found = format!("{pushes} pushes acknowledged, {writes} snapshots of the index, faults: {faults:?}");
    if pushes > KILLS && writes > 3 && faults.iter().all(|n| *n > 3) { Ok(found) } else { Err(found) }
}
