//! The page is complete, well-formed and loads nothing.

use super::*;
use crate::report::samples;

#[test]
fn draw() {
    let a = samples::report("nginx", 30, 20_000, 300);
    let b = samples::report("http://127.0.0.1:8080/small", 30, 20_000, 200);
    std::fs::write("/tmp/t/report/one.html", page("http://127.0.0.1:8080/small", &[b.clone()])).unwrap();
    std::fs::write("/tmp/t/report/two.html", page("Ringway and nginx", &[b, a])).unwrap();
}
