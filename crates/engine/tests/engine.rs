//! A store as a whole, against a naive model and against crashes at every step.

#[path = "engine/budget.rs"]
mod budget;
#[path = "engine/concurrent.rs"]
mod concurrent;
#[path = "engine/crash.rs"]
mod crash;
#[path = "engine/groups.rs"]
mod groups;
#[path = "engine/model.rs"]
mod model;
#[path = "engine/results.rs"]
mod results;
#[path = "engine/support.rs"]
mod support;
