//! What a wire asks while a request arrives: where it is to be served, and whether there is any sense in it.

use super::post::check_post;
use super::{Engine, Exchange, Fields, MissReason, Output, Owner, Place, Refused, UpperLayer};

impl UpperLayer for Engine {
    type Owner = Owner;
    /// Why the session that it names is not had.
    type Word = MissReason;

    const NO_WORD: MissReason = MissReason::CannotTell;

    /// A modern request has no session, whatever its header says.
    fn place(&self, fields: &Fields<'_>) -> Place {
        let Some(id) = fields.session.as_ref().and_then(|it| it.id.as_ref()) else {
            return Place::Here;
        };
        if fields.is_modern() {
            return Place::Here;
        }
        let core = id.locator.core;
        if id.node == self.node {
            let is_ours = id.locator.incarnation == self.incarnation && core < self.core_count;
            return match is_ours && core != self.core {
                true => Place::Core(core),
                false => Place::Here,
            };
        }
        match self.is_clustered && fields.only_session().is_some() {
            true => Place::Elsewhere,
            false => Place::Here,
        }
    }

    fn ask(&mut self, exchange: Exchange, fields: &Fields<'_>) {
        if let Some(&session) = fields.only_session() {
            self.outputs.push_back(Output::Locate { exchange, session });
        }
    }

    fn foresee(&mut self, word: Option<MissReason>, fields: &Fields<'_>) -> Result<(), Refused> {
        check_post(fields)?;
        match fields.session {
            // With an empty one it may still be an `initialize`.
            Some(session) if !fields.is_modern() && !session.text.is_empty() => {
                self.locate(session.id.as_ref())
                    .map_err(|why| self.miss(word, session.id.as_ref(), why))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn drop_kept(&mut self, bytes: usize) -> bool {
        self.drop_kept_answers(bytes)
    }
}
