//! Label selectors, `{a="b", c!="d", e=~"f.*", g!~"h|i"}`, as PromQL writes them.
//!
//! Source of the grammar: the Prometheus documentation of instant vector selectors, with the quoted names of
//! Prometheus 3 (`{"k8s.pod.name"="x"}`). Regular expressions are those of RE2, anchored on both
//! sides.

use std::fmt;

use regex::{Regex, RegexBuilder};

use crate::fault::{Fault, FaultId};
use crate::labels::{Labels, is_legacy_name, names};
use crate::re2;

/// The longest selector that is read, in bytes.
pub const MAX_SELECTOR_BYTES: usize = 64 << 10;
/// The largest compiled size of one regular expression, in bytes.
pub const MAX_REGEX_BYTES: usize = 1 << 20;

/// Regular expressions of one selector, or of all selectors of one call: each may take [`MAX_REGEX_BYTES`].
pub const MAX_REGEXES: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    Equal,
    NotEqual,
    Regex,
    NotRegex,
}

impl MatchOp {
    pub const fn as_str(self) -> &'static str {
        match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        }
    }
}

/// One condition on one label; an absent label has the value `""`.
#[derive(Debug, Clone)]
pub struct Matcher {
    pub name: String,
    pub op: MatchOp,
    pub value: String,
    regex: Option<Regex>,
}

impl Matcher {
    pub fn new(name: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Result<Self, Fault> {
        let (name, value) = (name.into(), value.into());
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => {
                let refused = |why: &str| {
                    let found = format!("regular expression {value:?} of label {name:?} cannot be used{why}");
                    Fault::of(FaultId::SelectorMalformed, found)
                };
                let text = re2::translated(&value).map_err(|why| refused(&format!(": {why}")))?;
                let built = RegexBuilder::new(&format!("^(?s:{text})$")).size_limit(MAX_REGEX_BYTES).build();
                Some(built.map_err(|e| refused("").caused_by(e))?)
            }
        };
        Ok(Matcher { name, op, value, regex })
    }

    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Matcher { name: name.into(), op: MatchOp::Equal, value: value.into(), regex: None }
    }

    /// True of series without the label too.
    pub fn not_equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Matcher { op: MatchOp::NotEqual, ..Matcher::equal(name, value) }
    }

    pub fn matches_value(&self, value: &str) -> bool {
        match (self.op, &self.regex) {
            (MatchOp::Equal, _) => value == self.value,
            (MatchOp::NotEqual, _) => value != self.value,
            (MatchOp::Regex, Some(re)) => re.is_match(value),
            (MatchOp::NotRegex, Some(re)) => !re.is_match(value),
            // `new` compiles an expression for both regex operators.
            (MatchOp::Regex | MatchOp::NotRegex, None) => false,
        }
    }

    pub fn matches(&self, labels: &Labels) -> bool {
        self.matches_value(labels.get(&self.name).unwrap_or(""))
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}
impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_legacy_name(&self.name) {
            f.write_str(&self.name)?;
        } else {
            write_quoted(f, &self.name)?;
        }
        f.write_str(self.op.as_str())?;
        write_quoted(f, &self.value)
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

/// Conditions that must all hold. Empty: everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    pub matchers: Vec<Matcher>,
}

impl Selector {
    /// Reads one selector. The empty text is an error (the wire says `{}` for everything).
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > MAX_SELECTOR_BYTES {
            return Err(Fault::of(
                FaultId::SelectorMalformed,
                format!("label selector is longer than {MAX_SELECTOR_BYTES} bytes"),
            ));
        }
        let mut parser = Parser { text, at: 0 };
        parser.selector().map_err(|why| {
            Fault::of(
                FaultId::SelectorMalformed,
                format!("label selector {text:?} cannot be read at byte {}: {why}", parser.at),
            )
        })
    }

    /// Several selectors of which all must hold (`matchers` of the label calls). An empty list is everything.
    pub fn parse_all<S: AsRef<str>>(texts: &[S]) -> Result<Self, Fault> {
        let mut all = Selector::default();
        let mut regexes = 0;
        for t in texts {
            let selector = Self::parse(t.as_ref())?;
            regexes += selector.matchers.iter().filter(|m| m.regex.is_some()).count();
            bounded(regexes)
                .map_err(|why| Fault::of(FaultId::SelectorMalformed, format!("the label selectors: {why}")))?;
            all.matchers.extend(selector.matchers);
        }
        Ok(all)
    }

    #[must_use]
    pub fn and(mut self, matcher: Matcher) -> Self {
        self.matchers.push(matcher);
        self
    }

    pub fn matches(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|m| m.matches(labels))
    }

    /// Whether a series whose label `name` is `value` could match, whatever its other labels are.
    pub fn admits(&self, name: &str, value: &str) -> bool {
        self.matchers.iter().filter(|m| m.name == name).all(|m| m.matches_value(value))
    }
}

fn bounded(regexes: usize) -> Result<(), String> {
    match regexes {
        ..=MAX_REGEXES => Ok(()),
        _ => Err(format!("more than {MAX_REGEXES} regular expressions: join some of them with |")),
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, m) in self.matchers.iter().enumerate() {
            write!(f, "{}{m}", if i == 0 { "" } else { ", " })?;
        }
        f.write_str("}")
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip_blanks();
        let hit = self.rest().starts_with(token);
        if hit {
            self.at += token.len();
        }
        hit
    }

    fn selector(&mut self) -> Result<Selector, String> {
        let mut out = Selector::default();
        self.skip_blanks();
        if self.rest().is_empty() {
            return Err("it is empty; write {} to select everything".into());
        }
        if let Some(metric) = self.word(|c| c == ':') {
            out.matchers.push(Matcher::equal(names::PROFILE_NAME, metric));
            self.skip_blanks();
            if self.rest().is_empty() {
                return Ok(out);
            }
        }
        if !self.eat("{") {
            return Err("expected '{'".into());
        }
        let mut regexes = 0;
        while !self.eat("}") {
            let matcher = self.matcher()?;
            regexes += usize::from(matcher.regex.is_some());
            bounded(regexes)?;
            out.matchers.push(matcher);
            if self.eat(",") {
                continue;
            }
            if self.eat("}") {
                break;
            }
            return Err("expected ',' or '}'".into());
        }
        self.skip_blanks();
        if !self.rest().is_empty() {
            return Err("there is text behind the closing '}'".into());
        }
        Ok(out)
    }

    fn matcher(&mut self) -> Result<Matcher, String> {
        self.skip_blanks();
        let quoted = self.rest().starts_with(['"', '\'', '`']);
        let name = if quoted {
            self.quoted()?
        } else {
            self.word(|_| false).ok_or("expected a label name (quote names outside [a-zA-Z0-9_])")?
        };
        // Longest operators first: `=` is a prefix of `=~`.
        let ops = [MatchOp::Regex, MatchOp::NotRegex, MatchOp::NotEqual, MatchOp::Equal];
        let Some(op) = ops.into_iter().find(|op| self.eat(op.as_str())) else {
            // A quoted name alone is the metric name.
            return if quoted && (self.peek(",") || self.peek("}")) {
                Ok(Matcher::equal(names::PROFILE_NAME, name))
            } else {
                Err("expected one of = != =~ !~".into())
            };
        };
        self.skip_blanks();
        let value = self.quoted()?;
        Matcher::new(name, op, value).map_err(|f| f.to_string())
    }

    fn peek(&mut self, token: &str) -> bool {
        self.skip_blanks();
        self.rest().starts_with(token)
    }

    /// A name of the classic alphabet, and of what `also` allows.
    fn word(&mut self, also: impl Fn(char) -> bool) -> Option<String> {
        self.skip_blanks();
        let rest = self.rest();
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || also(c)) {
            return None;
        }
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || also(c))).unwrap_or(rest.len());
        let word = rest[..end].to_string();
        self.at += end;
        Some(word)
    }

    /// A string in `"`, `'` or backticks, with the escapes of Go (none inside backticks).
    fn quoted(&mut self) -> Result<String, String> {
        let mut chars = self.rest().char_indices();
        let quote = match chars.next() {
            Some((_, c @ ('"' | '\'' | '`'))) => c,
            _ => return Err("expected a quoted string".into()),
        };
        let mut bytes: Vec<u8> = Vec::new();
        while let Some((i, c)) = chars.next() {
            if c == quote {
                let text = String::from_utf8(bytes).map_err(|_| "the escapes do not make valid UTF-8".to_string())?;
                self.at += i + 1;
                return Ok(text);
            }
            if c == '\n' && quote != '`' {
                return Err("line break inside a quoted string".into());
            }
            if c != '\\' || quote == '`' {
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            let mut digits = |first: Option<char>, n: usize, radix: u32| -> Result<u32, String> {
                let mut v = 0u32;
                let mut left = n;
                if let Some(d) = first {
                    v = d.to_digit(radix).ok_or("bad escape")?;
                    left -= 1;
                }
                for _ in 0..left {
                    let d = chars.next().and_then(|(_, c)| c.to_digit(radix)).ok_or("bad escape")?;
                    v = v.wrapping_mul(radix) | d;
                }
                Ok(v)
            };
            let escape = self.text[self.at + i + 1..].chars().next();
            match escape {
                Some('x') => {
                    digits(None, 1, 36)?;
                    bytes.push(digits(None, 2, 16)? as u8);
                }
                Some(c @ ('u' | 'U')) => {
                    digits(None, 1, 36)?;
                    let v = digits(None, if c == 'u' { 4 } else { 8 }, 16)?;
                    let c = char::from_u32(v).ok_or("the escape is no character")?;
                    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some('0'..='7') => bytes.push(u8::try_from(digits(None, 3, 8)?).map_err(|_| "bad escape")?),
                Some(c) => {
                    chars.next();
                    let one = match c {
                        'a' => 7,
                        'b' => 8,
                        'f' => 12,
                        'n' => b'\n',
                        'r' => b'\r',
                        't' => b'\t',
                        'v' => 11,
                        '\\' | '"' | '\'' => c as u8,
                        _ => return Err(format!("unknown escape \\{c}")),
                    };
                    bytes.push(one);
                }
                None => return Err("the string is not closed".into()),
            }
        }
        Err("the string is not closed".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels() -> Labels {
        Labels::from_pairs([("service_name", "checkout"), ("k8s.pod", "a\"b"), ("region", "eu")])
    }

    #[test]
    fn there_are_no_more_regular_expressions_than_memory_was_planned_for() {
        let with = |n: usize| format!("{{{}}}", vec![r#"a=~"b""#; n].join(","));
        assert_eq!(Selector::parse(&with(MAX_REGEXES)).unwrap().matchers.len(), MAX_REGEXES);
        let fault = Selector::parse(&with(MAX_REGEXES + 1)).unwrap_err();
        assert!(fault.message.contains("more than 64 regular expressions"), "{fault}");
        let fault = Selector::parse_all(&[with(MAX_REGEXES), with(1)]).unwrap_err();
        assert_eq!(fault.id, FaultId::SelectorMalformed);
        assert!(Selector::parse(&format!("{{{}}}", vec![r#"a="b""#; 5000].join(","))).is_ok());
    }

    #[test]
    fn operators_select_as_prometheus_does() {
        for (text, hit) in [
            ("{}", true),
            (r#"{service_name="checkout"}"#, true),
            (r#"{service_name="check"}"#, false),
            (r#"{service_name=~"check.*",}"#, true),
            (r#"{service_name=~"check"}"#, false),
            (r#"{ region != "us" , region !~ "u.|a." }"#, true),
            (r#"{"k8s.pod"="a\"b"}"#, true),
            (r#"{'k8s.pod'=`a"b`}"#, true),
            (r#"{absent=""}"#, true),
            (r#"{absent!=""}"#, false),
            (r#"checkout{}"#, false),
            (r#"{service_name="\x63hec\u006bou\164"}"#, true),
        ] {
            assert_eq!(Selector::parse(text).unwrap().matches(&labels()), hit, "{text}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused_with_the_place() {
        for text in [
            "",
            " ",
            "{",
            "}",
            "{a}",
            "{a=}",
            "{a=b}",
            r#"{a.b="c"}"#,
            r#"{a="b"} x"#,
            r#"{a=~"("}"#,
            r#"{a="b" c="d"}"#,
            r#"{a="\q"}"#,
            r#"{a="\777"}"#,
            "{a=\"",
            "{,}",
        ] {
            let e = Selector::parse(text).unwrap_err();
            assert!(e.message.contains("byte"), "{text}: {e}");
        }
    }

    proptest! {
        #[test]
        fn any_matcher_survives_being_written_and_read(name in "\\PC{1,20}", value in "\\PC{0,20}") {
            let s = Selector::default().and(Matcher::equal(name, value));
            prop_assert_eq!(Selector::parse(&s.to_string()).unwrap(), s);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[\\PC{}=~!\"'\\\\,a-c]{0,40}") {
            let _ = Selector::parse(&text);
        }
    }
}
