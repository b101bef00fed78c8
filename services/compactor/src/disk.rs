//! How full the disk is.

use std::path::Path;

use flamestore_model::Fault;

use crate::config::DiskRules;

/// Bytes of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    /// For users other than root.
    pub free: u64,
}

/// Where blocks are, if that can fill up.
pub trait Disk: Send + Sync {
    fn space(&self, dir: &Path) -> Result<Space, Fault>;
}

/// The machine's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileSystem;

impl Disk for FileSystem {
    fn space(&self, dir: &Path) -> Result<Space, Fault> {
        let found = rustix::fs::statvfs(dir).map_err(|e| {
            Fault::unavailable(format!("cannot see how full the disk of {} is", dir.display())).caused_by(e)
        })?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Space { total: bytes(found.f_blocks), free: bytes(found.f_bavail) })
    }
}

/// Bytes that must go so that the disk has room again.
pub(crate) fn missing(space: Space, rules: &DiskRules) -> u64 {
    let share = (space.total as f64 * rules.min_free_share.clamp(0.0, 1.0)) as u64;
    rules.min_free_bytes.min(share).saturating_sub(space.free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_missing_only_when_both_rules_are_missed() {
        let rules = DiskRules { dir: "/".into(), min_free_bytes: 10, min_free_share: 0.05 };
        let missing = |total, free| missing(Space { total, free }, &rules);
        assert_eq!(missing(100, 6), 0, "5 of 100 are enough");
        assert_eq!(missing(100, 3), 2);
        assert_eq!(missing(1000, 10), 0, "10 are enough, whatever the share");
        assert_eq!(missing(1000, 4), 6);
    }

    #[test]
    fn a_real_disk_has_a_size() {
        let space = FileSystem.space(Path::new("/")).unwrap();
        assert!(space.total > 0 && space.free <= space.total);
        assert!(FileSystem.space(Path::new("/no/such/place")).is_err());
    }
}
