//! A new model for the board, without flashing.

use goldcrest_link::message::{ModelInfo, Refusal};
use goldcrest_link::{CRC, Pieces, Request, Response};

use super::conversation::Outcome;
use super::{Client, LinkError, Transport};

impl<T: Transport> Client<T> {
    /// Sends a device image, has the board check and test it, and makes it the current model; until then
    /// the old one runs. A firmware with a key wants its manifest and signature first.
    pub fn update(&mut self, image: &[u8], manifest: Option<&[u8]>) -> Result<ModelInfo, LinkError> {
        let attempts = self.patience.attempts;
        let crc = CRC.checksum(image);
        let mut last = LinkError::Lost { attempts };
        self.conversation.begin(self.patience.work(image.len()));
        for attempt in 0..attempts {
            if attempt > 0 && self.conversation.is_over() {
                break;
            }
            let update = self.next_transfer();
            let total = image.len() as u32;
            let written = |response: &Response| match *response {
                Response::Written { update: of, received, ahead } if of == update => {
                    Some(Pieces::of(received, ahead))
                }
                _ => None,
            };
            if let Some(manifest) = manifest {
                let begin = Request::Begin { update, manifest };
                self.conversation.ask(&begin, &mut self.run, attempts, |response| {
                    match written(response) {
                        Some(_) => Outcome::Done(()),
                        None => Outcome::Unexpected,
                    }
                })?;
            }
            let brought = self.delivery.bring(
                &mut self.conversation,
                image,
                attempts * 4,
                |offset, bytes| Request::Write { update, total, offset, bytes },
                written,
            );
            match brought {
                // A board that was reset has forgotten that the update has begun.
                Err(error @ LinkError::Refused(Refusal::NotBegun)) if manifest.is_some() => {
                    last = error;
                    continue;
                }
                other => other?,
            }
            let activate = Request::Activate { update, crc };
            let answer =
                self.conversation.ask(&activate, &mut self.run, attempts, |response| match *response {
                    Response::Activated(model) => Outcome::Done(model),
                    _ => Outcome::Unexpected,
                });
            match answer {
                Err(error @ LinkError::Refused(Refusal::WrongImage | Refusal::Incomplete { .. })) => {
                    last = error
                }
                other => return other,
            }
        }
        Err(last)
    }
}
