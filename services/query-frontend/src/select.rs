//! From the fields of a request to what is asked of readers.

use flamestore_model::{Fault, ProfileId, ProfileType, Select, Selector, StackFilter, TimeRange, TreeQuery};

/// The most ids that one selector may list.
pub const MAX_SELECTED_IDS: usize = 10_000;

/// The selecting fields that the merge and series calls share, as they came.
#[derive(Debug, Clone, Default)]
pub struct Fields<'a> {
    pub profile_type_id: &'a str,
    pub label_selector: &'a str,
    pub profile_ids: &'a [String],
    pub span_ids: &'a [String],
    pub trace_ids: &'a [String],
    pub stacks: StackFilter,
}

impl Fields<'_> {
    /// What is asked, apart from the time.
    pub fn read(&self) -> Result<Wanted, Fault> {
        if !self.span_ids.is_empty() && !self.trace_ids.is_empty() {
            return Err(Fault::invalid("span_selector and trace_id_selector cannot be combined: send one of them"));
        }
        Ok(Wanted {
            profile_type: ProfileType::parse(self.profile_type_id)?,
            selector: Selector::parse(self.label_selector)?,
            profile_ids: ids("profile_id_selector", "a UUID", self.profile_ids, ProfileId::parse)?,
            span_ids: ids("span_selector", "16 hex digits", self.span_ids, |s| hex(s, 16).map(|v| v as u64))?,
            trace_ids: ids("trace_id_selector", "32 hex digits", self.trace_ids, |s| hex(s, 32))?,
            stacks: self.stacks.clone(),
        })
    }
}

/// A checked request without its time.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub profile_type: ProfileType,
    pub selector: Selector,
    pub profile_ids: Vec<ProfileId>,
    pub span_ids: Vec<u64>,
    pub trace_ids: Vec<u128>,
    pub stacks: StackFilter,
}

impl Wanted {
    pub fn over(&self, range: TimeRange) -> TreeQuery {
        TreeQuery {
            select: Select {
                profile_type: Some(self.profile_type.clone()),
                selector: self.selector.clone(),
                range,
                profile_ids: self.profile_ids.clone(),
                span_ids: self.span_ids.clone(),
                trace_ids: self.trace_ids.clone(),
            },
            stacks: self.stacks.clone(),
        }
    }
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    (text.len() == digits && text.bytes().all(|c| c.is_ascii_hexdigit()))
        .then(|| u128::from_str_radix(text, 16).ok())?
}

fn ids<T>(field: &str, form: &str, texts: &[String], parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, Fault> {
    if texts.len() > MAX_SELECTED_IDS {
        return Err(Fault::invalid(format!("{field} lists {} ids; at most {MAX_SELECTED_IDS}", texts.len())));
    }
    texts.iter().map(|t| parse(t).ok_or_else(|| Fault::invalid(format!("{field}: {t:?} is not {form}")))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_are_none_are_refused_by_field() {
        let base = Fields { profile_type_id: "a:b:c:d:e", label_selector: "{}", ..Fields::default() };
        let (short, sixteen) = (["abc".to_string()], ["00000000000000ff".to_string()]);
        let with = |f: Fields<'_>| f.read().map(|w| w.span_ids);
        assert_eq!(with(Fields { span_ids: &sixteen, ..base.clone() }).unwrap(), [255]);
        let e = with(Fields { span_ids: &short, ..base.clone() }).unwrap_err();
        assert!(e.message.contains("span_selector"), "{e}");
        assert!(with(Fields { span_ids: &sixteen, trace_ids: &short, ..base.clone() }).is_err());
        assert!(with(Fields { profile_ids: &short, ..base }).is_err());
    }
}
