//! DuckDB, on a directory and on an S3 server.

use std::path::{Path, PathBuf};

use flamestore_tests::stores::{BUCKET, S3};
use flamestore_tests::tools;
use serde_json::json;

use super::lived::lived;
use super::{answer, document, python};

/// Where `pip install --target` has put `tests/requirements-httpfs.txt`: a DuckDB with its extension for S3.
fn httpfs() -> PathBuf {
    let set = std::env::var_os("FLAMESTORE_TEST_HTTPFS").map(PathBuf::from);
    set.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/duckdb-httpfs"))
}

#[test]
fn duckdb_finds_in_blocks_what_the_server_answers() {
    if !tools::python_has("duckdb") {
        return;
    }
    let lived = lived(&[]);
    let tenant = lived.server.bucket().join("anonymous");
    lived.check(&answer(python("by_duckdb.py").arg(document()).arg(tenant).arg("shop")));
}

#[test]
fn duckdb_reads_the_same_from_s3_in_ranges() {
    let found = format!("import sys; sys.path.insert(0, {:?}); import duckdb_extension_httpfs", httpfs());
    let needed = "DuckDB with httpfs (pip install --target target/duckdb-httpfs -r tests/requirements-httpfs.txt)";
    if !tools::have(needed, &tools::python(), &["-c", &found]) {
        return;
    }
    let Some(store) = S3::start() else { return };
    let flags = store.flags();
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.push("-storage.prefix=a/b");
    let lived = lived(&flags);
    let settings = store.settings();
    let secret = json!({ "S3_KEY": settings.access_key_id, "S3_SECRET": settings.secret_access_key,
                         "S3_REGION": "us-east-1", "S3_ENDPOINT": settings.endpoint });
    let mut script = python("by_duckdb.py");
    script.env("PYTHONPATH", httpfs()).arg(document());
    lived.check(&answer(script.arg(format!("s3://{BUCKET}/a/b/anonymous")).arg("shop").arg(secret.to_string())));
}
