//! The story of a start: command line, then file, then flags over it, then one typed configuration or a list of problems.

use std::io;

use flamestore_model::Fault;
use serde_json::Value;

use crate::config::Config;
use crate::flags::{self, Print};
use crate::key::{Key, Status, Subtree};
use crate::keys::registry;
use crate::values::Values;
use crate::yaml::{self, Content};
use crate::{expand, help, target};

/// Looks up a variable of the environment.
pub type Env = Box<dyn Fn(&str) -> Option<String>>;
/// Reads the text of a file.
pub type ReadFile = Box<dyn Fn(&str) -> io::Result<String>>;

/// What loading may look at beside the arguments.
pub struct World {
    /// A variable of the environment.
    pub env: Env,
    /// The text of a file.
    pub read_file: ReadFile,
    /// The line that `-version` prints.
    pub version: String,
}

impl World {
    /// The environment and files of this process.
    pub fn of_process(version: impl Into<String>) -> Self {
        World {
            env: Box::new(|name| std::env::var(name).ok()),
            read_file: Box::new(|path| std::fs::read_to_string(path)),
            version: version.into(),
        }
    }
}

/// What to do after loading.
#[derive(Debug)]
pub enum Start {
    Run(Box<Config>),
    /// Print this and end well.
    Print(String),
}

/// Most problems told at once.
const MAX_PROBLEMS: usize = 20;

/// Loads the configuration from the arguments after the program's name. The fault lists every problem with its place.
pub fn load(args: &[String], world: &World) -> Result<Start, Fault> {
    let (line, mut problems) = flags::parse(args);
    match line.print {
        Some(Print::Version) => return Ok(Start::Print(world.version.clone())),
        Some(Print::Help) => return Ok(Start::Print(help::help())),
        Some(Print::HelpAll) => return Ok(Start::Print(help::help_all())),
        Some(Print::Modules) => return Ok(Start::Print(target::modules())),
        None => {}
    }

    let mut gathered = Gathered::default();
    if let Some(path) = line.config_file.as_deref().filter(|p| !p.is_empty()) {
        let tree = read_file(path, line.expand_env, world)?;
        gathered.file(path, &tree, &mut problems);
    }
    let mut lists_given = Vec::new();
    for (key, text) in &line.set {
        let value = Value::from(text.as_str());
        // A list flag replaces the file's list once and then adds to it.
        let again = lists_given.contains(&key.flag);
        lists_given.push(key.flag);
        let set = if again { gathered.values.extend(key, &value) } else { gathered.values.set(key, &value) };
        match set {
            Ok(()) => gathered.note_key(key, &format!("flag -{}", key.flag)),
            Err(why) => problems.push(format!("flag -{}: {why}", key.flag)),
        }
    }
    for (subtree, flag) in &line.dropped {
        gathered.note_subtree(subtree, &format!("flag -{flag}"));
    }

    let config = match Config::from_values(gathered.values, gathered.notes) {
        Ok(config) => config,
        Err(more) => {
            problems.extend(more);
            return Err(refuse(problems));
        }
    };
    if !problems.is_empty() {
        return Err(refuse(problems));
    }
    Ok(Start::Run(Box::new(with_idle_targets(config))))
}

fn with_idle_targets(mut config: Config) -> Config {
    for idle in config.target.idle() {
        config.notes.push(format!("target {idle}: accepted, nothing to run"));
    }
    config
}

fn refuse(mut problems: Vec<String>) -> Fault {
    let more = problems.len().saturating_sub(MAX_PROBLEMS);
    problems.truncate(MAX_PROBLEMS);
    if more > 0 {
        problems.push(format!("and {more} more"));
    }
    Fault::invalid(format!("the configuration cannot be used:\n  {}", problems.join("\n  ")))
}

fn read_file(path: &str, expand_env: bool, world: &World) -> Result<Content, Fault> {
    let text = (world.read_file)(path)
        .map_err(|e| Fault::invalid(format!("cannot read the configuration file {path}: {e}")))?;
    let text = match expand_env {
        true => expand::expand(&text, &world.env).map_err(|why| Fault::invalid(format!("{path}: {why}")))?,
        false => text,
    };
    yaml::parse(&text).map_err(|why| Fault::invalid(format!("{path} is not valid YAML: {why}")))
}

/// Values and notes while they are collected.
#[derive(Default)]
struct Gathered {
    values: Values,
    notes: Vec<String>,
    noted: Vec<&'static str>,
}

impl Gathered {
    fn file(&mut self, file: &str, tree: &Content, problems: &mut Vec<String>) {
        match tree {
            Content::Scalar(Value::Null) => {}
            Content::Map(_) => self.block(file, "", tree, problems),
            _ => problems.push(format!("{file}: a configuration file is a map of keys")),
        }
    }

    /// Walks one map, whose keys stand below `prefix`.
    fn block(&mut self, file: &str, prefix: &str, content: &Content, problems: &mut Vec<String>) {
        let Content::Map(entries) = content else { return };
        for (name, node) in entries {
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            let place = format!("{path} ({file}:{})", node.line);
            if let Some(key) = registry().by_path(&path) {
                match self.values.set(key, &node.content.to_value()) {
                    Ok(()) if matches!(node.content, Content::Scalar(Value::Null)) => {}
                    Ok(()) => self.note_key(key, &place),
                    Err(why) => problems.push(format!("{place}: {why}")),
                }
            } else if registry().is_block(&path) {
                if let Some(Err(why)) =
                    registry().meant_by(&path).map(|(key, value)| self.values.set(key, &value.into()))
                {
                    problems.push(format!("{place}: {why}"));
                }
                match &node.content {
                    Content::Map(_) => self.block(file, &path, &node.content, problems),
                    Content::Scalar(Value::Null) => {}
                    _ => problems.push(format!("{place}: is a block of keys, not a value")),
                }
            } else if let Some(subtree) = registry().subtree_of_path(&path) {
                if !matches!(node.content, Content::Scalar(Value::Null)) {
                    self.note_subtree(subtree, &place);
                }
            } else {
                problems.push(match registry().nearest_path(&path) {
                    Some(near) => format!("{place}: there is no such key; did you mean {near}?"),
                    None => format!("{place}: there is no such key"),
                });
            }
        }
    }

    fn note_key(&mut self, key: &Key, place: &str) {
        match key.status {
            Status::NoEffect(why) => self.notes.push(format!("{place}: accepted, without effect: {why}")),
            Status::NotYet { why, .. } => self.notes.push(format!("{place}: accepted, not used yet: {why}")),
            Status::Active | Status::Ours | Status::Refused(_) => {}
        }
    }

    /// One note a part, however many of its keys are set.
    fn note_subtree(&mut self, subtree: &'static Subtree, place: &str) {
        let id = if subtree.path.is_empty() { subtree.flags } else { subtree.path };
        if !self.noted.contains(&id) {
            self.noted.push(id);
            self.notes.push(format!("{place}: accepted, without effect: {}", subtree.why));
        }
    }
}
