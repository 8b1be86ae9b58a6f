//! A simulation: nodes that die, hang, come back, go on in new processes and are cut off, around a Redis that hangs, forgets and
//! goes back to an earlier state. Whatever happens, no two of them serve one session at the same moment.
//!
//! The nodes here claim whenever they may, without waiting for a client that asks or for a reason to think that an owner is gone: what
//! keeps sessions apart are leases, fences and pledges alone. Between a node and Redis everything stays in its order, as on a
//! connection. One that was sent before a connection broke may be carried out long after.

mod redis;
mod world;

use self::world::{Mutant, PlayedCluster};

/// More of them: `PINFOLD_SIMULATION_SEEDS`.
const SEEDS: u64 = 60;
/// Simulated.
const SECONDS: u64 = 90;

fn run(seed: u64, mutant: Option<Mutant>) -> Result<PlayedCluster, String> {
    let mut world = PlayedCluster::new(seed, mutant);
    for _ in 0..SECONDS * 1_000 / world::STEP_MS {
        world.step();
        if let Some(fault) = world.two_owners() {
            return Err(format!("seed {seed}: {fault}"));
        }
    }
    Ok(world)
}

#[test]
fn a_session_that_two_nodes_serve() {
    let seeds = std::env::var("PINFOLD_SIMULATION_SEEDS").ok();
    let seeds = seeds.and_then(|it| it.parse().ok()).unwrap_or(SEEDS);
    let (mut claims, mut forgot, mut pledged, mut served) = (0, 0, 0, 0);
    for seed in 0..seeds {
        let world = run(seed, None).unwrap_or_else(|fault| panic!("{fault}"));
        claims += world.claims;
        forgot += world.forgot;
        pledged += world.rounds_won;
        served += world.moments_served;
    }
    // It is worth something only if all of it happened.
    println!(
        "{claims} claims, {forgot} times forgotten, {pledged} rounds of pledges, {served} moments"
    );
    assert!(forgot > seeds / 5, "{forgot} times forgotten");
    assert!(claims > 10 * seeds, "{claims} claims");
    assert!(pledged > 10 * seeds, "{pledged} rounds of pledges");
    assert!(served > 1_000 * seeds, "{served} moments");
}

/// Whoever is cut off from Redis with all others, or while it hangs, goes on.
#[test]
fn an_outage_of_redis_that_ends_sessions() {
    for seed in 0..20 {
        let mut world = PlayedCluster::calm(seed);
        world.run_for(5_000);
        let before = world.served_now();
        assert!(before >= world::NODES, "{before}");
        world.redis_is_away(true);
        for _ in 0..600 {
            world.run_for(100);
            assert_eq!(world.served_now(), before, "seed {seed}");
        }
        world.redis_is_away(false);
        world.run_for(10_000);
        assert_eq!(world.served_now(), before, "seed {seed}");
    }
}

/// Each rule is there for something: without it two nodes serve one session at some time.
#[test]
fn a_rule_that_nobody_would_miss() {
    for mutant in Mutant::ALL {
        let mut seeds = mutant.looked_for_from()..50 * SEEDS;
        let caught = seeds.find(|&seed| run(seed, Some(mutant)).is_err());
        println!("{mutant:?}: seed {caught:?}");
        assert!(caught.is_some(), "{mutant:?} changes nothing");
    }
}
