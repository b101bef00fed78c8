//! Real clients against the real server.

mod sdk;
