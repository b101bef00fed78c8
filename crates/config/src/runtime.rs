//! Runtime files: `overrides:` by tenant, read at the start and again while running. A bad file changes nothing.

mod place;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flamestore_limits::{Limits, Overrides};
use flamestore_model::{Fault, TenantId};
use serde_json::{Map, Value};
use xxhash_rust::xxh64::Xxh64;

use crate::dump::to_yaml;
use crate::runtime::place::Place;
use crate::yaml::{self, Content, Node};

/// What one look at the files found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    Unchanged,
    /// New overrides are in force; the hash of the texts tells versions apart.
    Replaced {
        hash: u64,
    },
}

/// The runtime files of a process and the overrides they feed.
#[derive(Debug)]
pub struct RuntimeFiles {
    places: Vec<Place>,
    overrides: Arc<Overrides>,
    hash: Option<u64>,
}

impl RuntimeFiles {
    /// What begins with `http://` or `https://` is asked for there, each time for `max_wait` at most.
    pub fn new(paths: Vec<PathBuf>, max_wait: Duration, overrides: Arc<Overrides>) -> Self {
        let places = paths.into_iter().map(|path| Place::of(path, max_wait)).collect();
        RuntimeFiles { places, overrides, hash: None }
    }

    /// Whether there is anything to read.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Reads the files and, when they changed and are all good, puts their overrides in force. Blocks on the disk and
    /// on servers.
    ///
    /// On a fault what was in force stays; it is tried again next time, so that the fault stays visible.
    pub fn reload(&mut self) -> Result<Reload, Fault> {
        let mut hasher = Xxh64::new(0);
        let mut texts = Vec::new();
        for place in &self.places {
            let text = place.read()?;
            hasher.update(text.as_bytes());
            hasher.update(&[0]);
            texts.push((place.to_string(), text));
        }
        let hash = hasher.digest();
        if self.hash == Some(hash) {
            return Ok(Reload::Unchanged);
        }
        let tenants = parse(&texts, self.overrides.defaults())?;
        self.overrides.replace(tenants);
        self.hash = Some(hash);
        Ok(Reload::Replaced { hash })
    }
}

/// The limits of each tenant named in the texts, each `(file name, text)`, merged from left to right.
pub fn parse(texts: &[(String, String)], defaults: &Limits) -> Result<BTreeMap<TenantId, Limits>, Fault> {
    let mut tenants = BTreeMap::new();
    for (file, text) in texts {
        let tree = yaml::parse(text).map_err(|why| Fault::invalid(format!("{file} is not valid YAML: {why}")))?;
        for (key, node) in entries(&tree, file)? {
            if key != "overrides" {
                return Err(Fault::invalid(format!(
                    "{file}:{}: there is no {key:?} in a runtime file, only overrides",
                    node.line
                )));
            }
            for (name, limits) in entries(&node.content, file)? {
                let tenant =
                    TenantId::parse(name).map_err(|e| Fault::invalid(format!("{file}:{}: {e}", limits.line)))?;
                let own = tenants.entry(tenant).or_insert_with(|| defaults.clone());
                for (limit, value) in entries(&limits.content, file)? {
                    own.set(limit, &value.content.to_value())
                        .map_err(|e| Fault::invalid(format!("{file}:{}: tenant {name}: {e}", value.line)))?;
                }
            }
        }
    }
    Ok(tenants)
}

fn entries<'a>(content: &'a Content, file: &str) -> Result<&'a [(String, Node)], Fault> {
    match content {
        Content::Map(entries) => Ok(entries),
        Content::Scalar(Value::Null) => Ok(&[]),
        _ => {
            Err(Fault::invalid(format!("{file}: a runtime file is `overrides:` with a map of limits for each tenant")))
        }
    }
}

/// The overrides in force as YAML, with all limits of each tenant or only what differs: `/runtime_config?mode=diff`.
pub fn to_page(overrides: &Overrides, only_differing: bool) -> String {
    let mut tenants = Map::new();
    for (tenant, limits) in overrides.tenants() {
        let shown = match only_differing {
            true => limits.differing(overrides.defaults()).into_iter().map(|(n, v)| (n.to_owned(), v)).collect(),
            false => serde_json::to_value(&*limits).unwrap_or_default(),
        };
        tenants.insert(tenant.as_str().to_owned(), shown);
    }
    to_yaml(&Value::Object(Map::from_iter([("overrides".to_owned(), Value::Object(tenants))])))
}
