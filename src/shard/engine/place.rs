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
        let is_ours = id.process() == (self.node, self.incarnation);
        if is_ours && id.locator.core < self.core_count {
            let destination = self.core_for(&id.locator);
            if destination != Destination::Here {
                return destination;
            }
        }
        let is_elsewhere = match &self.takeover {
            None => self.is_clustered && id.node != self.node,
            Some(_) => self.may_be_elsewhere(id),
        };
        match is_elsewhere && fields.only_session().is_some() {
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
