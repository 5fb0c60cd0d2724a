//! The stories: what is printed is what people see as events.

mod config_change;
mod dead_stable;
mod down;
mod evidence;
mod gates;
mod named;
mod people;
mod pods;
mod probes;
mod trouble;
mod walk;

use expect_test::Expect;

use super::world::World;

/// Runs a world for so many seconds and compares what was told.
fn check(mut world: World, seconds: u64, expected: Expect) {
    world.run(seconds);
    expected.assert_eq(&world.told());
}
