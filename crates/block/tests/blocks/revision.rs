//! The same rows give the same bytes as long as the writer's revision is the same.

use flamestore_block::{BlockMeta, DatasetInput, REVISION, write_block};

use crate::made::{self, Size};
use crate::{block_meta, held};

const SIZE: Size = Size { functions: 20, stacks: 12, pods: 2, profiles: 300, samples: 40, links: false };

/// Checksums of the files of a block with roll-ups, in the order of `meta.json`.
fn checksums() -> Vec<(String, u32)> {
    let datasets: Vec<held::Dataset> = vec![made::dataset("checkout", 11, SIZE), made::dataset("payment", 12, SIZE)];
    let inputs: Vec<&dyn DatasetInput> = datasets.iter().map(|d| d as _).collect();
    let written = write_block(&inputs, &BlockMeta { level: 1, ..block_meta() }).unwrap();
    written.meta.files.into_iter().map(|file| (file.path, file.crc32c)).collect()
}

#[test]
fn another_revision_is_due_when_the_bytes_change() {
    let checksums: Vec<(String, u32)> = checksums();
    let said: Vec<(&str, u32)> = checksums.iter().map(|(path, crc)| (path.as_str(), *crc)).collect();
    let of_revision_2 = [
        ("series.parquet", 3861954522),
        ("profiles.parquet", 622832244),
        ("samples.parquet", 1891353019),
        ("stacktraces.parquet", 2295674667),
        ("fn_tree.parquet", 3690406623),
        ("locations.parquet", 503193210),
        ("functions.parquet", 3897237017),
        ("rollup_block.parquet", 3364955272),
        ("rollup_block_samples.parquet", 1390349091),
        ("rollup_1h.parquet", 3871262837),
        ("rollup_1h_samples.parquet", 570853143),
    ];
    assert_eq!(
        (REVISION, said.as_slice()),
        (2, of_revision_2.as_slice()),
        "other bytes for the same rows: raise REVISION in layout.rs, and write the new sums here"
    );
}
