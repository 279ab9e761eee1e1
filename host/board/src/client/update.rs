//! A new model for the board, without flashing.

use goldcrest_link::message::{ModelInfo, Refusal};
use goldcrest_link::{CRC, Pieces, Request, Response};

use super::conversation::Outcome;
use super::{Client, LinkError, Transport};

impl<T: Transport> Client<T> {
    /// Sends a device image, has the board check and test it, and makes it the current model; until then
    /// the old one runs. `signature`: 64 bytes, or none.
    pub fn update(&mut self, image: &[u8], signature: &[u8]) -> Result<ModelInfo, LinkError> {
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
            self.delivery.bring(
                &mut self.conversation,
                image,
                attempts * 4,
                |offset, bytes| Request::Write { update, total, offset, bytes },
                |response| match *response {
                    Response::Written { update: of, received, ahead } if of == update => {
                        Some(Pieces::of(received, ahead))
                    }
                    _ => None,
                },
            )?;
            let activate = Request::Activate { update, crc, signature };
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
