//! Our wire messages, compiled from proto/ without protoc.
