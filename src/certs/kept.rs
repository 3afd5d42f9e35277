//! What was made of files while they were right, for when they are not.
//!
//! A worker goes on with it when a file is renewed badly, and hands it to its supervisor in memory, so that the worker which
//! takes its place after a fall has it as well. It holds private keys: it is never shown, and never written to a disk.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use plan::tls::{Certificate, Der, KeyForm, PrivateKey, Staple, Stapling, TicketKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What becomes of what is in files that are wrong.
#[derive(Debug, Clone, Copy)]
pub enum Keep<'k> {
    /// A certificate stays as it was. Anything else that is wrong is an error: who changes what clients are judged by, while
    /// somebody serves, can wait until it is right.
    Certificates(&'k Kept),
    /// All of it stays as it was: nobody serves, and that is what did serve.
    All(&'k Kept),
}

/// What was made of files, by their paths.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    #[serde(serialize_with = "write_certificates", deserialize_with = "read_certificates")]
    pub(super) certificates: BTreeMap<PathBuf, Arc<Certificate>>,
    #[serde(serialize_with = "write_ders", deserialize_with = "read_ders")]
    pub(super) authorities: BTreeMap<PathBuf, Vec<Arc<Der>>>,
    #[serde(serialize_with = "write_ders", deserialize_with = "read_ders")]
    pub(super) revocations: BTreeMap<PathBuf, Vec<Arc<Der>>>,
    #[serde(serialize_with = "write_keys", deserialize_with = "read_keys")]
    pub(super) ticket_keys: BTreeMap<PathBuf, TicketKey>,
}

impl Kept {
    /// The certificates that were read from files in `folder`, or right below.
    pub(super) fn below<'k>(&'k self, folder: &'k Path) -> impl Iterator<Item = &'k Path> {
        self.certificates.keys().map(PathBuf::as_path).filter(move |path| path.starts_with(folder))
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("certificates", &self.certificates.len()).finish_non_exhaustive()
    }
}

/// Bytes, as text.
#[derive(Serialize, Deserialize)]
struct Bytes(String);

impl Bytes {
    fn of(bytes: &[u8]) -> Bytes {
        Bytes(BASE64.encode(bytes))
    }

    fn read<E: serde::de::Error>(&self) -> Result<Vec<u8>, E> {
        BASE64.decode(&self.0).map_err(E::custom)
    }

    fn der<E: serde::de::Error>(&self) -> Result<Der, E> {
        Ok(Der(self.read()?.into()))
    }
}

/// A certificate on its way.
#[derive(Serialize, Deserialize)]
struct WireCertificate {
    name: String,
    chain: Vec<Bytes>,
    key_form: String,
    key: Bytes,
    #[serde(default)]
    staple: Option<(Bytes, i64, i64)>,
    not_after_unix_s: i64,
}

impl WireCertificate {
    fn of(certificate: &Certificate) -> WireCertificate {
        let Certificate { name, chain, key, stapling, not_after_unix_s } = certificate;
        let form = match key.form {
            KeyForm::Pkcs8 => "pkcs8",
            KeyForm::Pkcs1 => "pkcs1",
            KeyForm::Sec1 => "sec1",
        };
        WireCertificate {
            name: name.clone(),
            chain: chain.iter().map(|der| Bytes::of(&der.0)).collect(),
            key_form: form.to_owned(),
            key: Bytes::of(key.secret_der()),
            staple: match stapling {
                Stapling::Given(staple) => {
                    Some((Bytes::of(&staple.answer.0), staple.this_update_unix_s, staple.next_update_unix_s))
                }
                // The configuration says so again.
                Stapling::Off | Stapling::Fetched => None,
            },
            not_after_unix_s: *not_after_unix_s,
        }
    }

    fn read<E: serde::de::Error>(self) -> Result<Certificate, E> {
        let form = match self.key_form.as_str() {
            "pkcs8" => KeyForm::Pkcs8,
            "pkcs1" => KeyForm::Pkcs1,
            "sec1" => KeyForm::Sec1,
            _ => return Err(E::custom("a key of an unknown form")),
        };
        let stapling = match self.staple {
            None => Stapling::Off,
            Some((answer, this_update_unix_s, next_update_unix_s)) => {
                Stapling::Given(Staple { answer: Arc::new(answer.der()?), this_update_unix_s, next_update_unix_s })
            }
        };
        Ok(Certificate {
            name: self.name,
            chain: self.chain.iter().map(Bytes::der).collect::<Result<_, _>>()?,
            key: PrivateKey::new(form, self.key.read()?),
            stapling,
            not_after_unix_s: self.not_after_unix_s,
        })
    }
}

fn write_certificates<S: Serializer>(
    certificates: &BTreeMap<PathBuf, Arc<Certificate>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(certificates.iter().map(|(path, certificate)| (path, WireCertificate::of(certificate))))
}

fn read_certificates<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<PathBuf, Arc<Certificate>>, D::Error> {
    let wire = BTreeMap::<PathBuf, WireCertificate>::deserialize(deserializer)?;
    wire.into_iter().map(|(path, wire)| Ok((path, Arc::new(wire.read()?)))).collect()
}

fn write_ders<S: Serializer>(all: &BTreeMap<PathBuf, Vec<Arc<Der>>>, serializer: S) -> Result<S::Ok, S::Error> {
    let bytes = |ders: &Vec<Arc<Der>>| ders.iter().map(|der| Bytes::of(&der.0)).collect::<Vec<_>>();
    serializer.collect_map(all.iter().map(|(path, ders)| (path, bytes(ders))))
}

fn read_ders<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<PathBuf, Vec<Arc<Der>>>, D::Error> {
    let wire = BTreeMap::<PathBuf, Vec<Bytes>>::deserialize(deserializer)?;
    let ders = |bytes: Vec<Bytes>| bytes.iter().map(|bytes| bytes.der().map(Arc::new)).collect::<Result<_, _>>();
    wire.into_iter().map(|(path, bytes)| Ok((path, ders(bytes)?))).collect()
}

fn write_keys<S: Serializer>(keys: &BTreeMap<PathBuf, TicketKey>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(keys.iter().map(|(path, key)| (path, Bytes::of(&key.0))))
}

fn read_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<PathBuf, TicketKey>, D::Error> {
    let wire = BTreeMap::<PathBuf, Bytes>::deserialize(deserializer)?;
    let key = |bytes: Bytes| {
        let key = bytes.read()?.try_into();
        key.map(TicketKey).map_err(|_| serde::de::Error::custom("a ticket key of another length"))
    };
    wire.into_iter().map(|(path, bytes)| Ok((path, key(bytes)?))).collect()
}
