//! The files of the repository that are made from the table.

use std::fs;
use std::path::PathBuf;

use tuning::generate;
use tuning::knob::Profile;

use crate::assert_golden;

const BEGIN: &str = "<!-- From the table under tuning/src/knobs: UPDATE_GOLDEN=1 cargo test -p ringway-tuning -->\n";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn files_are_as_the_table_has_them() {
    for profile in Profile::ALL {
        let name = profile.name();
        assert_golden(&folder().join(format!("sysctl.d/60-ringway-{name}.conf")), &generate::sysctl_file(profile));
        let drop_in = folder().join(format!("systemd/ringway.service.d/60-ringway-{name}.conf"));
        match generate::drop_in(profile) {
            Some(text) => assert_golden(&drop_in, &text),
            None => assert!(!drop_in.exists(), "{} is about nothing", drop_in.display()),
        }
    }
}

#[test]
fn the_reference_is_as_the_table_has_it() {
    let path = folder().join("../docs/tuning.md");
    let text = fs::read_to_string(&path).unwrap();
    let (by_hand, _) = text.split_once(BEGIN).expect("docs/tuning.md has its mark");
    assert_golden(&path, &format!("{by_hand}{BEGIN}\n{}", generate::reference()));
}
