//! Random bytes from the host: as many as the path says, and two numbers. After `/show/` the
//! upstream gets what came.

use proxy_filter::prelude::*;
use proxy_filter::random;

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Stream;

    fn new_context(&self) -> Stream {
        Stream
    }
}

struct Stream;

#[proxy_filter::context]
impl Context for Stream {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let path = request.path()?.unwrap_or_default();
        let size = path
            .to_str()?
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .parse()
            .map_err(|_| Error::other("the path is no number"))?;
        let mut bytes = vec![0; size];
        random::fill(&mut bytes)?;
        // A sum that changes with each byte and its place.
        let sum = bytes.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        // Blocks of 64 bytes that are not random would be zero.
        let zeros = bytes.chunks_exact(64).filter(|block| block.iter().all(|byte| *byte == 0)).count();
        let (first, second) = (random::u64()?, random::u64()?);
        if path.starts_with(b"/show/") {
            request.add("x-sum", format!("{sum:x}"))?;
            request.add("x-number", format!("{first:x}"))?;
        }
        log::info!("{size} bytes, {zeros} blocks of zeros, different numbers: {}", first != second);
        Ok(FilterHeadersStatus::Continue)
    }
}
