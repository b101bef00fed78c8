//! One port, every protocol: Connect, gRPC, gRPC-web and plain HTTP; tenants and errors.
