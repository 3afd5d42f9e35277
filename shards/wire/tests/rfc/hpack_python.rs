//! HPACK held against one that others wrote: Python's `hpack`. Each decodes what the other encodes, over connections of several
//! blocks with changes of the table's size, and both judge damaged blocks alike.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use wire::hpack::{Decoder, Encoder, HpackError};

use crate::hpack::{Pair, decode_all};
use crate::hpack_properties::{Named, Step, encode, steps};

/// Reads commands, one a line, and answers each with one line:
/// `new` begins a connection, `size N` changes the limit of its table, `decode HEX` tells the fields of a block, and `encode NAME
/// VALUE SECRET …` the block of fields.
const SCRIPT: &str = r"
import sys, hpack
hex = lambda text: bytes.fromhex(text[1:])
for line in sys.stdin:
    words = line.split()
    if words[0] == 'new':
        encoder, decoder = hpack.Encoder(), hpack.Decoder(max_header_list_size=1 << 30)
        print()
    elif words[0] == 'size':
        encoder.header_table_size = decoder.max_allowed_table_size = int(words[1])
        print()
    elif words[0] == 'decode':
        try:
            fields = decoder.decode(hex(words[1]), raw=True)
            print(' '.join('x%s x%s' % (bytes(name).hex(), bytes(value).hex()) for name, value in fields))
        except hpack.HPACKError as error:
            print('refused', type(error).__name__)
        except Exception as error:
            print('crashed', type(error).__name__)
    elif words[0] == 'encode':
        triples = zip(words[2::3], words[3::3], words[4::3])
        fields = [(hex(name), hex(value), secret == '1') for name, value, secret in triples]
        print('x' + encoder.encode(fields, huffman=words[1] == '1').hex())
";

/// Asks everything at once; one answer to a question.
fn ask(questions: &[String]) -> Vec<String> {
    // Debian's own, for which its package of the module is.
    let python = if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" };
    let mut process = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs: tests/install.sh installs it");
    let mut input = process.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            for question in questions {
                // It has ended if it takes no more: what it said tells why.
                if writeln!(input, "{question}").is_err() {
                    break;
                }
            }
        });
        process.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "Python's hpack answers: tests/install.sh installs it");
    let answers: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), questions.len());
    answers
}

/// So many connections, the same each time. Of several changes of size without a block between them the last alone is kept: Python
/// says all of them, and not only the lowest and the last, so that one above the limit of then may be among them.
fn connections(count: usize) -> Vec<Vec<Step>> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut connection = || {
        let mut steps = steps().new_tree(&mut runner).unwrap().current();
        steps.dedup_by(|later, earlier| {
            let both = matches!((&later, &earlier), (Step::Resize(_), Step::Resize(_)));
            if both {
                *earlier = later.clone();
            }
            both
        });
        steps
    };
    (0..count).map(|_| connection()).collect()
}

fn hex(bytes: &[u8]) -> String {
    let mut hex = "x".to_owned();
    for byte in bytes {
        write!(hex, "{byte:02x}").unwrap();
    }
    hex
}

fn unhex(hex: &str) -> Vec<u8> {
    (1..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn fields(answer: &str) -> Vec<Pair> {
    let texts: Vec<String> = answer
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(|word| unhex(word).iter().map(|&byte| char::from(byte)).collect())
        .collect();
    texts.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

fn expected(block: &[(Named, Vec<u8>, bool)]) -> Vec<Pair> {
    let text = |value: &[u8]| value.iter().map(|&byte| char::from(byte)).collect();
    block.iter().map(|(name, value, _)| (name.name().to_owned(), text(value))).collect()
}

#[test]
fn python_decodes_what_we_encode() {
    let (mut questions, mut wanted) = (Vec::new(), Vec::new());
    let mut ask_for = |question: String, fields: Vec<Pair>| {
        questions.push(question);
        wanted.push(fields);
    };
    for connection in connections(100) {
        let mut encoder = Encoder::new(4096);
        ask_for("new".to_owned(), Vec::new());
        for step in &connection {
            match step {
                Step::Resize(bytes) => {
                    encoder.set_table_bytes_max(*bytes);
                    ask_for(format!("size {bytes}"), Vec::new());
                }
                Step::Block(block) => {
                    for _ in 0..3 {
                        ask_for(format!("decode {}", hex(&encode(&mut encoder, block))), expected(block));
                    }
                }
            }
        }
    }
    let used_tables = questions.iter().filter(|question| question.contains("xbe")).count();
    assert!(used_tables > 10, "tables are used");
    for (answer, fields_wanted) in ask(&questions).iter().zip(&wanted) {
        assert_eq!(&fields(answer), fields_wanted);
    }
}

#[test]
fn we_decode_what_python_encodes() {
    let mut questions = Vec::new();
    let connections = connections(100);
    for (index, connection) in connections.iter().enumerate() {
        questions.push("new".to_owned());
        for step in connection {
            questions.push(match step {
                Step::Resize(bytes) => format!("size {bytes}"),
                Step::Block(block) => {
                    let fields = block.iter().map(|(name, value, secret)| {
                        format!(" {} {} {}", hex(name.name().as_bytes()), hex(value), u8::from(*secret))
                    });
                    format!("encode {}{}", index % 2, fields.collect::<String>())
                }
            });
        }
    }
    let answers = ask(&questions);
    let mut answers = answers.iter();
    for connection in &connections {
        let mut decoder = Decoder::new(4096);
        answers.next();
        for step in connection {
            let answer = answers.next().unwrap();
            match step {
                Step::Resize(bytes) => decoder.set_table_bytes_max(*bytes),
                Step::Block(block) => assert_eq!(decode_all(&mut decoder, &unhex(answer)), Ok(expected(block))),
            }
        }
    }
}

/// Blocks with a few bytes changed, added or taken away. Python's has no bound for numbers, and takes the size update that is due
/// from a block without fields.
#[test]
fn damaged_blocks_are_judged_alike() {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[9; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..4);
    let (mut questions, mut verdicts) = (Vec::new(), Vec::new());
    for connection in connections(300) {
        let mut encoder = Encoder::new(4096);
        let mut decoder = Decoder::new(4096);
        questions.push("new".to_owned());
        verdicts.push(Ok(Vec::new()));
        for step in &connection {
            let Step::Block(block) = step else { continue };
            let mut block = encode(&mut encoder, block);
            for (place, byte, kind) in damage.new_tree(&mut runner).unwrap().current() {
                match kind {
                    _ if block.is_empty() => block.push(byte),
                    0 => *place.get_mut(&mut block) = byte,
                    1 => block.insert(place.index(block.len()), byte),
                    _ => drop(block.remove(place.index(block.len()))),
                }
            }
            questions.push(format!("decode {}", hex(&block)));
            verdicts.push(decode_all(&mut decoder, &block));
            if verdicts.last().unwrap().is_err() {
                break;
            }
        }
    }
    let (mut accepted, mut refused) = (0, 0);
    for (answer, verdict) in ask(&questions).iter().zip(&verdicts) {
        match verdict {
            Ok(ours) => {
                assert_eq!(&fields(answer), ours);
                accepted += usize::from(!ours.is_empty());
            }
            Err(HpackError::IntegerTooLarge) => {}
            Err(error) => {
                assert!(answer.starts_with("refused"), "{error}, but Python says {answer}");
                refused += 1;
            }
        }
    }
    assert!(accepted > 50 && refused > 100, "{accepted} accepted, {refused} refused");
}
