//! Names of classes that the JVM makes up anew in each run, folded so that their frames merge.

use std::borrow::Cow;

/// A class or library name without the part that is different in each process; `_` stands in its place.
///
/// `GeneratedMethodAccessor31`, `X$$Lambda$12/0x0000a1`, `X$$EnhancerBySpringCGLIB$$1a2b` and the temporary copies of
/// the libraries of zstd-jni, Corretto's crypto provider and async-profiler.
pub(super) fn fold(name: &str) -> Cow<'_, str> {
    const ACCESSOR: &str = "GeneratedMethodAccessor";
    const LAMBDA: &str = "$$Lambda";
    const CGLIB: &str = "$$EnhancerBySpringCGLIB$$";

    if let Some(at) = name.rfind(ACCESSOR).map(|at| at + ACCESSOR.len())
        && is_made_of(name, at, |c| c.is_ascii_digit())
    {
        return cut(name, at, "_");
    }
    if let Some(at) = name.rfind(LAMBDA).map(|at| at + LAMBDA.len())
        && is_made_of(name, at, |c| c.is_ascii_hexdigit() || matches!(c, '$' | '/' | '.' | '+' | 'x'))
    {
        return cut(name, at, "_");
    }
    if let Some(at) = name.rfind(CGLIB).map(|at| at + CGLIB.len())
        && is_made_of(name, at, |c| c.is_ascii_hexdigit())
    {
        return cut(name, at, "_");
    }
    library(name).map_or(Cow::Borrowed(name), Cow::Borrowed)
}

/// A library that is unpacked under a new name each time.
fn library(name: &str) -> Option<&'static str> {
    let file = name.strip_suffix(" (deleted)").unwrap_or(name);
    let file = file.rsplit('/').next()?.strip_suffix(".so")?;
    // One that only has its version in its name, as a SHA-1, is the same everywhere.
    let is_version = |text: &str| text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
    Some(match file {
        _ if file.rsplit('-').next().is_some_and(is_version) => return None,
        _ if file.starts_with("libzstd-jni-") => "libzstd-jni-_.so",
        _ if file.starts_with("libamazonCorrettoCryptoProvider") => "libamazonCorrettoCryptoProvider_.so",
        _ if file.starts_with("libasyncProfiler-") => "libasyncProfiler-_.so",
        _ => return None,
    })
}

fn is_made_of(name: &str, from: usize, allowed: impl Fn(char) -> bool) -> bool {
    name.get(from..).is_some_and(|rest| !rest.is_empty() && rest.chars().all(allowed))
}

fn cut(name: &str, at: usize, end: &str) -> Cow<'static, str> {
    Cow::Owned(format!("{}{end}", name.get(..at).unwrap_or(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_names_are_folded_and_others_are_kept() {
        for (name, folded) in [
            ("jdk/internal/reflect/GeneratedMethodAccessor31", "jdk/internal/reflect/GeneratedMethodAccessor_"),
            ("a/B$$Lambda$12/0x00007f8177090218", "a/B$$Lambda_"),
            ("a/B$$Lambda.0x00007f8177090218", "a/B$$Lambda_"),
            ("a/B$$Lambda+0x1f", "a/B$$Lambda_"),
            ("a/B$$LambdaHelper", "a/B$$LambdaHelper"),
            ("a/B$$EnhancerBySpringCGLIB$$1a2b3c", "a/B$$EnhancerBySpringCGLIB$$_"),
            ("/tmp/libzstd-jni-1.5.1-16931311898282279136.so", "libzstd-jni-_.so"),
            ("libamazonCorrettoCryptoProvider109b39cf33c563eb.so (deleted)", "libamazonCorrettoCryptoProvider_.so"),
            ("./tmp/libasyncProfiler-linux-x64-17b9a1d8.so", "libasyncProfiler-_.so"),
            (
                "libasyncProfiler-linux-x64-d73f214b50539537b06070b954cbc95c10a06024.so",
                "libasyncProfiler-linux-x64-d73f214b50539537b06070b954cbc95c10a06024.so",
            ),
            ("java/util/HashMap", "java/util/HashMap"),
            ("GeneratedMethodAccessor", "GeneratedMethodAccessor"),
            ("", ""),
        ] {
            assert_eq!(fold(name), folded);
        }
    }
}
