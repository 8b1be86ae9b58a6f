//! What a wire asks while a request arrives: where it is to be served, and whether there is any sense in it.

use super::post::check_post;
use super::{
    Destination, Engine, EngineOutput, Exchange, ExchangeOwner, MissReason, Refused, RequestFields,
    UpperLayer,
};
use crate::clients::Client;
use crate::principal::PrincipalId;

impl UpperLayer for Engine {
    type Owner = ExchangeOwner;
    /// Why the session that it names is not had.
    type Word = MissReason;

    const NO_WORD: MissReason = MissReason::CannotTell;

    /// A modern request has no session, whatever its header says.
    fn place(&self, fields: &RequestFields<'_>) -> Destination {
        let Some(id) = fields.session.as_ref().and_then(|it| it.id.as_ref()) else {
            return Destination::Here;
        };
        if fields.is_modern() {
            return Destination::Here;
        }
        if id.node == self.node {
            let is_ours =
                id.locator.incarnation == self.incarnation && id.locator.core < self.core_count;
            return match is_ours {
                true => self.core_for(&id.locator),
                false => Destination::Here,
            };
        }
        match self.is_clustered && fields.only_session().is_some() {
            true => Destination::Elsewhere,
            false => Destination::Here,
        }
    }

    fn ask(&mut self, exchange: Exchange, fields: &RequestFields<'_>) {
        if let Some(&session) = fields.only_session() {
            self.outputs
                .push_back(EngineOutput::Locate { exchange, session });
        }
    }

    fn foresee(
        &mut self,
        word: Option<MissReason>,
        principal: Option<PrincipalId>,
        client: Option<Client>,
        fields: &RequestFields<'_>,
    ) -> Result<(), Refused> {
        check_post(fields)?;
        self.check_rate(client)?;
        match fields.session {
            // With an empty one it may still be an `initialize`.
            Some(session) if !fields.is_modern() && !session.text.is_empty() => {
                let located = self.locate_by(fields, session.id.as_ref());
                self.check_own(located, word, session.id.as_ref(), principal)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn drop_kept(&mut self, bytes: usize) -> bool {
        self.drop_kept_answers(bytes)
    }
}
