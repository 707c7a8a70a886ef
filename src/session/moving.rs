//! When a session moves to the world it belongs to: to the one in force, or to that of the canary whose session it is. Owns no
//! pointer and no world; only `server/reload` writes the pointer.

use super::end::End;
use super::login::introduce;
use super::relay::Session;
use super::world::World;
use super::world::has_account;
use crate::policy::SessionsMove;
use std::sync::Arc;

impl Session {
    /// What comes before every statement is decided. Not cancel safe.
    pub(super) async fn begin_statement(&mut self) -> Result<(), End> {
        self.settle_before_statement().await?;
        self.refresh_world().await
    }

    /// Moves the session to the world it belongs to, if there is another by now and it is time for it. Not cancel safe.
    pub(super) async fn refresh_world(&mut self) -> Result<(), End> {
        let live = self.shared.live.load();
        let wanted = self.binding.wanted(&live);
        if Arc::ptr_eq(wanted, &self.binding.world) {
            return Ok(());
        }
        let when = self.moves(&live, wanted);
        // A batch is one transaction. A client that never ends one would keep the old policy, so it takes a policy's word.
        let is_time = match when {
            SessionsMove::Statement => true,
            SessionsMove::Transaction => !self.batch_open,
            SessionsMove::Session => false,
        };
        if !is_time {
            return Ok(());
        }
        let world = Arc::clone(wanted);
        drop(live);
        Box::pin(self.move_to(world, when)).await
    }

    /// When it is time to move, as the world in force says.
    fn moves(&self, live: &World, wanted: &World) -> SessionsMove {
        // The same policy, beside which something else is tried now.
        if Arc::ptr_eq(&wanted.policy, &self.binding.world.policy) {
            return SessionsMove::Statement;
        }
        // What was tried is over, and its sessions do not outstay it.
        let is_tried = self.binding.seat.is_some();
        match live.policy.reload.sessions {
            SessionsMove::Session if is_tried => SessionsMove::Transaction,
            when => when,
        }
    }

    /// Roles and attributes are the new policy's as well; a user that it does not have any more ends here.
    async fn move_to(&mut self, world: Arc<World>, when: SessionsMove) -> Result<(), End> {
        // Within a batch the node may owe answers that it gives at its end alone.
        if self.inflight.has_boundary() && !self.batch_open {
            self.drain_answers().await?; // whether a transaction is open is known then
        }
        if when == SessionsMove::Transaction && self.tx != b'I' {
            return Ok(());
        }
        if has_account(&self.context) {
            let user = world.policy.users.get(&self.context.identity.user);
            introduce(user.ok_or(End::NoPlace("user"))?, &mut self.context);
        }
        let seat = self.binding.seat.clone();
        let canary = self.shared.live.load().canary.clone();
        let seat = seat.filter(|seat| canary.is_some_and(|canary| canary.is_of(seat)));
        let moved = self.binding.moved_to(world, &self.context, seat);
        self.binding = moved.map_err(End::NoPlace)?;
        self.idle_timeout = self.binding.idle_timeout();
        Ok(())
    }
}
