//! What the machine says of itself where the configuration is silent: variables of the clouds' own tools.

/// Looks up a variable; empty ones count as unset. A parameter, so that tests have an environment of their own.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The variables of this process.
pub fn of_process(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
