//! The page that shows a request as it arrived, as plain text for terminals and as HTML for browsers.

use std::fmt::Write;

use hyper::header::{ACCEPT, HOST, HeaderMap, HeaderName, HeaderValue, VARY};
use hyper::{Request, Response, StatusCode};

use super::{AnyBody, content};

/// Fields that a proxy writes. Everything else was sent by the client.
const WRITTEN_BY_PROXY: [&str; 5] = ["via", "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];

pub(super) fn page<B>(request: &Request<B>, status: StatusCode) -> Response<AnyBody> {
    let text = arrival(request, status);
    let wants_html = request.headers().get(ACCEPT).is_some_and(|accept| {
        accept.to_str().is_ok_and(|accept| accept.split(',').any(|range| range.trim().starts_with("text/html")))
    });
    let mut response = if wants_html {
        content(status, "text/html; charset=utf-8", html(&text))
    } else {
        content(status, "text/plain; charset=utf-8", text)
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    response
}

fn arrival<B>(request: &Request<B>, status: StatusCode) -> String {
    let headers = request.headers();
    let (added, sent): (Vec<_>, Vec<_>) =
        headers.iter().partition(|(name, _)| WRITTEN_BY_PROXY.contains(&name.as_str()));
    let mut page = String::new();
    if status == StatusCode::NOT_FOUND {
        let _ = writeln!(page, "There is nothing at {} here.\n", request.uri().path());
    }
    let _ = writeln!(page, "Ringway is running. This is its demo upstream: the proxy passed your request on,");
    let _ = writeln!(page, "and it arrived here like this.\n");
    let _ = writeln!(page, "  {} {} {:?}", request.method(), request.uri(), request.version());
    write_fields(&mut page, &sent);
    let _ = writeln!(page, "\nAdded on the way by the proxy:\n");
    if added.is_empty() {
        let _ = writeln!(page, "  nothing: this request did not come through a proxy");
    }
    write_fields(&mut page, &added);
    // The proxy appends the peer that it saw, so that the last address is the one it vouches for.
    if let Some(client) = value(headers, "x-forwarded-for").and_then(|list| list.rsplit(',').next()) {
        let _ = writeln!(page, "\nYou are {}, says the proxy.", client.trim());
    }
    let base = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1:8080");
    let _ = write!(
        page,
        "
Paths to play with:

  curl http://{base}/bytes/1000000 | wc -c   that many bytes, up to 1 GiB
  curl -d hello http://{base}/echo           the body that you send
  curl -i http://{base}/status/503           that status
  curl 'http://{base}/slow?ms=1500'          an answer that takes its time
"
    );
    page
}

fn write_fields(page: &mut String, fields: &[(&HeaderName, &HeaderValue)]) {
    for (name, value) in fields {
        // The value may hold any byte; what is not text becomes a replacement character.
        let _ = writeln!(page, "  {name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
}

fn value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get_all(name).iter().next_back()?.to_str().ok()
}

fn html(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Ringway</title>\n\
         <style>body {{ margin: 3em auto; max-width: 50em; padding: 0 1em; color-scheme: light dark }}\n\
         pre {{ font: 15px/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere }}</style>\n\
         <pre>{escaped}</pre>\n</html>\n"
    )
}
