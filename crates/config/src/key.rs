//! One key of the configuration: where it stands in YAML, its flag, its kind, its default and what it does here.

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int,
    /// A TCP port, 0 to 65535; 0 lets the system choose.
    Port,
    Float,
    Text,
    /// A text that dumps never show.
    Secret,
    Duration,
    /// Texts; one text with commas, a YAML list, or the flag given several times.
    List,
    OneOf(&'static [&'static str]),
    /// A limit: its kind is in the table of `flamestore-limits`.
    Limit(flamestore_limits::LimitKind),
    /// Anything, unread.
    Any,
}

/// Whether a key does something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The peer's key, with the peer's meaning.
    Active,
    /// A key of Flamestore only.
    Ours,
    /// The peer's key, accepted and without effect, for this reason.
    NoEffect(&'static str),
    /// The peer's key, and ignoring it would be unsafe: any value but the default stops the start, for this reason.
    Refused(&'static str),
    /// Read, checked and shown like any other, while the part that would use it is not built, for this reason.
    NotYet {
        why: &'static str,
        /// Whether it is a key of Flamestore only.
        ours: bool,
    },
}

impl Status {
    /// Whether the key holds a value, used or not used yet.
    pub fn holds_a_value(self) -> bool {
        matches!(self, Status::Active | Status::Ours | Status::NotYet { .. })
    }

    /// Whether the peer has no such key.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Status::Ours | Status::NotYet { ours: true, .. })
    }

    /// The same key while the part that would use it is not built.
    pub(crate) fn not_yet(self, why: &'static str) -> Self {
        Status::NotYet { why, ours: self.is_ours() }
    }
}

/// A key. `path` and `flag` are its two names; either may be missing (empty).
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub path: &'static str,
    pub flag: &'static str,
    pub kind: Kind,
    pub default: &'static str,
    pub doc: &'static str,
    pub status: Status,
    /// Other YAML paths of the same key.
    pub aliases: &'static [&'static str],
}

impl Key {
    pub(crate) const fn active(
        path: &'static str,
        flag: &'static str,
        kind: Kind,
        default: &'static str,
        doc: &'static str,
    ) -> Key {
        Key { path, flag, kind, default, doc, status: Status::Active, aliases: &[] }
    }

    pub(crate) const fn ours(
        path: &'static str,
        flag: &'static str,
        kind: Kind,
        default: &'static str,
        doc: &'static str,
    ) -> Key {
        Key { status: Status::Ours, ..Key::active(path, flag, kind, default, doc) }
    }

    pub(crate) const fn no_effect(path: &'static str, flag: &'static str, kind: Kind, why: &'static str) -> Key {
        Key { status: Status::NoEffect(why), ..Key::active(path, flag, kind, "", "") }
    }

    pub(crate) const fn refused(path: &'static str, flag: &'static str, kind: Kind, why: &'static str) -> Key {
        Key { status: Status::Refused(why), ..Key::active(path, flag, kind, "", "") }
    }

    pub(crate) const fn also(mut self, aliases: &'static [&'static str]) -> Key {
        self.aliases = aliases;
        self
    }

    /// The first part of the path, or the whole of it.
    pub fn block(&self) -> &'static str {
        self.path.split('.').next().unwrap_or("")
    }
}

/// A whole part of the peer's configuration for which there is nothing to configure here: all below it is accepted.
#[derive(Debug, Clone, Copy)]
pub struct Subtree {
    /// YAML path of the map, empty when it only has flags.
    pub path: &'static str,
    /// What its flags begin with, empty when it has none.
    pub flags: &'static str,
    pub why: &'static str,
}

impl Subtree {
    pub(crate) const fn new(path: &'static str, flags: &'static str, why: &'static str) -> Subtree {
        Subtree { path, flags, why }
    }

    /// Whether a YAML path lies in it.
    pub(crate) fn holds_path(&self, path: &str) -> bool {
        let below = path.strip_prefix(self.path);
        !self.path.is_empty() && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    pub(crate) fn holds_flag(&self, flag: &str) -> bool {
        !self.flags.is_empty() && flag.starts_with(self.flags)
    }
}
