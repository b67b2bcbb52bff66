//! `/sim/provider [follow]`: an external program that answers to the `TLSA_…` contract and edits the zone on its primary. It
//! refuses an owner with a CNAME, unless told to follow it.

use super::{
    World,
    dns::Updates,
    zone::{association, tlsa},
};
use crate::{
    env::{Command, Ended, Status},
    name::DnsName,
    tlsa::Association,
};
use hickory_resolver::proto::rr::{RData, RecordType, rdata::CNAME};
use std::time::Duration;

/// TTL of an RRset that the program makes, seconds.
const TTL: u32 = 3600;

/// What the program was asked to do.
#[derive(Clone)]
struct Job {
    publish: bool,
    owner: DnsName,
    record: Association,
    live: Option<Vec<u8>>,
    follow: bool,
}

/// Runs it.
pub fn run(world: &World, command: &Command) -> Ended {
    let job = match parse(command) {
        Ok(job) => job,
        Err(why) => return ended(2, &why),
    };
    let silence = |world: &World| {
        world.pass(command.limit);
        Ended { status: Status::TimedOut, output: String::new() }
    };
    match world.change(|state| state.dns.next_update()) {
        Updates::Work => carry_out(world, &job),
        Updates::NoEffect => ended(0, "published, it says"),
        Updates::Refuse => ended(2, "not allowed"),
        Updates::ServFail => ended(128, "the server has trouble"),
        Updates::Unreachable => ended(129, "no connection"),
        Updates::Exit(code) => ended(code, ""),
        Updates::Silent => silence(world),
        Updates::SilentDone => {
            carry_out(world, &job);
            silence(world)
        }
        Updates::SilentLater(seconds) => {
            world.after(Duration::from_secs(seconds), move |world| drop(carry_out(world, &job)));
            silence(world)
        }
        Updates::Slow(seconds) if Duration::from_secs(seconds) > command.limit => silence(world),
        Updates::Slow(seconds) => {
            world.pass(Duration::from_secs(seconds));
            carry_out(world, &job)
        }
    }
}

fn ended(code: i32, output: &str) -> Ended {
    Ended { status: Status::Exited(code), output: output.to_owned() }
}

fn parse(command: &Command) -> Result<Job, String> {
    let var = |name: &str| command.vars.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let need = |name: &str| var(name).ok_or_else(|| format!("{name} is not set"));
    let publish = match need("TLSA_OPERATION")? {
        "publish" => true,
        "delete" => false,
        other => return Err(format!("TLSA_OPERATION={other}")),
    };
    let (port, protocol, domain) = (need("TLSA_PORT")?, need("TLSA_PROTOCOL")?, need("TLSA_DOMAIN")?);
    let (usage, selector, matching) = (need("TLSA_USAGE")?, need("TLSA_SELECTOR")?, need("TLSA_MATCHING")?);
    let owner = format!("_{port}._{protocol}.{domain}").parse()?;
    let record: Association = format!("{usage} {selector} {matching} {}", need("TLSA_HASH")?).parse()?;
    let live = var("TLSA_LIVE_HASH").filter(|hash| !hash.is_empty());
    let live =
        live.map(|hash| data_encoding::HEXLOWER.decode(hash.as_bytes())).transpose().map_err(|e| e.to_string())?;
    Ok(Job { publish, owner, record, live, follow: command.argv.iter().any(|word| word == "follow") })
}

fn carry_out(world: &World, job: &Job) -> Ended {
    let mut owner = job.owner.clone();
    let mut alias = alias(world, &owner);
    while let Some(target) = alias.filter(|_| job.follow) {
        owner = target;
        alias = self::alias(world, &owner);
    }
    let Some(apex) = world.look(|state| state.dns.zone_of(&owner).cloned()) else {
        return ended(2, &format!("no zone for {owner}"));
    };
    let (set, is_alias) = world.look(|state| {
        let zone = state.dns.zone(&apex);
        (zone.set(&owner, RecordType::TLSA).cloned(), zone.set(&owner, RecordType::CNAME).is_some())
    });
    let ttl = set.as_ref().map_or(TTL, |set| set.ttl);
    let present: Vec<Association> = set.iter().flat_map(|set| &set.data).filter_map(association).collect();
    let data = tlsa(&job.record);
    match job.publish {
        _ if is_alias => ended(2, &format!("there is a CNAME at {owner}")),
        true if present.contains(&job.record) => ended(1, "already up"),
        true => {
            world.edit_zone(&apex, |zone| zone.add(&owner, ttl, data));
            ended(0, "published")
        }
        false if job.live.as_ref().is_some_and(|live| present.iter().all(|record| record.data != *live)) => {
            ended(1, "the new record is not up")
        }
        false => {
            world.edit_zone(&apex, |zone| zone.delete(&owner, &data));
            ended(0, "deleted")
        }
    }
}

/// Where a CNAME at this name points.
fn alias(world: &World, owner: &DnsName) -> Option<DnsName> {
    world.look(|state| {
        let zone = state.dns.zone(state.dns.zone_of(owner)?);
        match zone.set(owner, RecordType::CNAME)?.data.first()? {
            RData::CNAME(CNAME(target)) => Some(DnsName::from(target)),
            _ => None,
        }
    })
}
