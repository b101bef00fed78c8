//! Which bucket: the server's own flags and file, under the server's own names.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};
use flamestore_config::config::Backend;
use flamestore_config::key::{Key, Kind};
use flamestore_config::keys::registry;
use flamestore_config::{Start, World, load};
use flamestore_model::TenantId;

use crate::blocks::store::{Store, of_fault};
use crate::failure::{Exit, Failure};

const CONFIG_FILE: &str = "config.file";
const EXPAND_ENV: &str = "config.expand-env";
const HEADING: &str = "Which bucket (global to blocks)";

/// The flags that were given, as the server takes them.
#[derive(Debug, Default)]
pub(crate) struct StorageArgs {
    flags: Vec<String>,
}

impl StorageArgs {
    pub(crate) fn is_given(&self) -> bool {
        !self.flags.is_empty()
    }

    /// Opens the bucket for the named tenants (`a|b`), or for all.
    pub(crate) fn open(&self, tenants: Option<&str>) -> Result<Store, Failure> {
        if !self.is_given() {
            return Err(Failure::usage(
                "say which bucket: --config.file=FILE with the server's configuration, or its flags, such as \
                 --storage.filesystem.dir=DIR or --storage.backend=s3 --storage.s3.bucket-name=NAME",
            ));
        }
        let tenants = tenants.map(TenantId::parse_many).transpose().map_err(|e| Failure::usage(e).at("--tenant"))?;
        let config = match load(&self.flags, &World::of_process("")).map_err(|e| Failure::usage(e.message))? {
            Start::Run(config) => config,
            Start::Print(_) => return Err(Failure::usage("the storage flags ask for no bucket")),
        };
        // Opening would make the folder; a wrong name is then no bucket without blocks.
        let dir = &config.storage.filesystem_dir;
        if config.storage.backend == Backend::Filesystem && !dir.is_dir() {
            let dir = dir.display();
            return Err(Failure::new(
                Exit::File,
                format!("{dir}: there is no such folder: set --storage.filesystem.dir"),
            ));
        }
        let bucket = flamestore_storage::open(&config).map_err(|e| of_fault(&e))?;
        Store::new(bucket, tenants)
    }
}

/// The keys that name a bucket.
fn keys() -> impl Iterator<Item = &'static Key> {
    registry()
        .keys
        .iter()
        .filter(|key| key.path.starts_with("storage.") && !key.flag.is_empty() && key.status.holds_a_value())
}

fn argument(key: &'static Key) -> Arg {
    let help = match key.default {
        "" => key.doc.to_owned(),
        default => format!("{} The server's default: {default}.", key.doc),
    };
    let arg = Arg::new(key.flag).long(key.flag).help(help).global(true).help_heading(HEADING);
    match key.kind {
        Kind::Bool => arg
            .value_name("BOOL")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_parser(PossibleValuesParser::new(["true", "false"])),
        Kind::OneOf(words) => arg.value_name("WORD").value_parser(PossibleValuesParser::new(words)),
        Kind::Int => arg.value_name("NUMBER"),
        Kind::Secret => arg.value_name("SECRET"),
        _ => arg.value_name("TEXT"),
    }
}

impl Args for StorageArgs {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new(CONFIG_FILE).long(CONFIG_FILE).value_name("FILE").help(
            "The server's configuration file; flags stand over it. Secrets are better given by it than by flags, which \
             other users see",
        );
        let expand = Arg::new(EXPAND_ENV)
            .long(EXPAND_ENV)
            .action(ArgAction::SetTrue)
            .help("Put variables of the environment, ${NAME}, into the configuration file");
        command
            .arg(file.global(true).help_heading(HEADING))
            .arg(expand.global(true).help_heading(HEADING))
            .args(keys().map(argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for StorageArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Vec::new();
        let mut add = |name: &str| {
            if let Some(value) = matches.get_one::<String>(name) {
                flags.push(format!("-{name}={value}"));
            }
        };
        add(CONFIG_FILE);
        keys().for_each(|key| add(key.flag));
        if matches.get_flag(EXPAND_ENV) {
            flags.push(format!("-{EXPAND_ENV}=true"));
        }
        Ok(StorageArgs { flags })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command as Words};

    fn flags(line: &str) -> Vec<String> {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap_or_else(|e| panic!("{e}"));
        match cli.command {
            Words::Blocks(blocks) => blocks.storage.flags,
            _ => panic!("{line}"),
        }
    }

    #[test]
    fn the_flags_are_the_servers_before_and_behind_the_command() {
        let wanted = ["-storage.backend=s3", "-storage.s3.bucket-name=b", "-storage.s3.insecure=true"];
        assert_eq!(
            flags("flamectl blocks --storage.backend=s3 --storage.s3.bucket-name b --storage.s3.insecure list"),
            wanted
        );
        assert_eq!(
            flags("flamectl blocks list --storage.backend s3 --storage.s3.insecure=true --storage.s3.bucket-name=b"),
            wanted
        );
        assert_eq!(flags("flamectl blocks list"), Vec::<String>::new());
        assert!(Cli::try_parse_from(["flamectl", "blocks", "list", "--storage.backend=tape"]).is_err());
    }

    #[test]
    fn a_folder_that_is_not_there_is_not_made() {
        let args = StorageArgs { flags: vec!["-storage.filesystem.dir=/no/such/folder".into()] };
        assert_eq!(args.open(None).err().map(|f| f.exit), Some(Exit::File));
        assert_eq!(StorageArgs::default().open(None).err().map(|f| f.exit), Some(Exit::Usage));
        let unknown = StorageArgs { flags: vec!["-config.file=/no/such/file".into()] };
        assert!(unknown.open(None).err().is_some_and(|f| f.message.contains("/no/such/file")));
    }
}
