//! The reference pages that the binary writes of itself: `flamestore -reference=<page>`.

use std::fs;

use crate::shell::{Failure, build_for_tests, output, root, target_dir};

const PAGES: &[&str] = &["config", "errors", "metrics"];

/// Fails when a page in `docs/reference` is not what the binary would write.
pub(crate) fn check() -> Result<(), Failure> {
    for (page, fresh) in pages()? {
        let path = root().join(format!("docs/reference/{page}.md"));
        if fs::read_to_string(&path).unwrap_or_default() != fresh {
            return Err(Failure(format!("docs/reference/{page}.md is stale: run `cargo xtask references`")));
        }
    }
    Ok(())
}

pub(crate) fn write() -> Result<(), Failure> {
    for (page, fresh) in pages()? {
        fs::write(root().join(format!("docs/reference/{page}.md")), fresh)?;
    }
    Ok(())
}

fn pages() -> Result<Vec<(&'static str, String)>, Failure> {
    build_for_tests()?;
    let binary = target_dir().join("debug/flamestore");
    PAGES.iter().map(|page| Ok((*page, output(&binary, &[&format!("-reference={page}")])?))).collect()
}
