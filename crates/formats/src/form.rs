//! pprof uploads: raw in the body, or in a form beside a `sample_type_config`.

use std::collections::HashMap;

use bytes::Bytes;
use flamestore_model::Fault;
use flamestore_pprof::{Profile, Spy};
use serde::Deserialize;

use crate::arrival::Arrival;
use crate::ingest::Upload;
use crate::ingested::{Ingested, RawProfile};
use crate::multipart::Part;

/// What the client says of one sample type. Only its name for display changes what is stored.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct TypeConfig {
    #[serde(rename = "display-name", default)]
    display_name: Option<String>,
}

type TypeConfigs = HashMap<String, TypeConfig>;

/// Reads the parts `profile` and `sample_type_config` of a form; a form without a profile is an empty success.
pub(crate) fn read_form(upload: &Upload<'_>, parts: &[Part], out: &mut Ingested) -> Result<(), Fault> {
    let mut profile = None;
    let mut configs = None;
    for part in parts {
        match part.name.as_str() {
            "profile" => profile = Some(&part.body),
            "sample_type_config" => {
                let parsed = serde_json::from_slice(&part.body).map_err(|e| {
                    Fault::unprocessable(format!("the form part sample_type_config is not the JSON it should be: {e}"))
                })?;
                configs = Some(parsed);
            }
            "prev_profile" => {
                return Err(Fault::unprocessable(
                    "the form has a part prev_profile: cumulative profiles are not taken, because the server cannot \
                     know what lies between them; upgrade the client to one that sends differences",
                ));
            }
            _ => {
                out.notes.parts_ignored += 1;
                continue;
            }
        }
        out.notes.parts_without_filename += u64::from(!part.has_filename);
    }
    match profile {
        Some(profile) => read(upload, profile, configs, out),
        None => Ok(()),
    }
}

/// Reads one pprof, gzip or plain; no bytes at all are an empty success.
pub(crate) fn read(
    upload: &Upload<'_>,
    pprof: &Bytes,
    configs: Option<TypeConfigs>,
    out: &mut Ingested,
) -> Result<(), Fault> {
    if pprof.is_empty() {
        return Ok(());
    }
    let profile = flamestore_pprof::decode(pprof, upload.caps.max_profile_bytes).map_err(|fault| fault.at("pprof"))?;
    let spy = spy(upload.spy_name, configs.as_ref());
    let name = profile_name(&profile, configs.as_ref(), spy);
    let mut labels = upload.labels(&name);
    // Unlike in the other formats, the whole name is the service, and it is lost where the labels name another.
    if upload.name.label(crate::ingest::SERVICE_NAME).is_none() {
        labels.push((crate::ingest::SERVICE_NAME.to_owned(), upload.name.app.clone()));
    }
    out.profiles.push(RawProfile {
        labels: labels.into(),
        pprof: pprof.clone(),
        spy,
        arrival: Arrival::Ingest { from_nanos: upload.from_nanos },
        decoded: Some(Box::new(profile)),
    });
    Ok(())
}

fn spy(name: &str, configs: Option<&TypeConfigs>) -> Spy {
    match name {
        "pyspy" => Spy::Pyspy,
        "rbspy" => Spy::Rbspy,
        "scripting" => Spy::Scripting,
        "dotnetspy" => Spy::Dotnet,
        "" | "unknown" if configs.is_some_and(|c| c.contains_key("inuse-space")) => Spy::Dotnet,
        _ => Spy::Other,
    }
}

/// `__name__`, from what the sample types are called on display.
fn profile_name(profile: &Profile, configs: Option<&TypeConfigs>, spy: Spy) -> String {
    let shown: Vec<String> = profile
        .sample_types
        .iter()
        .map(|t| {
            let stored = profile.str(t.kind);
            let mended = if spy == Spy::Dotnet { stored.replace('-', "_") } else { stored.to_owned() };
            match configs {
                Some(configs) => configs
                    .get(stored)
                    .or_else(|| configs.get(&mended))
                    .and_then(|c| c.display_name.clone())
                    .filter(|name| !name.is_empty())
                    .unwrap_or(mended),
                None => usual_display_name(&mended).to_owned(),
            }
        })
        .collect();
    if shown.iter().any(|t| t == "wall") {
        return "wall".to_owned();
    }
    let first = shown.iter().find_map(|t| {
        Some(match t.as_str() {
            t if t.contains("cpu") => "process_cpu",
            "space" | "objects" => "memory",
            t if t.contains("alloc_") || t.contains("inuse_") => "memory",
            t if t.contains("mutex_") => "mutex",
            t if t.contains("block_") => "block",
            "goroutines" => "goroutines",
            _ => return None,
        })
    });
    match first {
        Some(name) => name.to_owned(),
        None => shown.into_iter().next_back().unwrap_or_default(),
    }
}

/// What the types of Go's own profiles are called when the client says nothing.
fn usual_display_name(sample_type: &str) -> &str {
    match sample_type {
        "samples" => "cpu",
        "goroutine" => "goroutines",
        "contentions" => "mutex_count",
        "delay" => "mutex_duration",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use flamestore_pprof::{StrRef, ValueType};

    use super::*;

    fn of_types(types: &[&str]) -> Profile {
        let mut profile = Profile::default();
        for t in types {
            let kind = StrRef { offset: profile.text.len() as u32, len: t.len() as u32 };
            profile.text.extend(t.bytes());
            profile.sample_types.push(ValueType { kind, unit: StrRef::default() });
        }
        profile
    }

    #[test]
    fn the_name_follows_from_the_sample_types() {
        for (types, name) in [
            (&["samples", "cpu"][..], "process_cpu"),
            (&["samples"], "process_cpu"),
            (&["samples", "wall"], "wall"),
            (&["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"], "memory"),
            (&["objects", "space"], "memory"),
            (&["contentions", "delay"], "mutex"),
            (&["goroutine"], "goroutines"),
            (&["exception"], "exception"),
            (&["goroutine_leak"], "goroutine_leak"),
            (&[], ""),
        ] {
            assert_eq!(profile_name(&of_types(types), None, Spy::Other), name, "{types:?}");
        }
    }

    #[test]
    fn a_config_names_the_types_instead() {
        let configs: TypeConfigs = serde_json::from_str(
            r#"{"contentions": {"display-name": "block_count", "units": "lock_samples"},
                "delay": {"display-name": "block_duration"}, "goroutine": {"display-name": null}}"#,
        )
        .unwrap();
        assert_eq!(profile_name(&of_types(&["contentions", "delay"]), Some(&configs), Spy::Other), "block");
        assert_eq!(profile_name(&of_types(&["goroutine"]), Some(&configs), Spy::Other), "goroutine");
    }

    #[test]
    fn dotnet_names_are_mended_before_they_are_judged() {
        let configs: TypeConfigs = serde_json::from_str(r#"{"inuse-space": {}}"#).unwrap();
        let dotnet = spy("unknown", Some(&configs));
        assert_eq!(dotnet, Spy::Dotnet);
        assert_eq!(profile_name(&of_types(&["inuse-space"]), Some(&configs), dotnet), "memory");
        assert_eq!(spy("gospy", Some(&configs)), Spy::Other);
    }
}
