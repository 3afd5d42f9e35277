//! `[process]`

use crate::config::Process;
use crate::config::diagnostic::{Problem, Problems};
use crate::config::raw;
use crate::config::spanned::Spanned;

/// As whom the worker runs, and what makes it reload. Whether there is such a user is found out when it is needed: the file may
/// be checked on another machine.
pub(super) fn lower(section: &raw::Process, problems: &mut Problems) -> Process {
    if let (None, Some(group)) = (&section.user, &section.group)
        && !problems.concern(&["process", "user"])
    {
        let problem = Problem::new("a `group` without a `user`").expected("`user` beside it, or neither");
        problems.at(group.span(), problem);
    }
    Process {
        user: name(section.user.as_ref(), problems),
        group: name(section.group.as_ref(), problems),
        watch: section.watch,
    }
}

fn name(written: Option<&Spanned<String>>, problems: &mut Problems) -> Option<String> {
    let written = written?;
    if written.get_ref().is_empty() {
        problems.at(written.span(), Problem::new("an empty name").expected("the name of an account"));
    }
    Some(written.get_ref().clone())
}
