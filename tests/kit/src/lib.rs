//! Scripted peers, origins and a harness for end-to-end tests.
