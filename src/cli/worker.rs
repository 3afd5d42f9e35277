//! `ringway worker`: one generation, as a supervisor starts it.

use std::process::ExitCode;

use super::ServeArgs;
use super::serve::{asked, run};
use crate::config::Keep;
use crate::control::Assignment;
use crate::{supervisor, telemetry};

/// Serves with the sockets that the supervisor gives. Failures are for it to tell.
pub(super) fn worker(args: ServeArgs) -> ExitCode {
    let begun = supervisor::signals::unblock().and_then(|()| {
        let assignment = Assignment::receive()?;
        Ok((assignment.line()?, assignment))
    });
    let (line, assignment) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            super::eprintln_quietly(&format!("ringway: {error:#}"));
            return ExitCode::from(2);
        }
    };
    let served = asked(args).and_then(|asked| {
        let loaded = match &assignment.handed {
            // Files with certificates may have become wrong meanwhile: whoever served before did so without them.
            Some(handed) => asked.load_again(&handed.written, Some(Keep::All(&handed.kept)))?,
            None => asked.load()?,
        };
        telemetry::log::start(loaded.log_level)?;
        run(asked, loaded, Some(assignment))
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            line.fail(&error);
            ExitCode::from(1)
        }
    }
}
