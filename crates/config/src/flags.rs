//! Flags as Go programs take them: one dash or two, `-a.b=v` or `-a.b v`, a bool alone, and a stray `server`.

use crate::key::{Key, Subtree};
use crate::keys::registry;

/// What the command line asks for.
#[derive(Debug, Default)]
pub(crate) struct CommandLine {
    pub config_file: Option<String>,
    pub expand_env: bool,
    pub print: Option<Print>,
    /// Keys with their texts, in order.
    pub set: Vec<(&'static Key, String)>,
    /// Flags of parts that have no effect here.
    pub dropped: Vec<(&'static Subtree, String)>,
}

/// A text to print instead of running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Print {
    Version,
    Help,
    HelpAll,
    Modules,
}

/// Ends of the names of bool flags in parts without effect, whose flags are not listed one by one.
const BOOL_ENDS: [&str; 14] = [
    "enabled",
    "-ratelimits",
    "-verify",
    "-ipv6",
    "-inet6",
    "-reads",
    "auto-join",
    "-on-restart",
    "-on-shutdown",
    "-health",
    "-metrics",
    "-allowed",
    "soft-validation",
    "-ingesters",
];

/// Reads the arguments after the program's name; every one that cannot be understood is a problem of its own.
pub(crate) fn parse(args: &[String]) -> (CommandLine, Vec<String>) {
    let (mut line, mut problems) = (CommandLine::default(), Vec::new());
    let mut args = args.iter().map(String::as_str).peekable();
    // The peer's image is started as `pyroscope server`.
    args.next_if_eq(&"server");
    while let Some(arg) = args.next() {
        let Some(flag) = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')).filter(|f| !f.is_empty()) else {
            problems.push(format!("unexpected argument {arg:?}: flags begin with a dash"));
            continue;
        };
        let (name, given) = flag.split_once('=').map_or((flag, None), |(n, v)| (n, Some(v.to_owned())));
        let is_bool = takes_no_value(name);
        let value = match given {
            Some(value) => value,
            None if is_bool => args.next_if(|a| matches!(*a, "true" | "false")).unwrap_or("true").to_owned(),
            None => match args.next_if(|a| !looks_like_a_flag(a)) {
                Some(value) => value.to_owned(),
                None => {
                    problems.push(format!("flag -{name} needs a value: -{name}=..."));
                    continue;
                }
            },
        };
        let on = || !matches!(value.as_str(), "false" | "0" | "f" | "F" | "FALSE" | "False");
        match name {
            "config.file" => line.config_file = Some(value),
            "config.expand-env" => line.expand_env = on(),
            "version" if on() => line.print = Some(Print::Version),
            "h" | "help" if on() => line.print = Some(Print::Help),
            "help-all" if on() => line.print = Some(Print::HelpAll),
            "modules" if on() => line.print = Some(Print::Modules),
            "version" | "h" | "help" | "help-all" | "modules" => {}
            _ => match (registry().by_flag(name), registry().subtree_of_flag(name)) {
                (Some(key), _) => line.set.push((key, value)),
                (None, Some(subtree)) => line.dropped.push((subtree, name.to_owned())),
                (None, None) => problems.push(match registry().nearest_flag(name) {
                    Some(near) => format!("there is no flag -{name}; did you mean -{near}?"),
                    None => format!("there is no flag -{name}: -help-all lists them"),
                }),
            },
        }
    }
    (line, problems)
}

fn takes_no_value(name: &str) -> bool {
    match name {
        "config.expand-env" | "version" | "h" | "help" | "help-all" | "modules" => true,
        _ => match registry().by_flag(name) {
            Some(key) => key.kind.is_bool(),
            None => BOOL_ENDS.iter().any(|end| name.ends_with(end)),
        },
    }
}

/// A dash and then a letter: a negative number is a value.
fn looks_like_a_flag(arg: &str) -> bool {
    arg.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c == '-' || c.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> (CommandLine, Vec<String>) {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn set(line: &CommandLine) -> Vec<String> {
        line.set.iter().map(|(k, v)| format!("{}={v}", k.path)).collect()
    }

    #[test]
    fn flags_take_one_dash_or_two_and_values_in_both_ways() {
        for args in [
            "-server.http-listen-port=1",
            "--server.http-listen-port=1",
            "-server.http-listen-port 1",
            "server --server.http-listen-port 1",
        ] {
            let (line, problems) = read(args);
            assert_eq!((set(&line), problems), (vec!["server.http_listen_port=1".to_owned()], vec![]), "{args}");
        }
    }

    #[test]
    fn bools_stand_alone_or_take_their_value_after_an_equals_sign() {
        for (args, value) in [
            ("-auth.multitenancy-enabled", "true"),
            ("-auth.multitenancy-enabled=false", "false"),
            ("-auth.multitenancy-enabled -target=all", "true"),
            ("-auth.multitenancy-enabled false", "false"),
        ] {
            let (line, problems) = read(args);
            assert_eq!(
                (set(&line)[0].as_str(), problems.len()),
                (format!("multitenancy_enabled={value}").as_str(), 0),
                "{args}"
            );
        }
    }

    #[test]
    fn parts_without_effect_take_their_flags_and_leave_the_next_one() {
        let (line, problems) =
            read("-metastore.raft.auto-join -metastore.address x:1 -consul.consistent-reads -target=all");
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!((line.dropped.len(), set(&line)), (3, vec!["target=all".to_owned()]));
    }

    #[test]
    fn what_is_not_a_flag_is_said_with_the_nearest_one() {
        for (args, says) in [
            ("-server.http-listen-prot=1", "did you mean -server.http-listen-port"),
            ("-zebra", "needs a value"),
            ("-zebra=1", "no flag -zebra"),
            ("-target", "needs a value"),
            ("stray", "unexpected argument"),
            ("-", "unexpected argument"),
        ] {
            let (_, problems) = read(args);
            assert!(problems[0].contains(says), "{args}: {problems:?}");
        }
    }
}
