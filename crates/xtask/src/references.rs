//! The reference pages that the binaries write of themselves.

use std::fs;

use crate::shell::{Failure, build_for_tests, output, root, target_dir};

/// Each page with the program that writes it, and how it is asked to.
const PAGES: &[(&str, &str, &str)] = &[
    ("config", "flamestore", "-reference=config"),
    ("errors", "flamestore", "-reference=errors"),
    ("flamectl", "flamectl", "reference"),
    ("metrics", "flamestore", "-reference=metrics"),
];

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
    let debug = target_dir().join("debug");
    PAGES.iter().map(|(page, program, argument)| Ok((*page, output(&debug.join(program), &[argument])?))).collect()
}
