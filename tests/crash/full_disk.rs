//! A small disk under a load that is several times as large.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use flamestore_clock::{Chance, Clock, SeededChance, SystemClock};
use flamestore_tests::client::Flame;
use flamestore_tests::server::Server;
use serde_json::json;

const DISK_MIB: u64 = 16;
/// Names that do not compress well: each push is about 40 kB on the disk, twice.
const STACKS: usize = 800;
const PUSHES: usize = 700;

/// A file system of its own, gone with its owner.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, and why: only root may mount.
    fn new(dir: &Path) -> Result<SmallDisk, String> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={DISK_MIB}m"), "tmpfs"])
            .arg(dir)
            .output()
            .map_err(|e| e.to_string())?;
        match mounted.status.success() {
            true => Ok(SmallDisk(dir.to_owned())),
            false => Err(String::from_utf8_lossy(&mounted.stderr).into_owned()),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_takes_the_oldest_blocks_and_the_server_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = match SmallDisk::new(dir.path()) {
        Ok(disk) => disk,
        Err(why) => {
            println!("skipped: a file system cannot be mounted here: {why}");
            return;
        }
    };
    let flags = [
        format!("-storage.filesystem.dir={}", disk.0.join("bucket").display()),
        format!("-pyroscopedb.data-path={}", disk.0.join("local").display()),
        "-pyroscopedb.retention-policy-min-disk-available-percentage=0.5".into(),
        "-pyroscopedb.retention-policy-enforcement-interval=20ms".into(),
        "-ingester.max-head-bytes=500000".into(),
        "-ingester.wal-segment-bytes=200000".into(),
        "-distributor.ingestion-rate-limit-mb=1000".into(),
        "-distributor.ingestion-burst-size-mb=1000".into(),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut server = Server::start(&flags);
    let client = server.client();
    let chance = SeededChance::new(9);
    let start = SystemClock::default().now_millis() / 1000;
    let (mut refused, mut sent) = (0, 0);
    for push in 0..PUSHES {
        let mut stacks = format!("main;push{push} 1\n");
        for _ in 0..STACKS {
            stacks += &format!("main;{:x} 1\n", chance.next_u128());
        }
        sent += stacks.len() as u64;
        // A disk that is full for a moment refuses; whoever tries again gets through.
        loop {
            let (status, text) = client.push_folded("full", start, &stacks).expect("an answer");
            match status {
                200 => break,
                503 => refused += 1,
                _ => panic!("push {push}: {status} {text}"),
            }
            assert!(refused < 2000, "push {push} never gets through: {text}");
            thread::sleep(Duration::from_millis(20));
        }
    }
    println!("{} MB pushed through a disk of {DISK_MIB} MiB, {refused} refusals", sent / 1_000_000);
    assert!(sent > DISK_MIB << 20, "the load must be larger than the disk");
    assert!(server.log().contains("the disk is nearly full"), "retention by disk must have struck");
    assert_eq!(client.get("/ready").expect("ready").trim(), "ready");
    let newest = format!("push{}", PUSHES - 1);
    assert!(holds(&server, start, &newest), "the newest push is answered");
    assert!(!holds(&server, start, "push0"), "the oldest push is gone");
    // And it starts again on what is there.
    server.kill();
    server.start_again();
    assert!(holds(&server, start, &newest), "after a restart");
}

/// Whether a stack with this function is answered. Everything that is there would be a large answer.
fn holds(server: &Server, start: i64, function: &str) -> bool {
    let end = SystemClock::default().now_millis() / 1000 + 1;
    let answer = server.client().call(
        "querier.v1.QuerierService/SelectMergeStacktraces",
        &json!({
            "profileTypeID": "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
            "labelSelector": r#"{service_name="full"}"#,
            "start": (start - 1) * 1000, "end": end * 1000,
            "stackTraceSelector": { "frameFilter": { "include": [function] } },
        }),
    );
    Flame::read(&answer["flamegraph"]).total > 0
}
