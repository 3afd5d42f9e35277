//! Whatever is sent, in whatever pieces it comes.

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};
use wire::ws::{Reader, Sender};

use super::{BINARY, CONTINUATION, FIN, LIMITS, PING, PONG, TEXT, frame, read_pieces};

/// A message, cut into fragments, with control frames between them.
#[derive(Debug, Clone)]
struct Message {
    text: Option<String>,
    bytes: Vec<u8>,
    cuts: Vec<usize>,
    controls: Vec<Vec<u8>>,
}

fn message() -> impl Strategy<Value = Message> {
    let content = prop_oneof![
        any::<String>().prop_map(|text| (Some(text), Vec::new())),
        vec(any::<u8>(), 0..400).prop_map(|bytes| (None, bytes)),
    ];
    (content, vec(0..400_usize, 0..4), vec(vec(any::<u8>(), 0..126), 0..4))
        .prop_map(|((text, bytes), cuts, controls)| Message { text, bytes, cuts, controls })
}

/// The frames of a message: those with data, and all of them.
fn frames(sender: Sender, message: &Message) -> (Vec<u8>, Vec<u8>) {
    let payload = message.text.as_ref().map_or(&message.bytes[..], |text| text.as_bytes());
    let mut cuts: Vec<usize> = message.cuts.iter().map(|cut| cut % (payload.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(payload.len());
    let (mut data, mut all, mut start) = (Vec::new(), Vec::new(), 0);
    for (number, end) in cuts.iter().enumerate() {
        let first = if message.text.is_some() { TEXT } else { BINARY };
        let opcode = if number == 0 { first } else { CONTINUATION };
        let fin = if number + 1 == cuts.len() { FIN } else { 0 };
        let fragment = frame(sender, fin | opcode, &payload[start..*end]);
        start = *end;
        if let Some(control) = message.controls.get(number) {
            all.extend(frame(sender, FIN | if number % 2 == 0 { PING } else { PONG }, control));
        }
        data.extend(&fragment);
        all.extend(&fragment);
    }
    (data, all)
}

proptest! {
    #[test]
    fn what_is_right_passes_as_it_is(messages in vec(message(), 0..6), lengths in vec(1..200_usize, 1..6)) {
        for sender in [Sender::Client, Sender::Server] {
            let (mut data, mut all) = (Vec::new(), Vec::new());
            for message in &messages {
                let (its_data, its_all) = frames(sender, message);
                data.extend(its_data);
                all.extend(its_all);
            }
            let mut reader = Reader::new(sender, LIMITS, false);
            let (seen, violation) = read_pieces(&mut reader, &all, &lengths);
            prop_assert_eq!(violation, None);
            prop_assert_eq!(seen.data, data);
            prop_assert_eq!(reader.frame_left(), 0);
        }
    }

    #[test]
    fn pieces_change_nothing_but_how_much_of_a_bad_frame_has_passed(
        messages in vec(message(), 1..4),
        lengths in vec(1..50_usize, 1..6),
        damage in (any::<usize>(), any::<u8>()),
    ) {
        for sender in [Sender::Client, Sender::Server] {
            let mut bytes: Vec<u8> = messages.iter().flat_map(|message| frames(sender, message).1).collect();
            let at = damage.0 % bytes.len();
            bytes[at] ^= damage.1;
            let (whole, violation) = read_pieces(&mut Reader::new(sender, LIMITS, true), &bytes, &[usize::MAX]);
            let (pieces, same) = read_pieces(&mut Reader::new(sender, LIMITS, true), &bytes, &lengths);
            prop_assert_eq!(violation, same);
            prop_assert_eq!(&whole.controls, &pieces.controls);
            prop_assert!(pieces.data.starts_with(&whole.data));
        }
    }
}
