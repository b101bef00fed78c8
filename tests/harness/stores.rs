//! Object stores that run here for a test: servers of others, and a small one of our own with habits to choose.

mod azurite;
pub mod emulator;
mod process;
mod s3;
pub mod unruly;

pub use azurite::Azurite;
pub use emulator::{Emulator, Habits};
pub use s3::S3;
pub use unruly::Unruly;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The bucket or container that each of them has.
pub const BUCKET: &str = "flamestore";

/// Where a server of others is kept below the target directory. `install` fills an empty directory if it is not there.
fn installed(name: &str, install: impl FnOnce(&Path)) -> PathBuf {
    // Tests that want the same server run side by side.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tmp/stores");
    let home = all.join(name);
    if !home.exists() {
        std::fs::create_dir_all(&all).expect("a directory below target");
        let new = tempfile::tempdir_in(&all).expect("a directory below target");
        install(new.path());
        // In one step, so that what is there is whole.
        std::fs::rename(new.keep(), &home).expect("its place");
    }
    home
}
