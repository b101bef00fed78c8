//! Spark, on exported blocks.

use std::process::Command;

use flamestore_tests::tools;

use super::lived::lived;
use super::{answer, document, exported, python};

/// CI goes without: the package is 450 MB, and the run takes a minute and a half.
#[test]
fn spark_finds_in_blocks_what_the_server_answers() {
    let found = Command::new(tools::python()).args(["-c", "import pyspark"]).output();
    if !found.is_ok_and(|o| o.status.success()) {
        println!("skipped: python with pyspark is missing (pip install pyspark==4.3.0; needs Java 17)");
        return;
    }
    let lived = lived(&[]);
    let dir = tempfile::tempdir().expect("a directory");
    let blocks = exported(&lived.server, dir.path());
    lived.check(&answer(python("by_spark.py").arg(document()).arg("shop").args(blocks)));
}
