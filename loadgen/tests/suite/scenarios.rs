//! Scenario files: the examples can be run, and what is wrong is told with its place.

use std::{fs, path::Path};

use loadgen::{
    load::Plan,
    scenario::{Arrivals, Extent, read},
};

#[test]
fn the_examples_can_be_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut examples = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let scenario = read(&path).unwrap_or_else(|error| panic!("{error}"));
            Plan::new(&scenario).unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
            examples += 1;
        }
    }
    assert!(examples >= 4, "{examples} examples");
}

fn lowered(text: &str) -> Result<loadgen::scenario::Scenario, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    fs::write(&path, text).unwrap();
    read(&path).map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

#[test]
fn a_scenario_says_what_is_meant() {
    let scenario = lowered(
        "[load]\nconnections = 7\nrequests = 100\n[rate]\narrivals = \"poisson\"\nper_second = 10.5\n\
         [[requests]]\nurl = \"http://127.0.0.1/\"\nbody = { size = \"2KiB\" }\nmethod = \"PUT\"\n\
         expect = { status = [\"201\", \"4xx\"], body_bytes = 3 }\n",
    )
    .unwrap();
    assert_eq!((scenario.connections, scenario.extent), (7, Extent::Requests(100)));
    let rate = scenario.rate.unwrap();
    assert_eq!((rate.arrivals, rate.steps[0].per_second), (Arrivals::Poisson, 10.5));
    let expect = &scenario.requests[0].expect;
    assert!(expect.allows(201) && expect.allows(404) && !expect.allows(200));
}

#[test]
fn what_is_wrong_is_told_with_file_line_and_column() {
    for (text, place, why) in [
        ("[load]\nconnection = 7\n", "s.toml:2:1:", "unknown field `connection`"),
        ("[load]\nduration = \"10\"\n", "s.toml:2:12:", "250ms"),
        ("[load]\nconnections = 0\n", "s.toml:2:15:", "expected 1 to"),
        ("[load]\nduration = \"1s\"\nrequests = 5\n", "s.toml:3:12:", "either"),
        ("[rate]\narrivals = \"random\"\n", "s.toml:2:12:", "poisson"),
        ("[[requests]]\nurl = \"127.0.0.1\"\n", "s.toml:2:7:", "expected a URL"),
        ("[[requests]]\nurl = \"ws://x/\"\nmethod = \"GET\"\n", "s.toml:3:10:", "no method"),
        ("[[requests]]\nurl = \"http://x/\"\nexpect = { status = [\"20\"] }\n", "s.toml:3:22:", "no status"),
        ("headers = [[\"Content-Length\", \"1\"]]\n", "s.toml:1:13:", "itself"),
        ("[tls]\nversions = [\"1.1\"]\n", "s.toml:2:13:", "1.3"),
        ("[load\n", "s.toml:1:6:", ""),
    ] {
        let error = lowered(text).unwrap_err();
        assert!(error.starts_with(place) && error.contains(why), "{text}\n{error}");
    }
}
