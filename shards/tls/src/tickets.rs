//! Tickets: sessions that the client keeps for us, sealed.
//!
//! One set of keys serves all shards and all policies; from each key, each policy derives its own (HMAC-SHA256 over what the
//! policy says), so that a ticket that was given under one opens under no other (CVE-2025-23419): not at another client
//! authentication, not with another list of revocations, not with other cipher suites. That the host's name is the same
//! is rustls's matter, which seals the name into the ticket. The keys of a file lead to the same tickets on every
//! machine that has the same policy.
//!
//! A ticket is the key's name (16 bytes), a nonce (12), and the session sealed by AES-256-GCM-SIV (RFC 8452). GCM-SIV because
//! nonces are random: a busy machine makes more tickets in a period than the 2^32 that are safe under one key of GCM.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hmac, rand};
use plan::tls::TicketKey;
use rustls::server::ProducesTickets;

/// Bytes of a key's name.
const NAME_LEN: usize = 16;
/// Keys that tickets are accepted of, the first included.
const KEYS_MAX: usize = 16;

/// The keys that tickets are made with, in one period. The next period has its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketKeys {
    /// The first makes tickets, all open them. At least one.
    keys: Vec<TicketKey>,
}

impl TicketKeys {
    /// A key drawn at random, for one process.
    ///
    /// # Panics
    /// If the system has no randomness to give.
    #[must_use]
    pub fn random() -> TicketKeys {
        TicketKeys { keys: vec![drawn()] }
    }

    /// Those that were given: the first makes tickets, all open them, up to 16. `None` if there are none.
    #[must_use]
    pub fn given(keys: &[TicketKey]) -> Option<TicketKeys> {
        let keys: Vec<TicketKey> = keys.iter().take(KEYS_MAX).cloned().collect();
        (!keys.is_empty()).then_some(TicketKeys { keys })
    }

    /// The keys of the next period: a new one makes tickets, and those of this period are accepted until its end.
    ///
    /// # Panics
    /// If the system has no randomness to give.
    #[must_use]
    pub fn rotated(&self) -> TicketKeys {
        TicketKeys { keys: [drawn()].into_iter().chain(self.keys.first().cloned()).collect() }
    }

    /// The keys, for who passes them on to the next generation of this process.
    #[must_use]
    pub fn secret_keys(&self) -> &[TicketKey] {
        &self.keys
    }
}

/// The key that a secret of any length stands for.
#[must_use]
pub fn key_of(secret: &[u8]) -> TicketKey {
    let mut key = TicketKey([0; 32]);
    key.0.copy_from_slice(digest::digest(&digest::SHA256, secret).as_ref());
    key
}

fn drawn() -> TicketKey {
    let mut key = TicketKey([0; 32]);
    rand::fill(&mut key.0).expect("the system has randomness");
    key
}

/// Seals the sessions of one policy.
pub(crate) struct Ticketer {
    /// Of which the first seals.
    seals: Vec<Seal>,
    lifetime_s: u32,
}

struct Seal {
    name: [u8; NAME_LEN],
    key: LessSafeKey,
}

impl Ticketer {
    /// For sessions under the policy that `binding` is made of. Tickets are good for `lifetime_s`.
    pub(crate) fn new(keys: &TicketKeys, binding: &[u8], lifetime_s: u32) -> Arc<Ticketer> {
        let seals = keys.keys.iter().map(|key| Seal::new(key, binding)).collect();
        Arc::new(Ticketer { seals, lifetime_s })
    }
}

impl Seal {
    fn new(key: &TicketKey, binding: &[u8]) -> Seal {
        let master = hmac::Key::new(hmac::HMAC_SHA256, &key.0);
        let derived = |purpose: &[u8]| {
            let mut context = hmac::Context::with_key(&master);
            context.update(purpose);
            context.update(&[0]);
            context.update(binding);
            context.sign()
        };
        let mut name = [0; NAME_LEN];
        name.copy_from_slice(&derived(b"ringway ticket name").as_ref()[..NAME_LEN]);
        let key = UnboundKey::new(&AES_256_GCM_SIV, derived(b"ringway ticket key").as_ref());
        Seal { name, key: LessSafeKey::new(key.expect("an HMAC-SHA256 has the 32 bytes of the key")) }
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.lifetime_s
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let seal = self.seals.first()?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(NAME_LEN + NONCE_LEN + plain.len() + AES_256_GCM_SIV.tag_len());
        ticket.extend_from_slice(&seal.name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(plain);
        let (_, sealed) = ticket.split_at_mut(NAME_LEN + NONCE_LEN);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = seal.key.seal_in_place_separate_tag(nonce, Aad::from(seal.name), sealed).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME_LEN>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        // Names are no secrets: they stand in every ticket.
        let seal = self.seals.iter().find(|seal| seal.name == *name)?;
        let mut plain = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = seal.key.open_in_place(nonce, Aad::from(seal.name), &mut plain).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

impl fmt::Debug for Ticketer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticketer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_opens_with_the_keys_of_its_period_and_the_next() {
        let keys = TicketKeys::random();
        let ticketer = |keys: &TicketKeys| Ticketer::new(keys, b"policy", 60);
        let ticket = ticketer(&keys).encrypt(b"a session").unwrap();
        assert_eq!(ticketer(&keys).decrypt(&ticket).unwrap(), b"a session");
        let next = keys.rotated();
        assert_eq!(ticketer(&next).decrypt(&ticket).unwrap(), b"a session");
        assert_eq!(ticketer(&next.rotated()).decrypt(&ticket), None, "a period later it is forgotten");
        let other = ticketer(&next).encrypt(b"a session").unwrap();
        assert_eq!(ticketer(&keys).decrypt(&other), None);
    }

    #[test]
    fn a_ticket_of_one_policy_opens_under_no_other() {
        let keys = TicketKeys::random();
        let ticket = Ticketer::new(&keys, b"anybody", 60).encrypt(b"a session").unwrap();
        assert_eq!(Ticketer::new(&keys, b"certified clients", 60).decrypt(&ticket), None);
    }

    #[test]
    fn the_same_key_makes_machines_understand_each_other() {
        let key = TicketKey([7; 32]);
        let (one, other) =
            (TicketKeys::given(std::slice::from_ref(&key)), TicketKeys::given(&[TicketKey([8; 32]), key]));
        let ticket = Ticketer::new(&one.unwrap(), b"policy", 60).encrypt(b"a session").unwrap();
        assert_eq!(Ticketer::new(&other.unwrap(), b"policy", 60).decrypt(&ticket).unwrap(), b"a session");
    }

    #[test]
    fn what_was_changed_or_cut_off_does_not_open() {
        let ticketer = Ticketer::new(&TicketKeys::random(), b"policy", 60);
        let ticket = ticketer.encrypt(b"a session").unwrap();
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(ticketer.decrypt(&changed), None, "byte {at}");
            assert_eq!(ticketer.decrypt(&ticket[..at]), None, "{at} bytes");
        }
    }
}
