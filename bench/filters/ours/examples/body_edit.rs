//! Replaces a word of the response's body, chunk by chunk.

use memchr::memmem;
use proxy_filter::prelude::*;

const WORD: &[u8] = b"secret";

#[derive(Default)]
struct BodyEdit;

#[proxy_filter::filter]
impl Context for BodyEdit {
    fn on_response_body(&mut self, body: &mut ResponseBody, _: bool) -> Result<FilterDataStatus> {
        let mut bytes = body.to_bytes()?;
        let found: Vec<usize> = memmem::find_iter(&bytes, WORD).collect();
        for at in found {
            if let Some(word) = bytes.get_mut(at..at + WORD.len()) {
                word.fill(b'*');
            }
        }
        body.replace(bytes)?;
        Ok(FilterDataStatus::Continue)
    }
}
