//! As whom the worker runs.

use anyhow::{Context, ensure};
use nix::unistd::{Gid, Group, Uid, User};
use serde::{Deserialize, Serialize};

use crate::config::Process;

/// A user and a group, found by their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) user: u32,
    pub(super) group: u32,
}

impl Account {
    /// The account that the configuration wants; `None` if it wants none.
    ///
    /// # Errors
    /// When there is no such account, it is root's, or this process may not become it.
    pub(super) fn wanted(process: &Process) -> anyhow::Result<Option<Account>> {
        let Some(name) = &process.user else { return Ok(None) };
        let user = User::from_name(name).with_context(|| format!("the user `{name}` cannot be looked up"))?;
        let user = user.with_context(|| format!("process.user: there is no user `{name}`"))?;
        ensure!(!user.uid.is_root(), "process.user: `{name}` is root, who has no privileges to drop");
        let group = match &process.group {
            None => user.gid,
            Some(name) => {
                let group =
                    Group::from_name(name).with_context(|| format!("the group `{name}` cannot be looked up"))?;
                group.with_context(|| format!("process.group: there is no group `{name}`"))?.gid
            }
        };
        ensure!(group != Gid::from_raw(0), "process.group: the group of root is a privilege");
        let (me, mine) = (Uid::effective(), Gid::effective());
        let wanted = Account { user: user.uid.as_raw(), group: group.as_raw() };
        if (me, mine) == (user.uid, group) {
            // Nothing to drop.
            return Ok(None);
        }
        ensure!(me.is_root(), "process.user: only root can have the worker run as `{name}`");
        Ok(Some(wanted))
    }

    /// Whether there is no such user or group on this machine: what is missing. Whether this process may become it is another
    /// question.
    pub(super) fn missing(process: &Process) -> Option<String> {
        let user = process.user.as_ref().filter(|name| matches!(User::from_name(name), Ok(None)));
        let group = process.group.as_ref().filter(|name| matches!(Group::from_name(name), Ok(None)));
        let user = user.map(|name| format!("process.user: there is no user `{name}` here"));
        user.or_else(|| group.map(|name| format!("process.group: there is no group `{name}` here")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(user: &str, group: Option<&str>) -> anyhow::Result<Option<Account>> {
        let process = Process { user: Some(user.to_owned()), group: group.map(str::to_owned), watch: false };
        Account::wanted(&process)
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(Account::wanted(&Process::default()).unwrap(), None);
        let refused = |user, group| wanted(user, group).unwrap_err().to_string();
        assert!(refused("no-such-user", None).contains("there is no user `no-such-user`"));
        let process = Process { user: Some("no-such-user".to_owned()), ..Process::default() };
        assert_eq!(Account::missing(&process).unwrap(), "process.user: there is no user `no-such-user` here");
        assert_eq!(Account::missing(&Process { user: Some("nobody".to_owned()), ..Process::default() }), None);
        assert!(refused("root", None).contains("is root"));
        assert!(refused("nobody", Some("no-such-group")).contains("there is no group"));
        assert!(refused("nobody", Some("root")).contains("is a privilege"));
        match Uid::effective().is_root() {
            true => assert!(wanted("nobody", None).unwrap().is_some()),
            false => assert!(refused("nobody", None).contains("only root can")),
        }
    }
}
