//! The store's name, kept in its data folder: block ids are made from it.

use std::io::ErrorKind;
use std::path::Path;

use flamestore_clock::Chance;
use flamestore_model::{Fault, ProfileId};

use crate::small_file;

const FILE: &str = "ingester-id";
/// A longer file is no name of ours.
const MAX_BYTES: u64 = 128;

/// Reads the name, or makes one of random bits at the first start.
pub(crate) fn load_or_make(dir: &Path, chance: &dyn Chance) -> Result<String, Fault> {
    let path = dir.join(FILE);
    let failed = |e| small_file::failed(&path, e);
    match std::fs::metadata(&path) {
        Ok(meta) if meta.len() <= MAX_BYTES => {
            let name = std::fs::read_to_string(&path).map_err(failed)?;
            if !name.trim().is_empty() {
                return Ok(name.trim().to_owned());
            }
        }
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let name = ProfileId(chance.next_u128().to_be_bytes()).to_string();
            small_file::replace(dir, FILE, name.as_bytes())?;
            return Ok(name);
        }
        Err(e) => return Err(failed(e)),
    }
    Err(Fault::corrupt(format!(
        "{} does not hold a name: restore it; deleting it is safe only if the log beside it is empty",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use flamestore_clock::SeededChance;

    use super::*;

    #[test]
    fn the_name_stays_and_an_empty_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let name = load_or_make(dir.path(), &SeededChance::new(1)).unwrap();
        assert_eq!(load_or_make(dir.path(), &SeededChance::new(2)).unwrap(), name);
        std::fs::write(dir.path().join(FILE), "").unwrap();
        assert!(load_or_make(dir.path(), &SeededChance::new(3)).unwrap_err().message.contains("restore it"));
    }
}
