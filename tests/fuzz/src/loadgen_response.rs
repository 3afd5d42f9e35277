//! The load generator's reader of responses: one byte chooses the size of the pieces and whether a HEAD is answered.

use loadgen::client::http1::{Malformed, Piece, Reader};

/// Panics if a property does not hold for `input`.
pub fn check(input: &[u8]) {
    let [choice, bytes @ ..] = input else { return };
    let (to_head, piece) = (choice & 1 == 1, usize::from(choice >> 1) + 1);
    let whole = read(bytes, bytes.len().max(1), to_head);
    assert_eq!(read(bytes, piece, to_head), whole, "pieces change nothing");
    if let Ok(responses) = whole {
        for response in responses.iter().filter(|_| !to_head) {
            assert!((200..600).contains(&response.status), "an interim response is none of its own");
            assert!(!matches!(response.status, 204 | 304) || response.body.is_empty());
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Response {
    status: u16,
    body: Vec<u8>,
    is_complete: bool,
}

fn read(bytes: &[u8], piece: usize, to_head: bool) -> Result<Vec<Response>, Malformed> {
    let mut reader = Reader::new();
    let mut responses: Vec<Response> = Vec::new();
    for mut input in bytes.chunks(piece) {
        while !input.is_empty() || reader.is_complete() {
            let read = reader.read(input, to_head)?;
            input = &input[read.consumed..];
            match read.piece {
                Piece::More => assert!(input.is_empty(), "all input is used before more is wanted"),
                Piece::Head(status) => responses.push(Response { status, body: Vec::new(), is_complete: false }),
                Piece::Data(data) => responses.last_mut().expect("a head").body.extend_from_slice(data),
                Piece::End => responses.last_mut().expect("a head").is_complete = true,
            }
        }
    }
    Ok(responses)
}
