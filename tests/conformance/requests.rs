//! Tables of requests, each with its required fate, judged by what reaches the origin.
//!
//! `requests/*.txt` hold them. A case is a name, its fate, perhaps variants, and the bytes to send:
//!
//! ```text
//! [A name; {} stands for the variant]
//! > POST /judged hello     the origin receives this request whole: method, target, body (`-` for none); one line for each
//! ! 400 501                and then the proxy answers with one of these statuses, and closes; no byte reaches the origin
//! ~ 400                    or, in place of both: no request is ever whole, and the connection ends, with this status if any
//! * Content-Length: 5      a variant, put in place of {} everywhere
//! | POST / HTTP/1.1        a line that is sent, with CRLF; without it if it ends with \
//! ```
//!
//! `\r \n \t \\ \xNN` are what they are elsewhere. Whatever is forwarded must have one reading only: that is judged too. All
//! cases of a table go through the same proxy and, where they are forwarded, over the same connections to the origin: a byte
//! too many of one case spoils the next.

use kit::{Head, Message};

use crate::judge::{ANSWER, Judge};

#[test]
fn framing() {
    judge(include_str!("requests/framing.txt"), 185);
}

#[test]
fn chunked() {
    judge(include_str!("requests/chunked.txt"), 100);
}

#[test]
fn lines() {
    judge(include_str!("requests/lines.txt"), 120);
}

#[test]
fn fields() {
    judge(include_str!("requests/fields.txt"), 70);
}

#[test]
fn targets() {
    judge(include_str!("requests/targets.txt"), 110);
}

#[test]
fn pipelines() {
    judge(include_str!("requests/pipelines.txt"), 40);
}

/// A request and its fate.
#[derive(Debug, Default, Clone)]
struct Case {
    name: String,
    forwarded: Vec<Forwarded>,
    refused: Vec<u16>,
    broken: Vec<u16>,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Forwarded {
    method: String,
    target: String,
    body: Vec<u8>,
}

/// Sends every case of `table`, of which there are at least `count_min`, and demands its fate.
fn judge(table: &str, count_min: usize) {
    let judge = Judge::start();
    let cases = parse(table);
    assert!(cases.len() >= count_min, "{} cases", cases.len());
    let mut failures = Vec::new();
    for case in &cases {
        if let Err(error) = run(&judge, case) {
            failures.push(format!("{}\n    {}\n    {error}", case.name, case.bytes.escape_ascii()));
        }
    }
    // What the last case left would stand before this one.
    judge.forwards("after all cases", b"GET /after HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

fn run(judge: &Judge, case: &Case) -> Result<(), String> {
    let (before, bytes_before) = (judge.count(), judge.received().len());
    let mut client = judge.connect();
    // The proxy may refuse before everything is sent.
    let _ = client.send(&case.bytes);
    if !case.broken.is_empty() {
        // Whoever takes it for the beginning of more learns that there is no more.
        let _ = client.half_close();
        let answer = client.read_to_end().unwrap_or_default();
        let allowed = case.broken.iter().any(|status| answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()));
        let answers = answer.windows(9).filter(|window| window == b"HTTP/1.1 ").count();
        if answers > 1 || !(allowed || answer.is_empty()) {
            return Err(format!("answered {}", answer.escape_ascii()));
        }
        return same(&judge.since(before), &[]);
    }
    for Forwarded { method, .. } in &case.forwarded {
        let answer = client.read_response(method).map_err(|error| error.to_string())?;
        if answer.status() != 200 || (answer.text() != ANSWER && method != "HEAD") {
            return Err(format!("answered {:?} {}", answer.head, answer.text()));
        }
    }
    if case.refused.is_empty() {
        client.half_close().map_err(|error| error.to_string())?;
    } else {
        let answer = client.read_response("GET").map_err(|error| error.to_string())?;
        if !case.refused.contains(&answer.status()) || !answer.head.lists("connection", "close") {
            return Err(format!("answered {:?} {}", answer.head, answer.text()));
        }
    }
    match client.read_to_end() {
        Ok(more) if !more.is_empty() => return Err(format!("one answer too many: {}", more.escape_ascii())),
        Err(error) if error.kind() == std::io::ErrorKind::TimedOut => return Err("the connection stays".to_owned()),
        _ => {}
    }
    if case.forwarded.is_empty() && judge.received().len() != bytes_before {
        return Err("some of it reached the origin".to_owned());
    }
    same(&judge.since(before), &case.forwarded)
}

/// The origin has received what it was to receive, and none of it can be read in another way.
fn same(received: &[Message], expected: &[Forwarded]) -> Result<(), String> {
    let seen: Vec<Forwarded> = received
        .iter()
        .map(|message| Forwarded {
            method: message.head.method().to_owned(),
            target: message.head.target().to_owned(),
            body: message.body.clone(),
        })
        .collect();
    if seen != expected {
        return Err(format!("the origin received {received:?}"));
    }
    received.iter().try_for_each(|message| unambiguous(&message.head))
}

/// A head with one reading: one framing, one host, tokens for names, and no line end but CRLF.
fn unambiguous(head: &Head) -> Result<(), String> {
    let (lengths, codings) = (head.values("content-length"), head.values("transfer-encoding"));
    let framed_once = lengths.len() + codings.len() <= 1 && codings.iter().all(|coding| *coding == "chunked");
    let text = String::from_utf8_lossy(&head.raw).replace("\r\n", "\u{1}");
    let lines_end_once = !text.contains(['\r', '\n', '\0']) && !text.contains("\u{1} ") && !text.contains("\u{1}\t");
    let token = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    let names_are_tokens = head.fields.iter().all(|(name, _)| token(name));
    if framed_once && lines_end_once && names_are_tokens && head.values("host").len() == 1 {
        return Ok(());
    }
    Err(format!("what was forwarded can be read in two ways: {head:?}"))
}

fn parse(table: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for block in table.split("\n[").skip(1) {
        let (name, lines) = block.split_once("]\n").expect("a name in brackets");
        let of = |mark: &'static str| lines.lines().filter_map(move |line| line.strip_prefix(mark));
        let variants: Vec<&str> = of("* ").collect();
        // Without variants there is nothing to put in.
        for variant in if variants.is_empty() { vec![""] } else { variants } {
            let fill = |text: &str| text.replace("{}", variant);
            cases.push(Case {
                name: fill(name),
                forwarded: of("> ").map(|line| forwarded(&fill(line))).collect(),
                refused: of("! ").flat_map(statuses).collect(),
                broken: of("~ ").flat_map(statuses).collect(),
                bytes: of("|").flat_map(|line| sent(&fill(line.strip_prefix(' ').unwrap_or(line)))).collect(),
            });
        }
    }
    cases
}

fn forwarded(line: &str) -> Forwarded {
    let mut words = line.splitn(3, ' ');
    let mut word = || words.next().expect("a method, a target and a body").to_owned();
    let (method, target, body) = (word(), word(), word());
    Forwarded { method, target, body: if body == "-" { Vec::new() } else { unescape(&body) } }
}

fn statuses(line: &str) -> Vec<u16> {
    line.split(' ').map(|status| status.parse().expect("a status")).collect()
}

fn sent(line: &str) -> Vec<u8> {
    let backslashes = line.len() - line.trim_end_matches('\\').len();
    match line.strip_suffix('\\').filter(|_| backslashes % 2 == 1) {
        Some(line) => unescape(line),
        None => [unescape(line), b"\r\n".to_vec()].concat(),
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match bytes.next() {
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let digits: String = bytes.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).expect("two digits after \\x")
            }
            other => panic!("{text:?}: no escape {other:?}"),
        });
    }
    out
}

#[test]
fn a_table_reads_as_it_says() {
    let cases = parse("# Words.\n\n[a {}]\n> POST /x \\x41b\n! 400 501\n* one\n* t\\two\n| G {}\n|\n| end\\\n");
    let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names, ["a one", "a t\\two"]);
    assert_eq!(cases[1].bytes, b"G t\two\r\n\r\nend");
    assert_eq!((&cases[0].forwarded[0].body[..], &cases[0].refused[..]), (b"Ab".as_slice(), [400, 501].as_slice()));
}
