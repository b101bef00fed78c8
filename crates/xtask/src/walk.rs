//! Every step of `docs/WALK.md` names a symbol and a file; this says which of them are gone.
//!
//! A step is a link whose text is the symbol in backticks: ``[`Distributor::push`](../services/distributor/src/push.rs)``.

use std::fs;

use crate::shell::{Failure, root};

/// Fewer steps than this mean that the walk was broken, not shortened.
const MIN_STEPS: usize = 10;

pub(crate) fn check() -> Result<(), Failure> {
    let docs = root().join("docs");
    let text = fs::read_to_string(docs.join("WALK.md"))?;
    let mut steps = 0;
    let mut missing = Vec::new();
    for (symbol, path) in links(&text) {
        steps += 1;
        let source = fs::read_to_string(docs.join(path)).unwrap_or_default();
        let name = symbol.rsplit("::").next().unwrap_or(symbol);
        if !["fn", "struct", "enum", "trait", "mod", "const", "type"].iter().any(|word| defines(&source, word, name)) {
            missing.push(format!("`{symbol}` is not in {path}"));
        }
    }
    if steps < MIN_STEPS {
        missing.push(format!("docs/WALK.md has only {steps} steps"));
    }
    if missing.is_empty() { Ok(()) } else { Err(Failure(missing.join("\n"))) }
}

fn defines(source: &str, word: &str, name: &str) -> bool {
    let definition = format!("{word} {name}");
    source.match_indices(&definition).any(|(at, _)| {
        let next = source[at + definition.len()..].chars().next();
        !next.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

fn links(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("[`").skip(1).filter_map(|rest| {
        let (symbol, rest) = rest.split_once("`](")?;
        let (path, _) = rest.split_once(')')?;
        Some((symbol, path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_is_its_whole_name() {
        assert!(defines("pub async fn push(&self)", "fn", "push"));
        assert!(!defines("fn push_all()", "fn", "push"));
        assert_eq!(links("see [`a::b`](../x.rs) and [c](d)").collect::<Vec<_>>(), [("a::b", "../x.rs")]);
    }
}
