//! A reader that was written from the document alone.

use std::collections::BTreeMap;

use flamestore_tests::client::CPU;
use flamestore_tests::tools;

use super::lived::lived;
use super::{answer, python};

#[test]
fn a_reader_that_knows_the_document_alone_finds_what_the_server_answers() {
    if !tools::python_has("pyarrow") {
        return;
    }
    let lived = lived(&[]);
    for service in ["shop", "other"] {
        let tenant = lived.server.bucket().join("anonymous");
        let found = answer(python("reader.py").arg(tenant).args([service, CPU, "0", &i64::MAX.to_string()]));
        let functions: BTreeMap<String, (i64, i64)> =
            serde_json::from_value(found["functions"].clone()).expect("functions");
        assert_eq!(functions, lived.functions(service));
        assert_eq!(found["total"], lived.flame(service).values().sum::<i64>());
    }
}
