//! DataFusion, on exported blocks.

use flamestore_tests::tools;

use super::lived::lived;
use super::{answer, document, exported, python};

#[test]
fn datafusion_finds_in_blocks_what_the_server_answers() {
    if !tools::python_has("datafusion") {
        return;
    }
    let lived = lived(&[]);
    let dir = tempfile::tempdir().expect("a directory");
    let blocks = exported(&lived.server, dir.path());
    lived.check(&answer(python("by_datafusion.py").arg(document()).arg("shop").args(blocks)));
}
