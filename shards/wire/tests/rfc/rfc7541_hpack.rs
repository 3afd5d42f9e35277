//! RFC 7541: what a decoder accepts and refuses, and what an encoder does.

use std::ops::ControlFlow;

use wire::FieldName;
use wire::hpack::{Decoder, Encoder, HeaderField, HpackError, Pseudo, Spelling};

use crate::hpack::{added, decode_all, indexed, integer, literal, never_indexed, probe, size_update};

#[track_caller]
fn refuse(block: &[u8], error: HpackError) {
    assert_eq!(decode_all(&mut Decoder::new(4096), block), Err(error), "{}", block.escape_ascii());
}

#[test]
fn s2_3_3_an_index_is_in_one_of_the_tables() {
    refuse(&[0x80], HpackError::Index { index: 0 });
    refuse(&indexed(62), HpackError::Index { index: 62 });
    refuse(&[indexed(2), added("a", "b"), indexed(63)].concat(), HpackError::Index { index: 63 });
    // As the name of a literal too, in each form.
    for (prefix_bits, pattern) in [(6, 0x40), (4, 0), (4, 0x10)] {
        refuse(&[integer(62, prefix_bits, pattern), vec![0]].concat(), HpackError::Index { index: 62 });
    }
    let mut decoder = Decoder::new(4096);
    let fields = decode_all(&mut decoder, &[added("a", "b"), indexed(62), indexed(61)].concat()).unwrap();
    assert_eq!(fields[1], ("a".to_owned(), "b".to_owned()));
    assert_eq!(fields[2], ("www-authenticate".to_owned(), String::new()));
}

#[test]
fn s4_2_the_size_is_changed_at_the_beginning_and_within_the_limit() {
    refuse(&size_update(4097), HpackError::TableSize { bytes: 4097 });
    refuse(&[indexed(2), size_update(10)].concat(), HpackError::TableSizeLate);
    let mut decoder = Decoder::new(4096);
    let block = [size_update(0), size_update(4096), indexed(2)].concat();
    assert_eq!(decode_all(&mut decoder, &block).unwrap().len(), 1);
    // Without a field too.
    assert_eq!(decode_all(&mut decoder, &size_update(100)), Ok(Vec::new()));
}

#[test]
fn s4_3_a_smaller_table_forgets_the_oldest() {
    let mut decoder = Decoder::new(4096);
    decode_all(&mut decoder, &[added("a", "1"), added("b", "2"), added("c", "3")].concat()).unwrap();
    assert_eq!(probe(&decoder).len(), 3);
    decode_all(&mut decoder, &size_update(2 * 34)).unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(probe(&decoder), [pair("c", "3"), pair("b", "2")]);
    decode_all(&mut decoder, &[size_update(0), size_update(4096)].concat()).unwrap();
    assert_eq!(probe(&decoder), []);
}

#[test]
fn s4_4_a_field_larger_than_the_table_empties_it() {
    let mut decoder = Decoder::new(100);
    decode_all(&mut decoder, &added("a", "1")).unwrap();
    let large = "x".repeat(100);
    let fields = decode_all(&mut decoder, &added("large", &large)).unwrap();
    assert_eq!((fields[0].1.as_str(), probe(&decoder).len()), (large.as_str(), 0));
}

/// RFC 9113 §4.3.1
#[test]
fn a_lowered_limit_is_answered_by_a_size_update() {
    let mut decoder = Decoder::new(4096);
    decode_all(&mut decoder, &added("a", "1")).unwrap();
    decoder.set_table_bytes_max(4096);
    decode_all(&mut decoder, &indexed(62)).unwrap();
    decoder.set_table_bytes_max(1000);
    assert_eq!(decode_all(&mut decoder.clone(), &indexed(62)), Err(HpackError::TableSizeMissing));
    assert_eq!(decode_all(&mut decoder.clone(), &[]), Err(HpackError::TableSizeMissing));
    let above = [size_update(1001), indexed(62)].concat();
    assert_eq!(decode_all(&mut decoder.clone(), &above), Err(HpackError::TableSize { bytes: 1001 }));
    decode_all(&mut decoder, &[size_update(1000), indexed(62)].concat()).unwrap();
    decode_all(&mut decoder, &indexed(62)).unwrap();
}

#[test]
fn s5_1_numbers_are_bounded() {
    refuse(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x01], HpackError::IntegerTooLarge);
    refuse(&[0xff, 0x80, 0x80, 0x80, 0x80, 0x00], HpackError::IntegerTooLarge);
    refuse(&[0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0x0f], HpackError::IntegerTooLarge);
}

#[test]
fn a_block_ends_where_a_field_ends() {
    let block = [added("name", "value"), literal("name", "value"), never_indexed("name", "value")].concat();
    for end in 1..block.len() {
        let outcome = decode_all(&mut Decoder::new(4096), &block[..end]);
        match end % (block.len() / 3) {
            0 => assert_eq!(outcome.unwrap().len(), end / (block.len() / 3)),
            _ => assert_eq!(outcome, Err(HpackError::Truncated), "{end}"),
        }
    }
    refuse(&[0xff], HpackError::Truncated);
    refuse(&[0x3f], HpackError::Truncated);
    refuse(&[0x3f, 0x80], HpackError::Truncated);
}

#[test]
fn s5_2_huffman_strings_are_whole_and_padded_with_ones() {
    // "a" is 00011: with ones, with a zero among them, with a byte of them too many.
    let value = |bytes: &[u8]| [&[0x00, 0x01, b'n', 0x80 | bytes.len() as u8], bytes].concat();
    assert_eq!(decode_all(&mut Decoder::new(4096), &value(&[0x1f])).unwrap()[0].1, "a");
    refuse(&value(&[0x1e]), HpackError::Huffman);
    refuse(&value(&[0x1f, 0xff]), HpackError::Huffman);
    // EOS.
    refuse(&value(&[0xff, 0xff, 0xff, 0xff]), HpackError::Huffman);
    // The same in a name.
    refuse(&[0x00, 0x81, 0x1e, 0x00], HpackError::Huffman);
    // No bytes are a text of no bytes.
    assert_eq!(decode_all(&mut Decoder::new(4096), &value(&[])).unwrap()[0].1, "");
}

#[test]
fn s6_2_3_what_is_never_indexed_is_told_as_such() {
    let mut marks = Vec::new();
    let block = [never_indexed("a", "1"), literal("b", "2"), added("c", "3"), indexed(62)].concat();
    let mut sink = |field: HeaderField<'_>| {
        marks.push(field.never_indexed);
        ControlFlow::Continue(())
    };
    Decoder::new(4096).decode(&block, &mut sink).unwrap();
    assert_eq!(marks, [true, false, false, false]);
}

#[test]
fn a_sink_that_has_had_enough_ends_the_block() {
    let mut taken = 0;
    let mut sink = |_: HeaderField<'_>| {
        taken += 1;
        if taken == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let block = [indexed(2), indexed(2), indexed(2), indexed(2), vec![0xff]].concat();
    assert_eq!(Decoder::new(4096).decode(&block, &mut sink), Err(HpackError::Abandoned));
    assert_eq!(taken, 3);
}

/// One block of one field.
fn encoded(encoder: &mut Encoder, encode: impl Fn(&mut Encoder, &mut Vec<u8>)) -> Vec<u8> {
    let mut block = Vec::new();
    encoder.begin(&mut block);
    encode(encoder, &mut block);
    block
}

#[test]
fn a_field_is_added_when_it_is_sent_for_the_second_time() {
    let mut encoder = Encoder::new(4096);
    let mut decoder = Decoder::new(4096);
    let server = |encoder: &mut Encoder, out: &mut Vec<u8>| encoder.field(FieldName::Server, b"ringway", false, out);
    let other = |encoder: &mut Encoder, out: &mut Vec<u8>| encoder.field_named(b"x-other", b"value", false, out);
    let first = encoded(&mut encoder, server);
    assert_eq!(first[0] & 0xf0, 0, "a literal that is not added");
    let second = encoded(&mut encoder, server);
    assert_eq!(second[0] & 0xc0, 0x40, "a literal that is added");
    assert_eq!(encoded(&mut encoder, server), indexed(62));
    for _ in 0..2 {
        let block = encoded(&mut encoder, other);
        assert!(block.len() > 10);
    }
    assert_eq!(encoded(&mut encoder, other), indexed(62));
    assert_eq!(encoded(&mut encoder, server), indexed(63));
    decode_all(&mut decoder, &second).unwrap();
    assert_eq!(decode_all(&mut decoder, &indexed(62)).unwrap(), [("server".to_owned(), "ringway".to_owned())]);
}

#[test]
fn static_fields_are_sent_by_their_index_at_once() {
    let mut encoder = Encoder::new(4096);
    let rows: [(Pseudo, &[u8], u32); 7] = [
        (Pseudo::Method, b"GET", 2),
        (Pseudo::Method, b"POST", 3),
        (Pseudo::Path, b"/index.html", 5),
        (Pseudo::Scheme, b"https", 7),
        (Pseudo::Status, b"200", 8),
        (Pseudo::Status, b"204", 9),
        (Pseudo::Status, b"500", 14),
    ];
    for (pseudo, value, index) in rows {
        assert_eq!(encoded(&mut encoder, |encoder, out| encoder.pseudo(pseudo, value, out)), indexed(index));
    }
    let accept = |encoder: &mut Encoder, out: &mut Vec<u8>| {
        encoder.field(FieldName::AcceptEncoding, b"gzip, deflate", false, out);
    };
    assert_eq!(encoded(&mut encoder, accept), indexed(16));
}

#[test]
fn strings_are_spelt_in_the_shorter_form_or_as_they_are() {
    let etag = |encoder: &mut Encoder, out: &mut Vec<u8>| encoder.field(FieldName::Etag, b"aaaaa", false, out);
    let tilde = |encoder: &mut Encoder, out: &mut Vec<u8>| encoder.field(FieldName::Etag, b"~~~", false, out);
    let mut encoder = Encoder::new(4096);
    // Five codes of five bits are four bytes with their padding; three of thirteen are longer than three bytes.
    assert_eq!(encoded(&mut encoder, etag), [0x0f, 34 - 15, 0x84, 0x18, 0xc6, 0x31, 0xff]);
    assert_eq!(encoded(&mut encoder, tilde), [&[0x0f, 34 - 15, 3][..], b"~~~"].concat());
    encoder.set_spelling(Spelling::Plain);
    assert_eq!(encoded(&mut encoder, etag), [&[0x0f, 34 - 15, 5][..], b"aaaaa"].concat());
}

#[test]
fn what_does_not_repeat_and_what_is_secret_stays_out_of_the_table() {
    let mut encoder = Encoder::new(4096);
    type Encode = fn(&mut Encoder, &mut Vec<u8>);
    // The first bits of the literal: not added, or never to be indexed.
    let rows: [(Encode, u8); 9] = [
        (|encoder, out| encoder.field(FieldName::ContentLength, b"17", false, out), 0),
        (|encoder, out| encoder.field(FieldName::Etag, b"\"abc\"", false, out), 0),
        (|encoder, out| encoder.pseudo(Pseudo::Path, b"/a?secret", out), 0),
        (|encoder, out| encoder.field(FieldName::Cookie, b"a=b", false, out), 0x10),
        (|encoder, out| encoder.field(FieldName::SetCookie, b"a=b", false, out), 0x10),
        (|encoder, out| encoder.field(FieldName::Authorization, b"Basic eA==", false, out), 0x10),
        (|encoder, out| encoder.field(FieldName::Server, b"marked", true, out), 0x10),
        (|encoder, out| encoder.field_named(b"x-marked", b"marked", true, out), 0x10),
        (|encoder, out| encoder.field_named(b"x-large", &[b'x'; 1000], false, out), 0),
    ];
    for (encode, bits) in rows {
        let first = encoded(&mut encoder, encode);
        for _ in 0..5 {
            let block = encoded(&mut encoder, encode);
            assert_eq!((block[0] & 0xf0, &block), (bits, &first));
        }
    }
}

#[test]
fn the_encoder_follows_the_peers_limit() {
    let server = |encoder: &mut Encoder, out: &mut Vec<u8>| encoder.field(FieldName::Server, b"ringway", false, out);
    // Ours is lower than what the peer takes for granted: said at once.
    let mut encoder = Encoder::new(1000);
    assert!(encoded(&mut encoder, server).starts_with(&size_update(1000)));
    assert!(!encoded(&mut encoder, server).starts_with(&size_update(1000)));
    // A peer that allows more changes nothing, one that allows less does, and the lowest of several is said.
    let mut encoder = Encoder::new(4096);
    encoder.set_table_bytes_max(65536);
    assert_eq!(encoded(&mut encoder, server)[0] & 0xe0, 0);
    encoder.set_table_bytes_max(100);
    encoder.set_table_bytes_max(2000);
    let expected = [size_update(100), size_update(2000)].concat();
    assert!(encoded(&mut encoder, server).starts_with(&expected));
    encoder.set_table_bytes_max(0);
    encoder.set_table_bytes_max(4096);
    let mut decoder = Decoder::new(4096);
    let block = encoded(&mut encoder, server);
    assert!(block.starts_with(&[size_update(0), size_update(4096)].concat()));
    decode_all(&mut decoder, &block).unwrap();
    // Without a table everything is a literal.
    encoder.set_table_bytes_max(0);
    for _ in 0..5 {
        let block = encoded(&mut encoder, server);
        assert_eq!(decode_all(&mut decoder, &block).unwrap().len(), 1);
        assert_eq!(probe(&decoder), []);
    }
}
