//! The same for programs.

use serde_json::{Value, json};

use crate::change::{Change, Outcome};
use crate::host::Facts;
use crate::knob::{Effect, Profile};
use crate::survey::{Finding, Standing, Target};

/// Findings, with the host and the profile.
#[must_use]
pub fn findings(facts: &Facts, profile: Profile, findings: &[Finding]) -> Value {
    let knobs: Vec<Value> = findings.iter().map(finding).collect();
    let count = |standing| super::count(findings, standing);
    json!({
        "profile": profile,
        "host": facts,
        "summary": {
            "as_wanted": count(Standing::AsWanted),
            "differs": count(Standing::Differs),
            "needs_drop_in": count(Standing::NeedsDropIn),
            "by_hand": count(Standing::ByHand),
            "no_wish": count(Standing::NoWish),
            "absent": count(Standing::Absent),
            "unreadable": count(Standing::Unreadable),
        },
        "knobs": knobs,
    })
}

fn finding(finding: &Finding) -> Value {
    let Finding { knob, place, target, now, goal, standing, note } = finding;
    let has_wish = *standing != Standing::NoWish;
    let to_set = match standing {
        Standing::Differs | Standing::NeedsDropIn | Standing::ByHand => {
            goal.value_after(now.as_deref().unwrap_or_default())
        }
        _ => None,
    };
    let effect = match knob.effect {
        Effect::Run { folder, shows } => json!({ "run": format!("perf/runs/{folder}"), "shows": shows }),
        Effect::NotShown(why) => json!({ "run": null, "why_none": why }),
    };
    json!({
        "name": knob.name,
        "area": knob.area,
        "place": place.label,
        "target": target.as_ref().map(location),
        "value": now,
        "wanted": has_wish.then(|| goal.to_string()),
        "to_set": to_set,
        "standing": standing,
        "note": note,
        "what": knob.what,
        "why": knob.why,
        "cost": knob.cost,
        "access": knob.access.described(knob.name),
        "source": knob.source,
        "effect": effect,
    })
}

/// Changes, made or planned.
#[must_use]
pub fn changes(is_dry: bool, changes: &[Change]) -> Value {
    let change = |change: &Change| {
        let (outcome, detail) = match &change.outcome {
            Outcome::Planned => ("planned", None),
            Outcome::Done => ("done", None),
            Outcome::DoneOtherwise(now) => ("done-otherwise", Some(now)),
            Outcome::AlreadySo => ("already-so", None),
            Outcome::Gone => ("gone", None),
            Outcome::UndoneByRestart => ("undone-by-restart", None),
            Outcome::ChangedSince => ("changed-since", None),
            Outcome::Failed(why) => ("failed", Some(why)),
        };
        json!({
            "name": change.knob,
            "place": change.place,
            "target": location(&change.target),
            "from": change.from,
            "to": change.to,
            "outcome": outcome,
            "detail": detail,
        })
    };
    json!({ "dry_run": is_dry, "changes": changes.iter().map(change).collect::<Vec<_>>() })
}

fn location(target: &Target) -> String {
    match target {
        Target::File { path, .. } | Target::Document { path } => path.clone(),
        Target::Ethtool { device, item } => format!("ethtool {device} {}", item.word()),
    }
}
