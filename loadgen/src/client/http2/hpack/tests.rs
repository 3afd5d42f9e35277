//! The examples of RFC 7541, and requests as they are written.

use super::{BadBlock, Decoder, Encoder};

type Fields = Vec<(String, String)>;

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, BadBlock> {
    let mut fields = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    decoder.decode(block, |name, value| fields.push((text(name), text(value))))?;
    Ok(fields)
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn appendix_c_6_answers_with_huffman_in_a_table_of_256_bytes() {
    let mut decoder = Decoder::new();
    let first = "3fe1 0148 8264 0258 85ae c377 1a4b 6196 d07a be94 1054 d444 a820 0595 040b 8166 e082 a62d 1bff
                 6e91 9d29 ad17 1863 c78f 0b97 c8e9 ae82 ae43 d3";
    let fields = decode(&mut decoder, &hex(first)).unwrap();
    let has = |fields: &Fields, name: &str, value: &str| fields.contains(&(name.to_owned(), value.to_owned()));
    assert!(has(&fields, ":status", "302") && has(&fields, "location", "https://www.example.com"), "{fields:?}");
    assert!(has(&fields, "date", "Mon, 21 Oct 2013 20:13:21 GMT") && has(&fields, "cache-control", "private"));
    let fields = decode(&mut decoder, &hex("4883 640e ffc1 c0bf")).unwrap();
    assert!(has(&fields, ":status", "307") && has(&fields, "location", "https://www.example.com"), "{fields:?}");
    let third = "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d
                 d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106
                 3d50 07";
    let fields = decode(&mut decoder, &hex(third)).unwrap();
    let cookie = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
    assert!(has(&fields, "set-cookie", cookie) && has(&fields, "content-encoding", "gzip"), "{fields:?}");
}

#[test]
fn what_is_no_block_is_refused() {
    for (block, bad) in [
        (&[0x80][..], BadBlock::Index),
        (&[0xbe], BadBlock::Index),
        (&[0x40, 0x02, b'a'], BadBlock::Short),
        (&[0x40], BadBlock::Short),
        (&[0xff, 0x80, 0x80, 0x80, 0x80, 0x01], BadBlock::Number),
        (&[0x00, 0x81, 0x18, 0x00], BadBlock::Huffman),
        (&[0x3f, 0xe2, 0x1f], BadBlock::TableSize),
        (&[0x88, 0x20], BadBlock::TableSize),
    ] {
        assert_eq!(decode(&mut Decoder::new(), block), Err(bad), "{block:?}");
    }
    // Small in the block, large in memory.
    let mut bomb = vec![0x40, 0x01, b'a', 0x7f, 0x81, 0x1d];
    bomb.extend_from_slice(&[b'x'; 3840]);
    bomb.extend_from_slice(&[0xbe; 100]);
    assert_eq!(decode(&mut Decoder::new(), &bomb), Err(BadBlock::TooLarge));
}

#[test]
fn a_request_s_fields_are_numbers_from_the_second_time_on() {
    let field = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let fields: &'static [(Vec<u8>, Vec<u8>)] =
        vec![field(":method", "GET"), field(":path", "/small"), field("x-own", "1"), field("authorization", "Basic x")]
            .leak();
    let others: &'static [(Vec<u8>, Vec<u8>)] = vec![field(":method", "POST"), field("x-own", "2")].leak();
    let expected = |fields: &[(Vec<u8>, Vec<u8>)]| -> Fields {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        fields.iter().map(|(name, value)| (text(name), text(value))).collect()
    };
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    let mut lengths = Vec::new();
    for of in [fields, fields, fields, others, fields, fields, others] {
        let mut block = Vec::new();
        encoder.encode(of, &mut block);
        lengths.push(block.len());
        assert_eq!(decode(&mut decoder, &block).unwrap(), expected(of));
    }
    // What is secret is written out each time, and the rest is a byte a field.
    assert!(lengths[1] == 3 + 10 && lengths[1..3] == lengths[4..6] && lengths[6] == 2, "{lengths:?}");
    encoder.limit(100);
    let mut block = Vec::new();
    encoder.encode(fields, &mut block);
    assert_eq!(block[0], 0x20, "the table is given up");
    assert_eq!(decode(&mut decoder, &block).unwrap(), expected(fields));
    block.clear();
    encoder.encode(fields, &mut block);
    assert_eq!(decode(&mut decoder, &block).unwrap(), expected(fields));
}
