//! Counts what is left of a call's fuel and time. Owns no clock: the reading is an argument, and is asked for only between
//! slices of fuel, so that a guest that ends in its first slice costs no look at the clock.

use super::Fault;
use super::limits::BYTES_PER_FUEL;
use super::limits::FUEL_PER_HOST_CALL;
use std::time::Duration;

/// Fuel and time of one call.
#[derive(Debug)]
pub(crate) struct Meter {
    fuel: u64,
    left: u64,
    deadline: Duration,
    started: Option<Duration>,
}

impl Meter {
    pub(crate) fn new(fuel: u64, deadline: Duration) -> Self {
        Self {
            fuel,
            left: fuel,
            deadline,
            started: None,
        }
    }

    /// Fuel that is left and not lent to an engine.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Fuel used; lent fuel counts as used.
    pub(crate) fn used(&self) -> u64 {
        self.fuel - self.left
    }

    /// Lends up to `most` to an engine that counts for itself.
    pub(crate) fn lend(&mut self, most: u64) -> u64 {
        let lent = most.min(self.left);
        self.left -= lent;
        lent
    }

    /// Takes back what the engine did not use.
    pub(crate) fn give_back(&mut self, fuel: u64) {
        self.left += fuel;
    }

    /// Uses fuel.
    pub(crate) fn charge(&mut self, fuel: u64) -> Result<(), Fault> {
        match self.left.checked_sub(fuel) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Fault::OutOfFuel)
            }
        }
    }

    /// Uses a host call's fuel, for the call itself and for its bytes.
    pub(crate) fn charge_call(&mut self, bytes: usize) -> Result<(), Fault> {
        self.charge(FUEL_PER_HOST_CALL + bytes as u64 / BYTES_PER_FUEL)
    }

    /// Time that the guest spent waiting is not its own.
    pub(crate) fn pause(&mut self, waited: Duration) {
        if let Some(started) = &mut self.started {
            *started += waited;
        }
    }

    /// Looks at the clock. The first look starts it: the first slice is free of time.
    pub(crate) fn look(&mut self, now: Duration) -> Result<(), Fault> {
        let started = *self.started.get_or_insert(now);
        if self.deadline < now.saturating_sub(started) {
            return Err(Fault::Deadline);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuel_is_used_to_the_last_unit() {
        let mut meter = Meter::new(100, Duration::ZERO);
        assert_eq!(meter.charge(60), Ok(()));
        assert_eq!(meter.lend(50), 40);
        meter.give_back(10);
        assert_eq!(meter.used(), 90);
        assert_eq!(meter.charge(11), Err(Fault::OutOfFuel));
        assert_eq!(meter.left(), 0);
    }

    #[test]
    fn time_counts_from_the_first_look() {
        let mut meter = Meter::new(1, Duration::from_millis(10));
        assert_eq!(meter.look(Duration::from_secs(9)), Ok(()));
        assert_eq!(meter.look(Duration::from_millis(9_010)), Ok(()));
        assert_eq!(
            meter.look(Duration::from_millis(9_011)),
            Err(Fault::Deadline)
        );
        meter.pause(Duration::from_secs(1));
        assert_eq!(meter.look(Duration::from_millis(10_010)), Ok(()));
    }
}
