//! Sources that cannot be merged are named, and a full folder says so.

use std::io::Write;

use flamestore_block::write::stream::{DatasetStream, FnNodeRow, FunctionRow, LocationRow, Pass, Profiles, StackRow};
use flamestore_block::{Spill, write_streams};
use flamestore_model::{Fault, Kind};
use flamestore_objstore::Bucket;

use crate::many::Many;
use crate::{block_meta, merged, open, runtime, stored};

const FEW: Many = Many { wide: [3, 4, 5], parts: 1, part: 0, samples: 7 };

/// Gives the rows of one table the wrong way around.
struct Turned(Many, &'static str);

impl DatasetStream for Turned {
    fn service_name(&self) -> &str {
        self.0.service_name()
    }

    fn profiles(&mut self, pass: Pass, to: &mut dyn Profiles) -> Result<(), Fault> {
        self.0.profiles(pass, to)
    }

    fn functions(&mut self, to: &mut dyn FnMut(FunctionRow<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        if self.1 != "functions" {
            return self.0.functions(to);
        }
        ["c", "b", "a", "d", "e"].iter().try_for_each(|name| to(FunctionRow { name, function: Some(("", "", 0)) }))
    }

    fn locations(&mut self, to: &mut dyn FnMut(LocationRow<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut address = 100;
        self.0.locations(&mut |row| {
            address -= u64::from(self.1 == "locations");
            to(LocationRow { address, ..row })
        })
    }

    fn fn_nodes(&mut self, to: &mut dyn FnMut(FnNodeRow) -> Result<(), Fault>) -> Result<(), Fault> {
        let turn = |function| if self.1 == "fn_tree" { 4 - function } else { function };
        self.0.fn_nodes(&mut |row| to(FnNodeRow { function: turn(row.function), ..row }))
    }

    fn stacks(&mut self, to: &mut dyn FnMut(StackRow) -> Result<(), Fault>) -> Result<(), Fault> {
        let turn = |location| if self.1 == "stacktraces" { 4 - location } else { location };
        self.0.stacks(&mut |row| to(StackRow { location: turn(row.location), ..row }))
    }
}

#[test]
fn a_source_that_is_not_in_order_is_corrupt_and_its_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let spill = Spill::new(dir.path());
    runtime().block_on(async {
        let bucket = Bucket::in_memory();
        let good = write_streams(&mut [&mut FEW.clone()], &block_meta(0), None, &mut |_| Ok(())).unwrap().unwrap();
        let good = open(&bucket, stored(&bucket, &good).await, vec![]);
        merged(&[good], &spill, 1 << 20).await.unwrap();
        for (number, table) in (1..).zip(["functions", "locations", "fn_tree", "stacktraces"]) {
            let mut turned = Turned(FEW, table);
            let bad = write_streams(&mut [&mut turned], &block_meta(number), None, &mut |_| Ok(())).unwrap().unwrap();
            let bad = open(&bucket, stored(&bucket, &bad).await, vec![]);
            let fault = merged(std::slice::from_ref(&bad), &spill, 1 << 20).await.unwrap_err();
            assert_eq!(fault.kind, Kind::Corrupt, "{fault}");
            let file = format!("{}/{table}.parquet", bad.meta().ulid);
            assert!(fault.message.contains(&file) && fault.message.contains("out of order"), "{fault}");
        }
    });
}

#[test]
fn a_folder_that_cannot_be_used_fails_the_merge_and_names_the_key() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"not a folder").unwrap();
    let spill = Spill::new(file.path());
    runtime().block_on(async {
        let bucket = Bucket::in_memory();
        let mut many = Many { wide: [30, 40, 50], ..FEW };
        let block = write_streams(&mut [&mut many], &block_meta(0), None, &mut |_| Ok(())).unwrap().unwrap();
        let block = open(&bucket, stored(&bucket, &block).await, vec![]);
        let fault = merged(&[block], &spill, 1 << 20).await.unwrap_err();
        assert_eq!(fault.kind, Kind::Unavailable);
        assert!(fault.message.contains("compactor.data_dir"), "{fault}");
    });
}
