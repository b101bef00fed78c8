//! The `name` parameter, `app{key=value,other=value}`.

use flamestore_model::labels::names;
use flamestore_model::{Fault, FaultId};

/// An application's name and the labels written behind it, in order; a key that comes twice keeps its last value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AppName {
    pub(crate) app: String,
    pub(crate) labels: Vec<(String, String)>,
}

impl AppName {
    /// Reads a name. Values are free text without `,` and `}`; blanks around everything are cut; a last label that no
    /// `}` closes is left out, as is all behind the `}`. A label called `__name__` replaces the application.
    ///
    /// Errors: `Invalid` when there is no application name, or it or a key has a character that is not allowed.
    pub(crate) fn parse(text: &str) -> Result<AppName, Fault> {
        let (app, mut rest) = text.split_once('{').unwrap_or((text, ""));
        let mut name = AppName { app: app.trim().to_owned(), labels: Vec::new() };
        while let Some(end) = rest.find(['=', '}']) {
            let (key, tail) = rest.split_at(end);
            let Some(tail) = tail.strip_prefix('=') else { break };
            let Some(end) = tail.find([',', '}']) else { break };
            let (value, tail) = tail.split_at(end);
            name.set(key.trim(), value.trim())?;
            match tail.strip_prefix(',') {
                Some(next) => rest = next,
                None => break,
            }
        }
        name.check_app()?;
        Ok(name)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        if let Some(bad) = key.chars().find(|c| !is_key_char(*c)) {
            return Err(Fault::of(
                FaultId::UploadNameIllegal,
                format!("name: the label name {key:?} has the character {bad:?}: use letters, digits, '_' and '.'"),
            ));
        }
        if key.is_empty() {
            return Err(Fault::of(FaultId::UploadNameIllegal, "name: a label has no name: write name=app{key=value}"));
        }
        if key == names::PROFILE_NAME {
            self.app = value.to_owned();
            return Ok(());
        }
        match self.labels.iter_mut().find(|(k, _)| k == key) {
            Some((_, old)) => *old = value.to_owned(),
            None => self.labels.push((key.to_owned(), value.to_owned())),
        }
        Ok(())
    }

    fn check_app(&self) -> Result<(), Fault> {
        if self.app.is_empty() {
            return Err(Fault::of(
                FaultId::UploadNameIllegal,
                "name: the service name is missing: write name=app or name=app{key=value}",
            ));
        }
        match self.app.chars().find(|c| !is_app_char(*c)) {
            Some(bad) => Err(Fault::of(
                FaultId::UploadNameIllegal,
                format!(
                    "name: the service name {:?} has the character {bad:?}: use letters, digits and any of _.-/",
                    self.app
                ),
            )),
            None => Ok(()),
        }
    }

    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// The labels that become series labels: private ones stay behind, except the session.
    pub(crate) fn public_labels(&self) -> impl Iterator<Item = &(String, String)> {
        self.labels.iter().filter(|(key, _)| !key.starts_with("__") || key == names::SESSION_ID)
    }
}

fn is_app_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/')
}

fn is_key_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, Vec<(String, String)>) {
        let name = AppName::parse(text).unwrap();
        (name.app, name.labels)
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    #[test]
    fn labels_stand_in_braces() {
        assert_eq!(parsed("app"), ("app".into(), pairs(&[])));
        assert_eq!(parsed("a.b-c/d_e{}"), ("a.b-c/d_e".into(), pairs(&[])));
        assert_eq!(parsed(" app { a = b , c.d=e=f }"), ("app".into(), pairs(&[("a", "b"), ("c.d", "e=f")])));
        assert_eq!(parsed("app{a=1,a=2,1x=}"), ("app".into(), pairs(&[("a", "2"), ("1x", "")])));
    }

    #[test]
    fn a_label_that_is_not_closed_is_left_out() {
        assert_eq!(parsed("app{"), ("app".into(), pairs(&[])));
        assert_eq!(parsed("app{a=b"), ("app".into(), pairs(&[])));
        assert_eq!(parsed("app{a=b,c=d"), ("app".into(), pairs(&[("a", "b")])));
        assert_eq!(parsed("app{a=b,}x"), ("app".into(), pairs(&[("a", "b")])));
    }

    #[test]
    fn quotes_belong_to_the_value_and_a_comma_ends_it() {
        assert!(AppName::parse("app{a=\"x,y\"}").is_ok_and(|n| n.labels == pairs(&[("a", "\"x")])));
    }

    #[test]
    fn the_reserved_label_replaces_the_application_and_private_ones_stay_behind() {
        let name = AppName::parse("app{__name__=zzz,__foo__=1,__session_id__=ab}").unwrap();
        assert_eq!(name.app, "zzz");
        assert_eq!(name.public_labels().count(), 1);
    }

    #[test]
    fn names_that_are_not_allowed_say_why() {
        for (text, gist) in [
            ("", "missing"),
            ("{a=b}", "missing"),
            ("a b", "' '"),
            ("é", "'é'"),
            ("app{a-b=c}", "'-'"),
            ("app{=c}", "no name"),
            ("app{a,b=c}", "','"),
        ] {
            let fault = AppName::parse(text).unwrap_err();
            assert_eq!(fault.kind, flamestore_model::Kind::Invalid);
            assert!(fault.message.contains(gist), "{text}: {fault}");
        }
    }
}
