//! The same facts give the same plan, in whatever order they were written down.

use crate::scene::{Scene, ago};
use daneroll::{
    facts::Security,
    journal::{Past, Reloaded, Shown},
    plan::{Plan, plan},
};

/// Plans the scene again, and then with each list turned around whose order means nothing. (It means something in `waiting`, where
/// the newest is last, in `overrides`, and in a section's `reload`.)
pub fn judge(scene: &Scene, made: &Plan) -> Result<(), String> {
    same("a second time", made, plan(scene.input()))?;
    same("with everything turned around", made, plan(turned(scene.clone()).input()))?;
    let (front, back) = (longer(scene, true), longer(scene, false));
    same("with longer lists turned around", &plan(front.input()), plan(back.input()))?;
    let mut other = scene.clone();
    for view in other.facts.owners.values_mut() {
        match view.security {
            Security::Secure => view.security = Security::Insecure,
            Security::Insecure => view.security = Security::Secure,
            _ => {}
        }
    }
    same("in a zone that is signed, or not", made, plan(other.input()))
}

fn turned(mut scene: Scene) -> Scene {
    scene.config.sections.reverse();
    let sections = scene.config.sections.iter_mut().chain(scene.sections.values_mut());
    sections.for_each(|section| section.tlsa.reverse());
    for lineage in scene.journal.lineages.values_mut() {
        lineage.presented.reverse();
        lineage.reloads.reverse();
    }
    scene
}

/// With one more answer that caches may hold, and one more reload, in front or at the end.
fn longer(scene: &Scene, front: bool) -> Scene {
    let mut scene = scene.clone();
    let servers = scene.journal.owners.values_mut().flat_map(|owner| owner.servers.values_mut());
    for server in servers.filter(|server| server.now.is_some()) {
        for (ttl, gone) in [(60, 3000), (1800, 3000)] {
            let shown = Shown { records: None, ttl };
            insert(&mut server.past, Past { shown, gone: ago(gone) }, front);
        }
    }
    for lineage in scene.journal.lineages.values_mut() {
        let (began, ended) = (ago(50), ago(40));
        insert(&mut lineage.reloads, Reloaded { command: vec!["Q".into()], began, ended }, front);
    }
    scene
}

fn insert<T>(list: &mut Vec<T>, item: T, front: bool) {
    if front { list.insert(0, item) } else { list.push(item) }
}

/// The same actions in the same order; waits and troubles in any.
fn same(when: &str, one: &Plan, other: Plan) -> Result<(), String> {
    let waits = one.waits.len() == other.waits.len() && one.waits.iter().all(|wait| other.waits.contains(wait));
    let troubles = one.troubles.len() == other.troubles.len();
    let troubles = troubles && one.troubles.iter().all(|trouble| other.troubles.contains(trouble));
    match one.actions == other.actions && waits && troubles {
        true => Ok(()),
        false => Err(format!("another plan {when}")),
    }
}
