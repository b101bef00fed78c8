//! Completions and man pages come from the arguments, without a server.

use crate::flamectl::run_at;

#[test]
fn completions_are_there_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run_at("", &["completions", shell], b"");
        assert!(ran.text().contains("fail-if"), "{shell}");
    }
}

#[test]
fn man_pages_are_there_for_every_command() {
    let page = run_at("", &["man"], b"");
    assert!(page.text().contains(".TH flamectl 1") && page.text().contains("Exit codes"), "{}", page.text());
    let dir = tempfile::tempdir().unwrap();
    let ran = run_at("", &["man", "--dir", dir.path().to_str().unwrap()], b"");
    assert_eq!(ran.text(), "");
    for name in ["flamectl.1", "flamectl-push.1", "flamectl-diff.1"] {
        assert!(dir.path().join(name).exists(), "{name}");
    }
}
