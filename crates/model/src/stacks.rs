//! Which stacks a query wants, by the names of their functions.

use std::collections::HashSet;

use regex::{RegexSet, RegexSetBuilder};

use crate::fault::Fault;
use crate::re2;
use crate::selector::MAX_REGEX_BYTES;

/// The most patterns that one frame filter may list, of all kinds together.
pub const MAX_FRAME_PATTERNS: usize = 1000;
/// The longest text of all patterns of a frame filter together, in bytes.
pub const MAX_FRAME_PATTERN_BYTES: usize = 64 << 10;

/// Conditions on the functions of a stack; all must hold. The default wants every stack.
#[derive(Debug, Clone, Default)]
pub struct StackFilter {
    /// Only stacks that start, at the root, with these functions.
    pub call_site: Vec<String>,
    pub frames: FrameFilter,
}

impl StackFilter {
    /// Only stacks that start, at the root, with these functions.
    pub fn at(call_site: Vec<String>) -> Self {
        StackFilter { call_site, frames: FrameFilter::default() }
    }

    /// Whether every stack is wanted.
    pub fn wants_all(&self) -> bool {
        self.call_site.is_empty() && self.frames.wants_all()
    }
}

/// Function names that must, or must not, be on a stack, as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FramePatterns {
    /// Whole names.
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    /// Regular expressions, found anywhere in a name.
    pub include_regex: Vec<String>,
    pub exclude_regex: Vec<String>,
}

/// A filter on the frames of a stack: it wants stacks with at least one included function (if any is listed) and no
/// excluded one. Stacks are kept whole or not at all.
#[derive(Debug, Clone, Default)]
pub struct FrameFilter {
    patterns: FramePatterns,
    include: Names,
    exclude: Names,
}

impl FrameFilter {
    /// Reads the patterns. An empty pattern would match nothing or everything and is left out.
    ///
    /// # Errors
    /// `Invalid`: too many or too long patterns, or one that is no regular expression.
    pub fn new(mut patterns: FramePatterns) -> Result<Self, Fault> {
        let FramePatterns { include, exclude, include_regex, exclude_regex } = &mut patterns;
        let (mut count, mut bytes) = (0, 0);
        for list in [&mut *include, &mut *exclude, &mut *include_regex, &mut *exclude_regex] {
            list.retain(|pattern| !pattern.is_empty());
            count += list.len();
            bytes += list.iter().map(String::len).sum::<usize>();
        }
        if count > MAX_FRAME_PATTERNS || bytes > MAX_FRAME_PATTERN_BYTES {
            return Err(Fault::invalid(format!(
                "frame_filter lists {count} patterns of {bytes} bytes; at most {MAX_FRAME_PATTERNS} patterns of \
                 {MAX_FRAME_PATTERN_BYTES} bytes together"
            )));
        }
        let names = |whole: &[String], regex: &[String], field: &str| Names::new(whole, regex).map_err(|f| f.at(field));
        let (include, exclude) = (
            names(include, include_regex, "frame_filter.include_regex")?,
            names(exclude, exclude_regex, "frame_filter.exclude_regex")?,
        );
        Ok(FrameFilter { patterns, include, exclude })
    }

    pub fn patterns(&self) -> &FramePatterns {
        &self.patterns
    }

    /// Whether every stack is wanted.
    pub fn wants_all(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// What one function says about the stacks that it is on.
    pub fn judge(&self, function: &str) -> FrameVerdict {
        FrameVerdict {
            included: self.include.is_empty() || self.include.holds(function),
            excluded: self.exclude.holds(function),
        }
    }
}

/// What some frames of a stack say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameVerdict {
    pub included: bool,
    pub excluded: bool,
}

impl FrameVerdict {
    /// No frame was looked at.
    pub const NONE: FrameVerdict = FrameVerdict { included: false, excluded: false };

    /// What both say together.
    #[must_use]
    pub fn and(self, other: FrameVerdict) -> FrameVerdict {
        FrameVerdict { included: self.included || other.included, excluded: self.excluded || other.excluded }
    }

    /// Whether a stack with these frames is wanted.
    pub fn wanted(self) -> bool {
        self.included && !self.excluded
    }
}

/// A set of names, some by expression.
#[derive(Debug, Clone, Default)]
struct Names {
    whole: HashSet<String>,
    regex: Option<RegexSet>,
}

impl Names {
    fn new(whole: &[String], regex: &[String]) -> Result<Self, Fault> {
        let built = match regex {
            [] => None,
            some => {
                let translated = |text: &String| {
                    let refused = |why| Fault::invalid(format!("regular expression {text:?} cannot be used: {why}"));
                    re2::translated(text).map_err(refused)
                };
                let some = some.iter().map(translated).collect::<Result<Vec<_>, _>>()?;
                let set = RegexSetBuilder::new(some).size_limit(MAX_REGEX_BYTES).build();
                Some(set.map_err(|e| Fault::invalid("a regular expression cannot be used").caused_by(e))?)
            }
        };
        Ok(Names { whole: whole.iter().cloned().collect(), regex: built })
    }

    fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.regex.is_none()
    }

    fn holds(&self, name: &str) -> bool {
        self.whole.contains(name) || self.regex.as_ref().is_some_and(|set| set.is_match(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|t| (*t).to_owned()).collect()
    }

    fn wants(filter: &FrameFilter, stack: &[&str]) -> bool {
        stack.iter().fold(FrameVerdict::NONE, |all, name| all.and(filter.judge(name))).wanted()
    }

    #[test]
    fn a_stack_needs_one_included_frame_and_no_excluded_one() {
        let filter = |include: &[&str], exclude: &[&str], include_regex: &[&str], exclude_regex: &[&str]| {
            FrameFilter::new(FramePatterns {
                include: list(include),
                exclude: list(exclude),
                include_regex: list(include_regex),
                exclude_regex: list(exclude_regex),
            })
            .unwrap()
        };
        let all = filter(&[], &[""], &[], &[]);
        assert!(all.wants_all() && wants(&all, &["x"]));
        let f = filter(&["a"], &["b"], &["^json\\."], &["gc"]);
        assert!(wants(&f, &["main", "a"]));
        assert!(wants(&f, &["main", "json.Marshal", "x"]));
        assert!(!wants(&f, &["main", "ab"]), "include is the whole name");
        assert!(!wants(&f, &["a", "b"]));
        assert!(!wants(&f, &["a", "runtime.gcBgMarkWorker"]), "an expression is found anywhere");
        let only_out = filter(&[], &["b"], &[], &[]);
        assert!(wants(&only_out, &["a"]) && !wants(&only_out, &["a", "b"]));
    }

    #[test]
    fn patterns_that_cannot_be_used_are_refused_by_field() {
        let bad = FramePatterns { exclude_regex: list(&["("]), ..FramePatterns::default() };
        assert!(FrameFilter::new(bad).unwrap_err().message.contains("exclude_regex"));
        let huge = FramePatterns { include_regex: list(&["(a{1000}){1000}"]), ..FramePatterns::default() };
        assert!(FrameFilter::new(huge).is_err());
        let many = FramePatterns { include: vec!["x".into(); MAX_FRAME_PATTERNS + 1], ..FramePatterns::default() };
        assert!(FrameFilter::new(many).unwrap_err().message.contains("1001"));
    }
}
