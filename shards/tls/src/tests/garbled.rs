//! Whatever comes, nothing panics, and what does come through is what was sent.

use super::peer::{Configs, Ours, Theirs, configs};

/// A sequence that looks random and is the same in each run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    /// Changes, drops, repeats or adds a few bytes.
    fn garble(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let at = self.below(bytes.len());
        match self.below(5) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes.truncate(at),
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, self.below(256) as u8),
            _ => {
                let (from, len) = (self.below(bytes.len()), self.below(40));
                let piece = bytes[from..bytes.len().min(from + len)].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

/// One connection, of which some flight of the peer's is garbled and arrives in two pieces.
fn run(configs: &Configs, is_server: bool, random: &mut Random) {
    let (mut ours, mut theirs) = match is_server {
        true => (Ours::server(configs), Theirs::client(configs)),
        false => (Ours::client(configs), Theirs::server(configs)),
    };
    let garbled_at = random.below(8);
    for flight in 0..8 {
        let mut to_us = theirs.take();
        if !theirs.connection.is_handshaking() {
            to_us.extend(theirs.write(b"what was sent"));
        }
        if flight == garbled_at {
            random.garble(&mut to_us);
        }
        let (first, rest) = to_us.split_at(random.below(to_us.len() + 1));
        let read = ours.read(first).and_then(|()| ours.read(rest));
        assert!(ours.plaintext.chunks(13).all(|chunk| b"what was sent".starts_with(chunk)));
        if let Err(error) = read {
            // It stays failed, and whatever else comes changes nothing.
            assert_eq!(ours.read(b"\x16\x03\x01\x00\x01\x00").unwrap_err().reason(), error.reason());
            return;
        }
        if theirs.read(&std::mem::take(&mut ours.outgoing)).is_err() {
            return;
        }
    }
}

#[test]
fn garbled_flights_fail_in_an_orderly_way() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for suite in [
        rustls::CipherSuite::TLS13_AES_128_GCM_SHA256,
        rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ] {
        let configs = configs(Some(suite));
        for round in 0..60 {
            run(&configs, round % 2 == 0, &mut random);
        }
    }
}
