//! Values that are written in more than one form.

use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::ServerTable;
use crate::config::spanned::Spanned;

/// An item of `servers`: an address alone, or a table.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(in crate::config) enum Server {
    /// An address or a name, with a port, or `unix:` and a path.
    Address(String),
    /// The same with a weight.
    Table(ServerTable),
}

/// A value of `add`: one text, or a list of them.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(in crate::config) enum Values {
    One(String),
    Many(Vec<Spanned<String>>),
}

/// A text, or a table that says more.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(in crate::config) enum TextOr<T> {
    Text(String),
    Table(Box<T>),
}

/// `true` or `false`, or a table that says more.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(in crate::config) enum FlagOr<T> {
    Flag(bool),
    Table(Box<T>),
}

/// A list of texts, or a table that says more.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(in crate::config) enum ListOr<T> {
    List(Vec<Spanned<String>>),
    Table(Box<T>),
}

/// A whole number and a unit of time: `250ms`, `10s`, `5m`, `1h`.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct Duration(pub(in crate::config) Quantity);

/// A whole number and a unit of size: `512B`, `16KiB`, `1MiB`, `2GiB`, `1TiB`.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct Size(pub(in crate::config) Quantity);

/// A duration or a size. Numbers without a unit are let in so that they can be refused with advice.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "invalid type, expected a string with a number and a unit")]
pub(in crate::config) enum Quantity {
    Text(String),
    Integer(i64),
    Float(f64),
}

impl<'de> Deserialize<'de> for Server {
    /// By hand, because an untagged enum would lose the places of the table's values, and what is wrong with them.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Server, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = Server;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address, or a table with `address` and `weight`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Server, E> {
                Ok(Server::Address(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Server, A::Error> {
                ServerTable::deserialize(MapAccessDeserializer::new(map)).map(Server::Table)
            }
        }
        deserializer.deserialize_any(Form)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for TextOr<T> {
    /// By hand, as [`Server`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TextOr<T>, D::Error> {
        struct Form<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Form<T> {
            type Value = TextOr<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, or a table")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<TextOr<T>, E> {
                Ok(TextOr::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TextOr<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|table| TextOr::Table(Box::new(table)))
            }
        }
        deserializer.deserialize_any(Form(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for FlagOr<T> {
    /// By hand, as [`Server`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FlagOr<T>, D::Error> {
        struct Form<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Form<T> {
            type Value = FlagOr<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`true` or `false`, or a table")
            }

            fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<FlagOr<T>, E> {
                Ok(FlagOr::Flag(flag))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FlagOr<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|table| FlagOr::Table(Box::new(table)))
            }
        }
        deserializer.deserialize_any(Form(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ListOr<T> {
    /// By hand, as [`Server`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ListOr<T>, D::Error> {
        struct Form<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Form<T> {
            type Value = ListOr<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of strings, or a table")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<ListOr<T>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(ListOr::List)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ListOr<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|table| ListOr::Table(Box::new(table)))
            }
        }
        deserializer.deserialize_any(Form(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Values {
    /// By hand, as [`Server`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Values, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, or a list of strings")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Values, E> {
                Ok(Values::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Values, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Values::Many)
            }
        }
        deserializer.deserialize_any(Form)
    }
}
