//! Names of graph nodes: shortened, and broken into lines.

/// What a node stands for: a line of a function, or an address of a binary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Frame {
    pub(super) name: String,
    /// Path; empty when unknown.
    pub(super) file: String,
    /// 0 when unknown.
    pub(super) line: i64,
}

impl Frame {
    /// Name and place, for tooltips.
    pub(super) fn one_line(&self) -> String {
        let place = self.place(&self.file);
        if place.is_empty() { self.name.clone() } else { format!("{} {place}", self.name) }
    }

    fn place(&self, file: &str) -> String {
        if self.line != 0 { format!("{file}:{}", self.line) } else { file.to_owned() }
    }
}

/// The label of a node: packages, types and methods on lines of their own, then file and line. Ready to stand between
/// quotes.
pub(super) fn in_lines(frame: &Frame) -> String {
    let name = escape(shorten(&frame.name)).replace("::", "\\n").replace("[...]", "[…]").replace('.', "\\n");
    let base = frame.file.rsplit('/').find(|part| !part.is_empty()).unwrap_or("");
    match escape(&frame.place(base)) {
        place if place.is_empty() => name,
        place if name.is_empty() => place,
        place => format!("{name}\\n{place}"),
    }
}

/// Escapes text for a quoted DOT string.
pub(super) fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\l")
}

/// Drops what a reader knows anyway: the path of a Go package, the package of a Java class, C++ namespaces.
fn shorten(name: &str) -> &str {
    go(name).or_else(|| java(name)).or_else(|| cpp(name)).unwrap_or(name)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The length of a run of characters that satisfy `is`, at the start of `s`.
fn run(s: &str, is: impl Fn(char) -> bool) -> usize {
    s.find(|c| !is(c)).unwrap_or(s.len())
}

/// `example.com/a/b.(*T).Method` → `b.(*T).Method`.
fn go(name: &str) -> Option<&str> {
    let mut rest = name;
    let mut short = None;
    loop {
        let part = run(rest, |c| is_word(c) || c == '-' || c == '.');
        rest = rest.get(part..)?.strip_prefix('/').filter(|_| part > 0)?;
        // What is left must still be a package and a name in it.
        let is_name =
            |s: &str| s.split_once('.').is_some_and(|(package, name)| !package.is_empty() && !name.is_empty());
        if is_name(rest) {
            short = Some(rest);
        }
        let more = run(rest, |c| is_word(c) || c == '-' || c == '.');
        if more == 0 || !rest[more..].starts_with('/') {
            return short;
        }
    }
}

/// `java.util.Random.next(int)` → `Random.next`.
fn java(name: &str) -> Option<&str> {
    let mut class = name;
    while class.starts_with(|c: char| c.is_ascii_lowercase()) {
        class = class[run(class, is_word)..].strip_prefix('.')?;
    }
    if !class.starts_with(|c: char| c.is_ascii_uppercase()) {
        return None;
    }
    let dot = run(class, |c| is_word(c) || c == '$');
    let method = class[dot..].strip_prefix('.')?;
    let len = if method.starts_with("<init>") {
        "<init>".len()
    } else if method.starts_with(|c: char| c.is_ascii_lowercase()) {
        run(method, |c| is_word(c) || c == '$')
    } else {
        return None;
    };
    let rest = &method[len..];
    (rest.is_empty() || rest.starts_with('(')).then(|| &class[..dot + 1 + len])
}

/// `google::protobuf::Message::Parse` → `Message::Parse`.
fn cpp(name: &str) -> Option<&str> {
    let mut rest = name.strip_prefix("(anonymous namespace)::").unwrap_or(name);
    let mut starts = Vec::new();
    let is_start = |s: &str| s.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    while is_start(rest) {
        starts.push(rest);
        match rest[run(rest, is_word)..].strip_prefix("::") {
            Some(next) => rest = next,
            None => break,
        }
    }
    // The last but one part, when it is a class: starts with a capital behind underscores. Not the first part.
    let class = starts.len().checked_sub(2).filter(|i| *i > 0).map(|i| starts[i])?;
    class.trim_start_matches('_').starts_with(|c: char| c.is_ascii_uppercase()).then_some(class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_a_reader_knows_anyway() {
        for (long, short) in [
            ("example.com/a/b.(*T).Method", "b.(*T).Method"),
            ("net/http.(*conn).serve", "http.(*conn).serve"),
            ("runtime.mallocgc", "runtime.mallocgc"),
            ("a/b/c", "a/b/c"),
            ("java.util.Random.next", "Random.next"),
            ("java.util.Random.next(int)", "Random.next"),
            ("sync_test.TestConcurrentClear.func1", "TestConcurrentClear.func1"),
            ("sync_test.TestCondBroadcast", "sync_test.TestCondBroadcast"),
            ("sync.(*Mutex).Unlock", "sync.(*Mutex).Unlock"),
            ("java.util.ArrayList.<init>", "ArrayList.<init>"),
            ("libjvm.so.Compile::Code_Gen", "libjvm.so.Compile::Code_Gen"),
            ("google::protobuf::Message::Parse", "Message::Parse"),
            ("Message::Parse", "Message::Parse"),
            ("std::sort", "std::sort"),
            ("<module>", "<module>"),
            ("é", "é"),
            ("", ""),
        ] {
            assert_eq!(shorten(long), short, "{long}");
        }
    }

    #[test]
    fn labels_break_at_every_part() {
        let frame = |name: &str, file: &str, line| Frame { name: name.into(), file: file.into(), line };
        assert_eq!(
            in_lines(&frame("runtime.chansend", "/go/src/runtime/chan.go", 161)),
            "runtime\\nchansend\\nchan.go:161"
        );
        assert_eq!(in_lines(&frame("libjvm.so.Compile::Code_Gen", "", 0)), "libjvm\\nso\\nCompile\\nCode_Gen");
        assert_eq!(in_lines(&frame("App.hash", "", 10)), "App\\nhash\\n:10");
        assert_eq!(in_lines(&frame("say \"hi\"", "", 0)), "say \\\"hi\\\"");
        assert_eq!(in_lines(&frame("f[...]", "", 0)), "f[…]");
    }
}
