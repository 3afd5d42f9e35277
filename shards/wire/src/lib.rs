//! Protocols without sockets: heads, framing and HTTP/1 connections as plain values.
