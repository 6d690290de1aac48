//! Sockets, with inherent async methods and `futures_io`'s traits.
