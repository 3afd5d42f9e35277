//! Properties of HPACK over generated connections: what is encoded is decoded, whatever the tables' sizes become in between.

use std::ops::ControlFlow;

use proptest::prelude::*;
use wire::FieldName;
use wire::hpack::{Decoder, Encoder, HeaderField, HpackError, Name, Pseudo};

use crate::hpack::decode_all;

/// What happens on one direction of a connection.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A block of these fields; the last tells whether the field may be indexed.
    Block(Vec<(Named, Vec<u8>, bool)>),
    /// The receiver's SETTINGS_HEADER_TABLE_SIZE.
    Resize(u32),
}

#[derive(Debug, Clone)]
pub(crate) enum Named {
    Pseudo(Pseudo),
    Known(FieldName),
    Other(String),
}

impl Named {
    pub(crate) fn name(&self) -> &str {
        match self {
            Named::Pseudo(pseudo) => pseudo.as_str(),
            Named::Known(name) => name.as_lower_str(),
            Named::Other(name) => name,
        }
    }
}

pub(crate) fn encode(encoder: &mut Encoder, fields: &[(Named, Vec<u8>, bool)]) -> Vec<u8> {
    let mut block = Vec::new();
    encoder.begin(&mut block);
    for (name, value, secret) in fields {
        match name {
            Named::Pseudo(pseudo) => encoder.pseudo(*pseudo, value, &mut block),
            Named::Known(name) => encoder.field(*name, value, *secret, &mut block),
            Named::Other(name) => encoder.field_named(name.as_bytes(), value, *secret, &mut block),
        }
    }
    block
}

fn named() -> impl Strategy<Value = Named> {
    use Pseudo::{Authority, Method, Path, Protocol, Scheme, Status};
    prop_oneof![
        prop::sample::select(&[Authority, Method, Path, Protocol, Scheme, Status][..]).prop_map(Named::Pseudo),
        prop::sample::select(FieldName::KNOWN).prop_map(Named::Known),
        "x-[a-z0-9!#$%&'*+.^_`|~-]{1,40}".prop_map(Named::Other),
        prop::sample::select(&["x-a", "x-b", "x-c", "refresh", "from"][..])
            .prop_map(|name| Named::Other(name.to_owned())),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        // Few, so that they repeat.
        8 => prop::sample::select(&["", "a", "GET", "200", "/", "http", "gzip, deflate", "a value"][..])
            .prop_map(|value| value.as_bytes().to_vec()),
        8 => "[ -~]{0,60}".prop_map(String::into_bytes),
        4 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (0usize..6000).prop_map(|len| vec![b'v'; len]),
    ]
}

/// A connection.
pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let secret = prop::bool::weighted(0.1);
    let block = prop::collection::vec((named(), value(), secret), 0..12).prop_map(Step::Block);
    let resize = prop_oneof![Just(0), Just(4096), 0u32..300, 0u32..9000].prop_map(Step::Resize);
    prop::collection::vec(prop_oneof![4 => block, 1 => resize], 1..15)
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(steps in steps(), bytes_max in prop_oneof![Just(4096u32), 0u32..8192]) {
        let mut encoder = Encoder::new(bytes_max);
        let mut decoder = Decoder::new(4096);
        for step in steps {
            match step {
                Step::Resize(bytes) => {
                    encoder.set_table_bytes_max(bytes);
                    decoder.set_table_bytes_max(bytes);
                }
                // Twice, so that what is added is also used.
                Step::Block(fields) => for _ in 0..2 {
                    let block = encode(&mut encoder, &fields);
                    let mut at = 0;
                    let mut sink = |field: HeaderField<'_>| {
                        let (name, value, secret) = &fields[at];
                        assert_eq!((field.name, field.value), (name.name().as_bytes(), &value[..]));
                        assert_eq!(field.key, Name::of(name.name().as_bytes()));
                        assert!(!secret || field.never_indexed || matches!(name, Named::Pseudo(_)));
                        at += 1;
                        ControlFlow::Continue(())
                    };
                    prop_assert_eq!(decoder.decode(&block, &mut sink), Ok(()));
                    prop_assert_eq!(at, fields.len());
                },
            }
        }
    }

    /// What any bytes decode to is encoded and decoded again to the same.
    #[test]
    fn what_is_decoded_can_be_encoded(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..8)) {
        let mut decoder = Decoder::new(4096);
        let mut encoder = Encoder::new(4096);
        let mut second = Decoder::new(4096);
        for block in blocks {
            let mut again = Vec::new();
            encoder.begin(&mut again);
            let mut expected = Vec::new();
            let decoded = decoder.decode(&block, &mut |field: HeaderField<'_>| {
                match field.key {
                    Name::Pseudo(pseudo) => encoder.pseudo(pseudo, field.value, &mut again),
                    Name::Field(FieldName::Other) => encoder.field_named(field.name, field.value, field.never_indexed, &mut again),
                    Name::Field(name) => encoder.field(name, field.value, field.never_indexed, &mut again),
                    Name::Invalid => return ControlFlow::Continue(()),
                }
                expected.push((field.name.to_vec(), field.value.to_vec()));
                ControlFlow::Continue(())
            });
            let text = |bytes: &[u8]| bytes.iter().map(|&byte| char::from(byte)).collect::<String>();
            let expected: Vec<_> = expected.iter().map(|(name, value)| (text(name), text(value))).collect();
            prop_assert_eq!(decode_all(&mut second, &again), Ok(expected));
            if decoded.is_err() {
                prop_assert_ne!(decoded, Err(HpackError::Abandoned));
                break;
            }
        }
    }
}
