use super::*;

fn limits() -> Limits {
    Limits::default()
}

/// Reads whole answers as far as `bytes` goes: for each, what was kept with its request, its status and its body.
fn read(pipeline: &mut Pipeline<u32>, mut bytes: &[u8]) -> Result<Vec<(u32, u16, Vec<u8>)>, String> {
    let mut answers = Vec::new();
    let (mut head, mut body) = (ResponseHead::new(), Vec::new());
    loop {
        if pipeline.answer == Answer::Head {
            if bytes.is_empty() {
                return Ok(answers);
            }
            match pipeline.parse_head(bytes, &limits(), &mut head).map_err(|error| error.to_string())? {
                Parsed::Complete(len) => bytes = &bytes[len..],
                Parsed::Partial => return Ok(answers),
            }
            continue;
        }
        if !pipeline.is_whole() && bytes.is_empty() {
            return Ok(answers);
        }
        let decoded = pipeline.decode_body(bytes).map_err(|error| error.to_string())?;
        body.extend_from_slice(&bytes[decoded.data]);
        bytes = &bytes[decoded.consumed..];
        if pipeline.is_whole() {
            answers.push((pipeline.finish(), head.status(), std::mem::take(&mut body)));
        }
    }
}

fn asked(count: u32) -> Pipeline<u32> {
    let mut pipeline = Pipeline::new(None);
    for tag in 0..count {
        pipeline.expect(Method::Get, 0, tag);
    }
    pipeline
}

fn plain(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn answers_are_matched_in_order_however_they_are_framed() {
    let mut pipeline = asked(5);
    let wire = [
        plain("one"),
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
            .into(),
        "HTTP/1.1 204 No Content\r\n\r\n".into(),
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n".into(),
        "HTTP/1.1 200 OK\r\n\r\nuntil the end".into(),
    ];
    let answers = read(&mut pipeline, wire.concat().as_bytes()).unwrap();
    let texts: Vec<_> = answers.iter().map(|(tag, status, body)| (*tag, *status, &body[..])).collect();
    assert_eq!(texts, [(0, 200, &b"one"[..]), (1, 200, b"two"), (2, 204, b""), (3, 304, b"")]);
    assert!(!pipeline.is_open() && !pipeline.is_whole());
    assert_eq!(pipeline.handle_eof(), Ok(()));
    assert!(pipeline.is_whole());
    assert_eq!(pipeline.finish(), 4);
    assert!(pipeline.is_empty() && pipeline.is_over());
}

#[test]
fn nothing_is_sent_behind_a_head_request_and_its_answer_has_no_body() {
    let mut pipeline = Pipeline::new(None);
    pipeline.expect(Method::Head, 0, 7);
    assert!(!pipeline.is_open());
    let answers = read(&mut pipeline, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").unwrap();
    assert_eq!(answers, [(7, 200, vec![])]);
    assert!(pipeline.is_open());
    // A server that sends the body all the same is found out before anybody asks again.
    assert!(read(&mut pipeline, b"hello").unwrap_err().contains("answer no request"));
    assert!(!pipeline.is_open() && pipeline.is_over());
}

#[test]
fn an_answer_that_was_there_before_its_request_is_nobodys() {
    let wire = plain("for whom?");
    let mut pipeline = Pipeline::new(None);
    assert!(read(&mut pipeline, wire.as_bytes()).is_err(), "nothing was asked");

    let mut pipeline = asked(1);
    let both = [plain("mine"), wire.clone()].concat();
    // Both have come when the second request is sent.
    pipeline.expect(Method::Get, both.len() as u64, 1);
    assert!(read(&mut pipeline, both.as_bytes()).unwrap_err().contains("answer no request"));
    assert_eq!((pipeline.len(), pipeline.fate()), (1, Fate::Unknown));

    let mut pipeline = asked(1);
    let first = plain("mine");
    pipeline.expect(Method::Get, first.len() as u64, 1);
    assert_eq!(read(&mut pipeline, both.as_bytes()).unwrap().len(), 2, "the second came after it was asked for");
}

#[test]
fn what_is_malformed_ends_all() {
    for wire in ["nonsense\r\n\r\n", "HTTP/1.1 101 Up\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "\r\n"] {
        let mut pipeline = asked(3);
        let bytes = [plain("one"), wire.into(), plain("three")].concat();
        let mut answered = 0;
        let (mut at, mut head) = (bytes.as_bytes(), ResponseHead::new());
        while let Ok(Parsed::Complete(len)) = pipeline.parse_head(at, &limits(), &mut head) {
            let decoded = pipeline.decode_body(&at[len..]).unwrap();
            at = &at[len + decoded.consumed..];
            pipeline.finish();
            answered += 1;
        }
        assert_eq!((answered, pipeline.len(), pipeline.fate()), (1, 2, Fate::Unknown), "{wire:?}");
        assert!(pipeline.parse_head(plain("two").as_bytes(), &limits(), &mut head).is_err(), "it does not recover");
    }
    let mut pipeline = asked(2);
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n";
    assert!(read(&mut pipeline, chunked.as_bytes()).is_err());
    assert!(pipeline.is_over());
    let mut pipeline = asked(1);
    let hints = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(usize::from(INFORMATIONAL_MAX) + 1);
    assert!(read(&mut pipeline, hints.as_bytes()).is_err());
}

#[test]
fn the_end_says_what_may_be_sent_again() {
    // Announced by an answer: what is behind it was not read.
    for last in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        let mut pipeline = asked(4);
        assert_eq!(read(&mut pipeline, [plain("one"), last.into()].concat().as_bytes()).unwrap().len(), 2);
        assert_eq!((pipeline.len(), pipeline.fate(), pipeline.is_open()), (2, Fate::Unread, false));
        assert_eq!(pipeline.take_lesson(), Some(Lesson::Ends(2)));
        assert!(pipeline.handle_eof().is_err());
        assert_eq!(pipeline.fate(), Fate::Unread, "the end was announced");
        // What comes behind it all the same is nobody's.
        assert!(read(&mut pipeline, plain("three").as_bytes()).is_err());
    }
    // Announced, and then not even that answer is whole.
    let mut pipeline = asked(2);
    read(&mut pipeline, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhalf").unwrap();
    assert!(!pipeline.is_over());
    assert!(pipeline.handle_eof().is_err());
    assert_eq!((pipeline.is_over(), pipeline.fate()), (true, Fate::Unread));
    // In the middle, without a word.
    let mut pipeline = asked(3);
    read(&mut pipeline, [plain("one"), "HTTP/1.1 2".into()].concat().as_bytes()).unwrap();
    assert!(pipeline.handle_eof().is_err());
    assert_eq!((pipeline.fate(), pipeline.take_lesson()), (Fate::Unknown, Some(Lesson::Ends(1))));
    // While it was idle.
    let mut pipeline = asked(1);
    read(&mut pipeline, plain("one").as_bytes()).unwrap();
    pipeline.expect(Method::Get, plain("one").len() as u64, 2);
    assert!(pipeline.handle_eof().is_err());
    assert_eq!((pipeline.fate(), pipeline.take_lesson()), (Fate::Stale, None));
    // A new one that answers nothing is no stale one.
    let mut pipeline = asked(1);
    assert!(pipeline.handle_eof().is_err());
    assert_eq!((pipeline.fate(), pipeline.take_lesson()), (Fate::Unknown, None));
}

#[test]
fn a_limit_is_kept_to_and_doubted_when_it_does_not_hold() {
    let mut pipeline = Pipeline::new(Some(2));
    let _ = (pipeline.expect(Method::Get, 0, 0), pipeline.expect(Method::Get, 0, 1));
    assert!(!pipeline.is_open(), "the second is the last");
    read(&mut pipeline, plain("one").as_bytes()).unwrap();
    assert!(!pipeline.is_open() && pipeline.take_lesson().is_none());
    read(&mut pipeline, plain("two").as_bytes()).unwrap();
    assert_eq!((pipeline.is_open(), pipeline.take_lesson()), (true, Some(Lesson::GoesOn)));

    let mut pipeline = asked(1);
    read(&mut pipeline, b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=2\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(pipeline.take_lesson(), Some(Lesson::Ends(3)));
    let _ = (pipeline.expect(Method::Get, 0, 1), pipeline.expect(Method::Get, 0, 2));
    assert!(!pipeline.is_open());
    read(&mut pipeline, b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=1\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(pipeline.take_lesson(), None, "it says the same");
}

#[test]
fn a_forsaken_answer_is_read_all_the_same() {
    let mut pipeline = Pipeline::new(None);
    let tickets: Vec<_> = (0..3).map(|tag| pipeline.expect(Method::Get, 0, tag)).collect();
    pipeline.forsake(tickets[0]);
    pipeline.forsake(tickets[1]);
    assert_eq!(pipeline.live().map(|tag| *tag).collect::<Vec<_>>(), [2]);
    assert_eq!(pipeline.due().map(|(tag, forsaken)| (*tag, forsaken)), Some((0, true)));
    assert!(!pipeline.is_due(tickets[2]));
    read(&mut pipeline, [plain("x"), plain("y")].concat().as_bytes()).unwrap();
    assert!(pipeline.is_due(tickets[2]) && pipeline.tag(tickets[0]).is_none());
    assert_eq!(read(&mut pipeline, plain("mine").as_bytes()).unwrap(), [(2, 200, b"mine".to_vec())]);
    // A ticket that was answered touches nobody.
    pipeline.forsake(tickets[2]);
    assert!(pipeline.is_open());
}
