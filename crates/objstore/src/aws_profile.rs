//! Keys in the file that Amazon's own tools keep them in.

use std::path::PathBuf;

use flamestore_model::Fault;

use crate::environment::Environment;

/// No `Debug`: it holds a secret.
#[derive(PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

/// The keys of `AWS_PROFILE` in the file of `AWS_SHARED_CREDENTIALS_FILE` or of the home directory, if they are there.
///
/// Read once: keys that are changed in the file are used from the next start.
pub(crate) fn keys(env: Environment<'_>) -> Result<Option<Keys>, Fault> {
    let named = env("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
    let Some(file) = named.clone().or_else(|| env("HOME").map(|home| PathBuf::from(home).join(".aws/credentials")))
    else {
        return Ok(None);
    };
    let profile = env("AWS_PROFILE");
    match std::fs::read_to_string(&file) {
        Ok(text) => {
            let found = parse(&text, profile.as_deref().unwrap_or("default"));
            match profile {
                Some(name) if found.is_none() => Err(Fault::invalid(format!(
                    "AWS_PROFILE is {name:?}, and {} has no keys of that profile",
                    file.display()
                ))),
                _ => Ok(found),
            }
        }
        // Most machines have no such file.
        Err(_) if named.is_none() => Ok(None),
        Err(e) => {
            Err(Fault::invalid(format!("AWS_SHARED_CREDENTIALS_FILE: {} cannot be read", file.display())).caused_by(e))
        }
    }
}

fn parse(text: &str, profile: &str) -> Option<Keys> {
    let (mut inside, mut id, mut secret, mut token) = (false, None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            inside = name.trim() == profile;
        } else if inside
            && !line.starts_with(['#', ';'])
            && let Some((key, value)) = line.split_once('=')
        {
            let value = Some(value.trim().to_owned()).filter(|v| !v.is_empty());
            match key.trim() {
                "aws_access_key_id" => id = value,
                "aws_secret_access_key" => secret = value,
                "aws_session_token" => token = value,
                _ => {}
            }
        }
    }
    Some(Keys { id: id?, secret: secret?, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_one_profile_are_found() {
        let text = "[default]\naws_access_key_id = a\naws_secret_access_key=b=\n\n[ dev ]\n# aws_access_key_id = no\n\
                    aws_access_key_id=c\naws_secret_access_key = d\naws_session_token = t\nregion = x\n[half]\n\
                    aws_access_key_id = e\n";
        let found = |profile| parse(text, profile).map(|k| (k.id, k.secret, k.token));
        assert_eq!(found("default"), Some(("a".into(), "b=".into(), None)));
        assert_eq!(found("dev"), Some(("c".into(), "d".into(), Some("t".into()))));
        assert_eq!(found("half"), None);
        assert_eq!(found("none"), None);
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let env = |file: &str, profile: Option<&str>| {
            let (file, profile) = (dir.path().join(file).display().to_string(), profile.map(str::to_owned));
            move |name: &str| match name {
                "AWS_SHARED_CREDENTIALS_FILE" => Some(file.clone()),
                "AWS_PROFILE" => profile.clone(),
                _ => None,
            }
        };
        std::fs::write(dir.path().join("c"), "[default]\naws_access_key_id = a\naws_secret_access_key = b\n").unwrap();
        assert!(keys(&env("c", None)).unwrap().is_some_and(|k| k.id == "a"));
        assert!(keys(&env("c", Some("dev"))).is_err_and(|f| f.message.contains("dev")));
        assert!(keys(&env("missing", None)).is_err());
        let home = dir.path().display().to_string();
        assert!(keys(&move |name: &str| (name == "HOME").then(|| home.clone())).unwrap().is_none());
    }
}
